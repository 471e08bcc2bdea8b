"""The one name of a table, its asset key (`silver/departments`), and every other spelling of it."""

from collections.abc import Iterable
from difflib import get_close_matches

from lsats_dagster.cli.hub import hub
from lsats_dagster.settings import ConfigurationError
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import subject


def asset_keys() -> dict[str, str]:
    """The asset keys of the hub by the names of the runs."""
    return hub().asset_keys


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
    return next(definition for definition in hub().tables if subject(definition).label == key)


def offer(spelling: str, names: Iterable[str]) -> str:
    """`; did you mean ...?`, or nothing when no name is near."""
    near = get_close_matches(spelling.replace(".", "/"), list(names), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""
