"""One run in memory as a process of its own, for the tests that kill or interrupt it: `python -m ... parts` or `details`.

Environment: DATABASE_URL. After two parts, or ten details, the source writes `paused` and says nothing more.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any

from lsats_dagster.database import Database
from lsats_dagster.ingestion.stream import Extract
from lsats_dagster_tests.ingestion.memory import PartedThings, Thing


def pause() -> None:
    print("paused", flush=True)
    threading.Event().wait()


def main() -> None:
    # Whoever started the tests may have told them to ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    things = PartedThings(Database(os.environ["DATABASE_URL"]), 50, batch_size=5)
    read, answer = things.read, things.fetch

    def pausing_read(client: Any, extract: Extract) -> Iterator[list[Any]]:
        for number, page in enumerate(read(client, extract)):
            if number == 2:
                pause()
            yield page

    def pausing_fetch(client: Any, key: str) -> Thing | None:
        if len(things.asked) == 10:
            pause()
        return answer(client, key)

    if sys.argv[1] == "parts":
        things.read = pausing_read  # type: ignore[method-assign]
        things.ingest()
    else:
        things.fetch = pausing_fetch  # type: ignore[method-assign]
        things.enrich()


if __name__ == "__main__":
    main()
