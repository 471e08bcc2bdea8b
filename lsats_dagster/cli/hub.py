"""The hub that commands work on: which sources and silver tables it has."""

from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, cached_property

from lsats_dagster.ingestion.views import StreamDeclaration
from lsats_dagster.settings import SQL_ROOT
from lsats_dagster.source import Source
from lsats_dagster.sources import SOURCES
from lsats_dagster.transforms.definition import Definition, declared
from lsats_dagster.transforms.engine import subject


@dataclass(frozen=True)
class Hub:
    """Sources, and the tables made of them as they are declared: each after its inputs, no look taken at its SQL."""

    sources: tuple[Source, ...]
    tables: tuple[Definition, ...]

    @property
    def streams(self) -> tuple[StreamDeclaration, ...]:
        """Every stream of every source."""
        return tuple(stream for source in self.sources for stream in source.streams)

    @cached_property
    def asset_keys(self) -> dict[str, str]:
        """Name of the runs of a stream or table (`tdx/department`) -> asset key, in the order in which data flows."""
        subjects = [*(stream.subject for stream in self.streams), *map(subject, self.tables)]
        return {written.name: written.label for written in subjects}


# Set by whoever runs commands on a hub of fewer sources and tables, as `build_definitions` takes them.
GIVEN: ContextVar[Hub] = ContextVar("hub")


def hub() -> Hub:
    """The given one, or all that this checkout declares."""
    return GIVEN.get(None) or whole()


@cache
def whole() -> Hub:
    """All that this checkout declares. The schema of a database is always that of the whole."""
    return Hub(SOURCES, declared(SQL_ROOT))
