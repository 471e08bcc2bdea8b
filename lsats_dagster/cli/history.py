"""`lsats history`: what changed when."""

import json
from dataclasses import asdict, replace
from typing import Annotated

import typer

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.cli.explain import text_of
from lsats_dagster.cli.hub import hub, whole
from lsats_dagster.cli.names import asset_keys, silver_table
from lsats_dagster.cli.output import print_missing
from lsats_dagster.local_time import local
from lsats_dagster.transforms.engine import subject
from lsats_dagster.transforms.explain import near
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
    volatile = {stream.name: stream.hash_rule.volatile for stream in whole().streams}
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        found = versions_of(connection, definition, key, hub().tables, volatile, limit=limit)
        offered = near(connection, definition, key) if found is None else {}
    if found is None:
        print_missing(subject(definition).label, key, offered)
        raise typer.Exit(1)
    versions, total = found
    versions = [replace(version, stream=asset_keys().get(version.stream, version.stream)) for version in versions]
    if as_json:
        print(json.dumps([asdict(version) for version in versions], indent=2, default=str))
        return
    print(f"📊 {subject(definition).label} {key}: {total} version{'s' * (total != 1)} of what it is made from")
    for version in versions:
        print(f"{local(version.at)}  {version.stream} {version.key}: {version.change}")
        for item in version.differences:
            print(f"   {item.field}: {text_of(item.before)} -> {text_of(item.after)}")
    if total > len(versions):
        print(f"The newest {len(versions)} of {total}: `--limit {total}` shows all")
