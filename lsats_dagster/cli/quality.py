"""`lsats quality`: what is wrong in the silver tables, flag by flag."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import silver_table
from lsats_dagster.cli.output import show, table
from lsats_dagster.transforms.quality import FlagQuality
from lsats_dagster.transforms.quality import quality as quality_of


def register(app: typer.Typer) -> None:
    app.command("quality")(quality)


def quality(
    of: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE]", help="One table (silver/departments), with flags that no row carries."),
    ] = None,
    as_json: JSON = False,
) -> None:
    """Show what is wrong in the silver tables, flag by flag: what it means and costs, how many rows have it, and examples.

    Change is that of the last seven days. Example: lsats quality departments
    """
    definitions = [silver_table(of)] if of else hub().tables
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        found = quality_of(connection, definitions, examples=True)
    if as_json:
        print(json.dumps([asdict(flag) | {"change": flag.change} for flag in found], indent=2, default=str))
        return
    if not found:
        print("Nothing has run yet. Try `lsats run hub_daily`, or `lsats demo`.")
        return
    shown = table("table", "flag", "rows", "share", "change", "costs", "meaning", "examples", title="📊 Quality")
    for flag in found:
        if of or carried(flag):
            keys = ", ".join(flag.examples)
            shown.add_row(
                flag.table,
                flag.flag,
                str(flag.rows),
                percent(flag),
                changed(flag),
                str(flag.deduction),
                flag.meaning,
                keys,
            )
    show(shown, 180)
    if not shown.rows:
        print("✅ No row carries a flag")
    print(compared(found))


def carried(flag: FlagQuality) -> bool:
    """Whether any row carries it, or carried it a week ago."""
    return bool(flag.rows or flag.rows_before)


def percent(flag: FlagQuality) -> str:
    """The share of present rows that carry it."""
    return "" if flag.share is None else f"{flag.share:.1%}"


def changed(flag: FlagQuality) -> str:
    """The change within a week, with its sign; a question mark where nothing is known of then."""
    return "?" if flag.change is None else f"{flag.change:+d}" if flag.change else "0"


def compared(found: list[FlagQuality]) -> str:
    """The sentence that says with what the change compares."""
    new = list(dict.fromkeys(flag.table for flag in found if flag.counted_before_at is None))
    if not new:
        return "Change: since the newest run of each table that is at least seven days old"
    tables = "any table" if len(new) == len({flag.table for flag in found}) else ", ".join(new)
    return f"Change: no run of {tables} is seven days old yet, so there is nothing to compare with"
