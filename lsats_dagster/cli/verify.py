"""`lsats verify`: whether what the hub holds is right."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import resolved
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.verify import Verdict
from lsats_dagster.transforms.verify import verify as verify_tables


def register(app: typer.Typer) -> None:
    app.command("verify")(verify)


def verify(
    tables: Annotated[
        list[str] | None, typer.Argument(help="Tables (departments); all of them when none is named.")
    ] = None,
    as_json: JSON = False,
) -> None:
    """Prove that incremental and full refreshes give the same tables, on the data that is there. Writes nothing.

    Example: lsats verify departments
    """
    definitions = chosen(tables or [])
    with hub_environment() as settings, hub_database(settings) as database:
        verdicts = []
        # One after the other: of many tables the first are told while the last are still computed.
        for verdict in verify_tables(database, definitions, lock_wait_seconds=settings.lock_wait_seconds):
            verdicts.append(verdict)
            if not as_json:
                show(verdict)
    if as_json:
        told = [asdict(verdict) | {"table": key(verdict), "equal": verdict.equal} for verdict in verdicts]
        print(json.dumps(told, indent=2))
    if not all(verdict.equal for verdict in verdicts):
        raise typer.Exit(1)


def show(verdict: Verdict) -> None:
    """Print what came of one table."""
    mark = "✅" if verdict.equal else "❌"
    lost = f", {verdict.lost} rows of its inputs in none" if verdict.lost else ""
    print(
        f"{mark} {key(verdict)}: {verdict.rows} rows, {verdict.differing} differing, "
        f"{verdict.missing} missing, {verdict.lingering} lingering{lost}",
        flush=True,
    )


def key(verdict: Verdict) -> str:
    """The asset key of the table."""
    return verdict.table.replace(".", "/")


def chosen(tables: list[str]) -> list[Definition]:
    """The named definitions and what they read, each after its inputs; all of them when none is named."""
    definitions = hub().tables
    by_name = {definition.name: definition for definition in definitions}
    waiting = [resolved(name, "silver").replace("/", ".") for name in tables] or list(by_name)
    wanted: set[str] = set()
    while waiting:
        name = waiting.pop()
        wanted.add(name)
        waiting += [table for table in by_name[name].inputs if table in by_name and table not in wanted]
    return [definition for definition in definitions if definition.name in wanted]
