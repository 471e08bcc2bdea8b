"""An invented hub beside the product's: every form that a definition may have, in tables as small as can be.

Its streams are read from memory only. The table suite runs over the product's tables and these together.
"""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from lsats_dagster.database import Database
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.stream import Extract, ListStream, Record, UnkeyedRecordError
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.migrations import upgrade
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster_tests.conftest import DEFINITIONS, new_database
from lsats_dagster_tests.contracts.histories import wait_for_no_disk

FORMS = Path(__file__).parent / "sql"


def key_of(record: Record) -> str:
    """Every record of these streams has its key in one field."""
    if not isinstance(key := record.get("Key"), str):
        raise UnkeyedRecordError("Key is missing")
    return key


def read_nothing(_client: Any, _extract: Extract) -> Iterator[list[Any]]:
    """There is no such source: histories put their own reader in place of this one."""
    yield from ()


def invented(source_system: str, entity_type: str) -> ListStream[Any]:
    return ListStream(
        source_system=source_system, entity_type=entity_type, table=f"{entity_type}s", row=f"One invented {entity_type}.",
        description="Of no source at all.", key=key_of, read=read_nothing,
    )  # fmt: skip


SUITE_STREAMS: tuple[StreamDeclaration, ...] = (
    *STREAMS, invented("directory", "login"), invented("payroll", "job"), invented("directory", "group"),
)  # fmt: skip
SUITE_DEFINITIONS: tuple[Definition, ...] = (*DEFINITIONS, *load_definitions(FORMS))


@cache
def suite_database(server: EmbeddedPostgres) -> str:
    """The URL of the one database of this process that the table suite empties and fills; nothing waits for the disk."""
    url = new_database(server)
    admin = Database(url, role=None)
    upgrade(admin, SQL_ROOT, SUITE_STREAMS, SUITE_DEFINITIONS)
    admin.dispose()
    wait_for_no_disk(url)
    return url
