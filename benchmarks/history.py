"""A full silver refresh over records of one version, and over the same records of ten: history must not cost anything.

What is compared is the least processor time of the server, of many rounds: whatever else runs only adds to it.

One table is made here, in a copy of sql/, over the records of the bronze benchmark; nothing of the hub knows it. Then users
of the hub, with all tables that it is made from.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from benchmarks.bronze import STREAM, pages
from benchmarks.common import (
    Measure,
    Report,
    administrator,
    contestant,
    copy_sql,
    new_database,
    say,
    serve,
    server_seconds,
    settle,
)
from benchmarks.hub_tables import MOVED, SEED, bring
from benchmarks.people import University
from lsats_dagster.database import Database
from lsats_dagster.demo.campus.world import World
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.ingestion.extract import ingest
from lsats_dagster.ingestion.request import ReadRequest
from lsats_dagster.ingestion.stream import Extract
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.runs import Origin
from lsats_dagster.settings import SQL_ROOT, load_settings
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import Definition, load_definitions
from lsats_dagster.transforms.engine import refresh

TABLE = "benchmark_histories"
VIEW = f"bronze.{TABLE}"
VERSIONS = 10
ROUNDS = 15
# A dozen tables, whose seconds are many and vary less.
ROUNDS_OF_PEOPLE = 3
BRONZE = ("bronze.raw_entities", "bronze.current_entities")
FIELDS = (
    "FullName",
    "FirstName",
    "Title",
    "UserName",
    "PrimaryEmail",
    "ExternalID",
    "WorkPhone",
    "WorkAddress",
    "About",
)


def read(client: tuple[int, int], extract: Extract) -> Iterator[list[Any]]:
    """All records of one version: each differs from the one before."""
    rows, version = client
    for page in pages(rows, 0):
        yield [record | {"Title": f"Specialist, grade {version}"} for record in page]
    extract.complete("the generator ended", records=rows)


HISTORIES = replace(STREAM, entity_type="history", table=TABLE, read=read)


def definition_text() -> str:
    columns = "\n".join(f'{name.lower()} = ["text", "Synthetic"]' for name in FIELDS)
    unpacked = ", ".join(f'"{name}" jsonb' for name in FIELDS)
    cleaned = ", ".join(f'clean.text(f."{name}") as {name.lower()}' for name in FIELDS)
    return f"""/*
row = "One synthetic record."
description = "Made for the benchmark."
key = ["person_id"]

[columns]
person_id = ["text", "Key"]
{columns}

[inputs."{VIEW}"]
*/
select
    t.external_id as person_id, {cleaned},
    t.raw_id, t.first_seq, array['benchmark'] as source_systems, array[]::text[] as quality_flags,
    t.first_seen_at, t.is_present, t.removed_at
from {VIEW} t
cross join lateral jsonb_to_record(t.payload) f ({unpacked})
where cast(:keys as text[]) is null or t.external_id = any(cast(:keys as text[]))
"""


def load(rows: int, database: Database, version: int) -> None:
    """Bring one version of all records into bronze."""
    run = ingest(
        database, HISTORIES, (rows, version), request=ReadRequest(), origin=Origin(),
        batch_size=load_settings().batch_size, lock_wait_seconds=10,
    )  # fmt: skip
    if run.counts.created + run.counts.updated != rows:
        raise RuntimeError("not every record got a version")


def load_people(people: University, streams: list[StreamDeclaration], database: Database, version: int) -> None:
    """The same of what people are made from: each record of theirs differs from the one before."""
    for stream in streams:
        bring(database, stream, partial(versions_of, people, stream.name, version))


def versions_of(people: University, stream: str, version: int) -> Iterator[dict[str, Any]]:
    for record in people.records(stream):
        yield record | MOVED[stream][1](record, version) if stream in MOVED else record


def below(table: str) -> list[Definition]:
    """The definition of a table of the hub and of all that it is made from, each after its inputs."""
    wanted = {f"silver.{table}"}
    found = []
    for definition in reversed(load_definitions(SQL_ROOT)):
        if definition.name in wanted:
            wanted.update(definition.inputs)
            found.append(definition)
    return found[::-1]


def refreshed(url: str, definitions: list[Definition]) -> float:
    """Seconds of the server's processor for full refreshes into the empty tables."""
    with administrator(url) as connection:
        connection.exec_driver_sql(f"truncate {', '.join(definition.name for definition in definitions)}")
    settle(url, *(definition.name for definition in definitions))
    database = Database(url)
    with database.connect() as connection:
        before = server_seconds(connection)
    # The pool has this one session.
    for definition in definitions:
        refresh(database, definition, origin=Origin(), full=True, lock_wait_seconds=10)
    with database.connect() as connection:
        spent = server_seconds(connection) - before
    database.dispose()
    return spent


def work(url: str, often: str, rows: int, sql_root: str | None) -> dict[str, Any]:
    """The least seconds of full refreshes over records of one version and of ten, in turns: what else runs adds to both.

    sql_root: where the table stands that is made here; None: people of the hub.
    """
    if sql_root:
        bring_version, definitions = partial(load, rows), list(load_definitions(Path(sql_root)))
    else:
        definitions = below("users")
        inputs = {name for definition in definitions for name in definition.inputs}
        streams = [stream for stream in STREAMS if f"{stream.layer}.{stream.table}" in inputs]
        bring_version = partial(load_people, University(World(SEED, "tiny"), rows), streams)
    contestants = {"once": (url, 1), "often": (often, VERSIONS)}
    for place, versions in contestants.values():
        with administrator(place) as connection:
            # All that a refresh costs is then the cost of one process.
            name = make_url(place).database
            connection.exec_driver_sql(f"alter database {name} set max_parallel_workers_per_gather = 0")
        database = Database(place)
        for version in range(1, versions + 1):
            bring_version(database, version)
            # Between them the server tidies up, as it does from day to day.
            settle(place, *BRONZE)
        database.dispose()
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS if sql_root else ROUNDS_OF_PEOPLE):
        for name, (place, _) in contestants.items():
            spent[name].append(refreshed(place, definitions))
    return {name: min(seconds) for name, seconds in spent.items()}


def benchmark(server: EmbeddedPostgres, rows: int) -> Report:
    """Full refreshes of the same tables over records without a history and with one."""
    with tempfile.TemporaryDirectory() as folder:
        root = copy_sql(Path(folder) / "sql")
        path = root / "silver" / "sources" / f"{TABLE}.sql"
        path.parent.mkdir(parents=True)
        path.write_text(definition_text(), encoding="utf-8")
        once, often = (
            new_database(server, name, root, (HISTORIES,), load_definitions(root))
            for name in ("history_once", "history_often")
        )
        say(f"history: {rows:,} records, {VERSIONS} versions of each")
        found = contestant("history", once, {"often": often, "rows": rows, "sql_root": str(root)})
    once, often = (
        new_database(server, name, SQL_ROOT, STREAMS, load_definitions(SQL_ROOT))
        for name in ("people_once", "people_often")
    )
    say(f"history: {rows:,} people, {VERSIONS} versions of each")
    people = contestant("history", once, {"often": often, "rows": rows, "sql_root": None})
    return Report(
        [
            Measure("silver: full, ten times the history", found["often"] / found["once"], "x once", 1.1),
            Measure("silver: full, one version of each record", found["once"], "s of CPU"),
            Measure(
                "users and what it needs: full, ten times the history", people["often"] / people["once"], "x once", 1.1
            ),
            Measure("users and what it needs: full, one version of each record", people["once"], "s of CPU"),
        ]
    )


if __name__ == "__main__":
    serve(work)
