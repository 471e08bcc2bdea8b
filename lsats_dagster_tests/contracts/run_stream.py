"""One run of a stream as a process of its own, for the tests that kill it.

Environment: STREAM (name), DATABASE_URL, CAMPUS (its variables as JSON), PAUSE_AFTER (records or details), FULL (empty
or not). After so many records it writes `paused` and waits for a line on standard input.
"""

import itertools
import json
import os
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from lsats_dagster.database import Database
from lsats_dagster.demo.campus import Campus
from lsats_dagster.ingestion import detail_calls
from lsats_dagster.ingestion.stream import DetailStream, Extract, Part
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.sources import STREAMS
from lsats_dagster_tests.conftest import Hub


def pause() -> None:
    print("paused", flush=True)
    sys.stdin.readline()


def pausing(stream: StreamDeclaration, after: int) -> StreamDeclaration:
    """The stream, whose source falls silent behind `after` records or details."""
    if isinstance(stream, DetailStream):
        fetch, asked, resumed = stream.fetch, itertools.count(1), threading.Event()

        def slow_fetch(client: Any, key: str) -> Any:
            number = next(asked)
            if number == after + 1:
                pause()
                resumed.set()
            elif number > after:
                resumed.wait()
            return fetch(client, key)

        return replace(stream, fetch=slow_fetch)
    whole_read = stream.read

    def slow_read(client: Any, extract: Extract) -> Iterator[list[Any]]:
        given = 0
        for page in whole_read(client, extract):
            if isinstance(page, Part):
                # One that is read whole or not at all.
                if given >= after:
                    pause()
                given += len(page)
                yield page
                continue
            for record in page:
                if given == after:
                    pause()
                given += 1
                yield [record]

    return replace(stream, read=slow_read)


def main() -> None:
    stream = next(stream for stream in STREAMS if stream.name == os.environ["STREAM"])
    campus = Campus(json.loads(os.environ["CAMPUS"]), "http://side-door.invalid", "", "")
    # Only whole portions are committed, however slow the machine is.
    detail_calls.SECONDS_PER_COMMIT = 3600.0
    hub = Hub(Database(os.environ["DATABASE_URL"]), campus, batch_size=10)
    hub.run(pausing(stream, int(os.environ["PAUSE_AFTER"])), full=bool(os.environ["FULL"]))


if __name__ == "__main__":
    main()
