"""The hub of three streams and the tables made of them, on which all is proved that does not depend on how many there are.

What does is asked of the whole hub, once for each question. As a program, this is `lsats` on the hub of three streams.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextvars import copy_context
from dataclasses import replace
from typing import TypeVar

import dagster as dg

from lsats_dagster.cli import main
from lsats_dagster.cli.hub import GIVEN, Hub, whole
from lsats_dagster.definitions import build_definitions
from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.source import Source
from lsats_dagster.sources import tdx, umich_api
from lsats_dagster.transforms.definition import Definition

T = TypeVar("T")


def with_streams(source: Source, *streams: StreamDeclaration) -> Source:
    """A source of these of its streams alone."""
    tables = {stream.table for stream in streams}
    cadences = {table: cadence for table, cadence in source.cadences.items() if table in tables}
    return replace(source, streams=streams, cadences=cadences)


def made_of(sources: Iterable[Source], tables: Iterable[Definition]) -> tuple[Definition, ...]:
    """Those of the tables, each after its inputs, that are made of the streams of these sources alone."""
    known = {f"{stream.layer}.{stream.table}" for source in sources for stream in source.streams}
    made = []
    for table in tables:
        if all(name in known or name.startswith("curated.") for name in table.inputs):
            known.add(table.name)
            made.append(table)
    return tuple(made)


FEW: tuple[Source, ...] = (
    with_streams(umich_api.SOURCE, umich_api.DEPARTMENTS),
    with_streams(tdx.SOURCE, tdx.DEPARTMENTS, tdx.DEPARTMENT_DETAILS),
)
FEW_TABLES = made_of(FEW, whole().tables)
FEW_HUB = Hub(FEW, FEW_TABLES)
FEW_STREAMS = FEW_HUB.streams
FEW_KEYS: Sequence[str] = tuple(FEW_HUB.asset_keys.values())
WHOLE_KEYS: Sequence[str] = tuple(whole().asset_keys.values())
# The command on that hub as a process of its own.
LSATS_OF_FEW = (sys.executable, "-m", "lsats_dagster_tests.hubs")


def on(hub: Hub, work: Callable[[], T]) -> T:
    """What `work` gives where commands work on this hub."""
    context = copy_context()
    context.run(GIVEN.set, hub)
    return context.run(work)


def few_definitions() -> dg.Definitions:
    """The hub of three streams as Dagster runs it, new at each call."""
    return build_definitions(FEW, FEW_TABLES)


if __name__ == "__main__":
    GIVEN.set(FEW_HUB)
    main()
