"""Which tables are brought up to date here, and since when each is waited for: alerts and `lsats status` judge by it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from lsats_dagster.runs import Status
from lsats_dagster.source import NIGHTLY, Cadence, Source
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import subject


@dataclass(frozen=True)
class Watched:
    """A table that is brought up to date here: its asset key as people read it, and how often it is due."""

    table: str
    cadence: Cadence


def sources_of(definition: Definition, sources: Sequence[Source], tables: Sequence[Definition]) -> set[str]:
    """Names of the sources whose streams reach this table, also through other tables."""
    streams = {f"{stream.layer}.{stream.table}": source.name for source in sources for stream in source.streams}
    by_name = {table.name: table for table in tables}
    found: set[str] = set()
    for name in definition.inputs:
        if name in by_name:
            found |= sources_of(by_name[name], sources, tables)
        elif name in streams:
            found.add(streams[name])
    return found


def watched(sources: Sequence[Source], tables: Sequence[Definition]) -> dict[str, Watched]:
    """Name of the runs -> what they write, of every stream of these sources and every table made of one."""
    streams = {
        stream.name: Watched(stream.label, source.cadence_of(stream)) for source in sources for stream in source.streams
    }
    return streams | {
        subject(definition).name: Watched(subject(definition).label, NIGHTLY)
        for definition in tables
        if sources_of(definition, sources, tables)
    }


def waited_for_since(row: Status | None, begun: datetime) -> datetime:
    """The last success of a table; before it its first run, and before that the first run of the hub."""
    return begun if row is None else row.last_success or row.first_started_at
