"""`lsats history`: what changed when."""

import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from typing import Annotated

import typer
from sqlalchemy import Connection

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.cli.explain import text_of
from lsats_dagster.cli.hub import hub, whole
from lsats_dagster.cli.names import asset_keys, silver_table
from lsats_dagster.cli.output import print_missing
from lsats_dagster.local_time import local
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import subject
from lsats_dagster.transforms.explain import near
from lsats_dagster.transforms.history import Version
from lsats_dagster.transforms.history import history as versions_of


def register(app: typer.Typer) -> None:
    app.command("history")(history)


def history(
    entity: Annotated[str, typer.Argument(help="A silver table, in any spelling: silver/departments, department.")],
    key: Annotated[str, typer.Argument(help="The row's key: a department code.")],
    limit: Annotated[int, typer.Option(min=1, help="Show no more than so many versions, the newest.")] = 20,
    as_json: JSON = False,
) -> None:
    """Show what changed when of one row: each version of the records behind it, as differences.

    It reads with the rights of who operates the hub, as explain does, and hides nobody. Example: lsats history department 168170
    """
    definition = silver_table(entity)
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        found = versions(connection, definition, key, limit)
        offered = near(connection, definition, key) if found is None else {}
    if found is None:
        print_missing(subject(definition).label, key, offered)
        raise typer.Exit(1)
    shown, total = found
    if as_json:
        print(json.dumps([asdict(version) for version in shown], indent=2, default=str))
        return
    print(f"📊 {subject(definition).label} {key}: {total} version{'s' * (total != 1)} of what it is made from")
    print_versions(shown)
    if total > len(shown):
        print(f"The newest {len(shown)} of {total}: `--limit {total}` shows all")


def versions(connection: Connection, definition: Definition, key: str, limit: int) -> tuple[list[Version], int] | None:
    """The newest versions behind a row, streams by their asset keys, and how many there are; None without such a row."""
    volatile = {stream.name: stream.hash_rule.volatile for stream in whole().streams}
    found = versions_of(connection, definition, key, hub().tables, volatile, limit=limit)
    if found is None:
        return None
    return [replace(version, stream=asset_keys().get(version.stream, version.stream)) for version in found[0]], found[1]


def print_versions(shown: Iterable[Version]) -> None:
    """Print versions for a person, each with what it differs in from the one before."""
    for version in shown:
        print(f"{local(version.at)}  {version.stream} {version.key}: {version.change}")
        for item in version.differences:
            print(f"   {item.field}: {text_of(item.before)} -> {text_of(item.after)}")
