"""`lsats db`: the schema of the hub's database."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import make_url

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_environment
from lsats_dagster.database import Database
from lsats_dagster.migrations import Upgrade, upgrade
from lsats_dagster.settings import REPOSITORY, SQL_ROOT, Settings, example
from lsats_dagster.sources import KINDS, STREAMS
from lsats_dagster.transforms.definition import load_definitions
from lsats_dagster.transforms.dictionary import pages

db = typer.Typer(help="Upgrade the database, write its data dictionary.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    app.add_typer(db, name="db")


@db.command("upgrade")
def upgrade_command(as_json: JSON = False) -> None:
    """Bring the database to the state of this checkout: roles, migrations, functions, tables, views.

    Uses DATABASE_ADMIN_URL when it is set, and lets the login of DATABASE_URL run the assets. Example: lsats db upgrade
    """
    with hub_environment(make=True) as settings:
        done = upgrade_database(settings)
    if as_json:
        print(json.dumps(asdict(done), indent=2))
        return
    for name in done.applied:
        print(f"🆕 {name}")
    print(f"✅ {done.streams} stream views and {done.tables} silver tables are as this checkout says")


def upgrade_database(settings: Settings) -> Upgrade:
    """Run the upgrade on the login that may do it, for the one that runs the assets."""
    assert settings.database_url is not None
    service = make_url(settings.database_url.get_secret_value()).username
    url = settings.database_admin_url or settings.database_url
    database = Database(url.get_secret_value(), role=None, application="lsats db upgrade")
    try:
        return upgrade(database, SQL_ROOT, STREAMS, load_definitions(SQL_ROOT), service)
    finally:
        database.dispose()


@db.command("docs")
def docs(
    folder: Annotated[Path, typer.Option(help="Where the pages go.")] = REPOSITORY / "docs" / "tables",
) -> None:
    """Write the data dictionary from the table definitions, and .env.example from the settings.

    Example: lsats db docs
    """
    written = pages(load_definitions(SQL_ROOT), SQL_ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.md"):
        if path.name not in written:
            path.unlink()
    for name, text in written.items():
        (folder / name).write_text(text, encoding="utf-8")
    (REPOSITORY / ".env.example").write_text(f"{example(KINDS)}\n", encoding="utf-8")
    print(f"✅ {len(written)} pages in {folder}, and .env.example")
