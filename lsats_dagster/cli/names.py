"""The one name of a table, its asset key (`silver/departments`), and every other spelling of it."""

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache

from lsats_dagster.settings import SQL_ROOT, ConfigurationError
from lsats_dagster.sources import STREAMS
from lsats_dagster.transforms.definition import Definition, declared
from lsats_dagster.transforms.engine import subject


@cache
def tables() -> tuple[Definition, ...]:
    """The silver tables as they are declared, for those who only read them."""
    return declared(SQL_ROOT)


@cache
def asset_keys() -> dict[str, str]:
    """Name of the runs of a stream or table (`tdx/department`) -> asset key, in the order in which data flows."""
    subjects = [*(stream.subject for stream in STREAMS), *map(subject, tables())]
    return {written.name: written.label for written in subjects}


def resolve(spelling: str, layer: str | None = None) -> str | None:
    """The asset key that `spelling` means: `silver/departments`, `silver.departments`, the name of its runs, or, where only
    one table (of the layer, where one is given) is called so, `departments` and `department`. None when nothing is.
    """
    keys = [key for key in asset_keys().values() if layer in (None, key.split("/")[0])]
    exact = asset_keys().get(spelling, spelling.replace(".", "/"))
    if exact in keys:
        return exact
    found = [key for key in keys if key.split("/")[1] in (spelling, f"{spelling}s")]
    return found[0] if len(found) == 1 else None


def resolved(spelling: str, layer: str | None = None) -> str:
    """The same; ConfigurationError with near names when nothing is called so."""
    key = resolve(spelling, layer)
    if key is None:
        keys = [key for key in asset_keys().values() if layer in (None, key.split("/")[0])]
        raise ConfigurationError(
            f"nothing is called {spelling!r}{offer(spelling, keys)}. Tables: {', '.join(sorted(keys))}"
        )
    return key


def silver_table(spelling: str) -> Definition:
    """The silver table that `spelling` means; ConfigurationError with near names when none is called so."""
    key = resolved(spelling, "silver")
    return next(definition for definition in tables() if subject(definition).label == key)


def offer(spelling: str, names: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing when no name is near."""
    near = get_close_matches(spelling.replace(".", "/"), list(names), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""
