"""`lsats explain`: one row, value by value."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.settings import SQL_ROOT, ConfigurationError
from lsats_dagster.transforms.definition import load_definitions
from lsats_dagster.transforms.explain import Explanation, find_definition
from lsats_dagster.transforms.explain import explain as explain_row


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    entity: Annotated[str, typer.Argument(help="A silver table or its singular: department, tdx_departments.")],
    key: Annotated[str, typer.Argument(help="The row's key: a department code.")],
    as_json: JSON = False,
) -> None:
    """Show where every value of one row came from, what lost, and how its score came about.

    Example: lsats explain department 184500
    """
    definitions = load_definitions(SQL_ROOT)
    definition = find_definition(entity, definitions)
    if definition is None:
        tables = ", ".join(table.table for table in definitions)
        raise ConfigurationError(f"nothing is called {entity!r}. Tables: {tables}")
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        explanation = explain_row(connection, definition, key, definitions)
    if explanation is None:
        print(f"❌ {definition.name} has no row with the key {key}")
        raise typer.Exit(1)
    if as_json:
        print(json.dumps(asdict(explanation), indent=2, default=str))
    else:
        show(explanation)


def show(explanation: Explanation) -> None:
    """Print an explanation for a person."""
    console = Console()
    if not console.is_terminal:
        console.width = 180
    state = "present" if explanation.is_present else "gone from every source"
    console.print(f"📊 {explanation.table} {explanation.key}: {state}, score {explanation.score:.2f}", highlight=False)
    for flag, deduction, meaning in explanation.flags:
        console.print(f"   ⚠️ {flag} (-{deduction}): {meaning}", highlight=False)
    fields = Table("field", "value", "from", "losing values", "bronze seq", "read at (UTC)")
    for item in explanation.fields:
        losing = ", ".join(f"{source}: {text_of(value)}" for source, value in item.losing.items())
        read_at = f"{item.read_at:%Y-%m-%d %H:%M:%S}" if item.read_at else ""
        seqs = ", ".join(map(str, item.bronze))
        fields.add_row(item.name, text_of(item.value), item.source or "", losing, seqs, read_at)
    console.print(fields)
    rows = Table("stream", "key", "bronze row", "seq", "read at (UTC)", "present")
    for row in explanation.bronze:
        read_at = f"{row.ingested_at:%Y-%m-%d %H:%M:%S}"
        rows.add_row(row.stream, row.key, row.raw_id, str(row.seq), read_at, "yes" if row.is_present else "no")
    console.print(rows)


def text_of(value: Any) -> str:
    """A value in one line; NULL is shown as a dash."""
    if value is None:
        return "-"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
