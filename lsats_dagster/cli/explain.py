"""`lsats explain`: one row, value by value."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any

import typer
from rich.console import Console

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import asset_keys, silver_table
from lsats_dagster.cli.output import console, print_missing, table
from lsats_dagster.cli.output import show as show_table
from lsats_dagster.local_time import local
from lsats_dagster.transforms.engine import subject
from lsats_dagster.transforms.explain import BronzeRow, Contributor, Explanation, Field, near
from lsats_dagster.transforms.explain import explain as explain_row

# What the help shows and the demo ends with: on its campus both sources have it, by two names, and keep it.
EXAMPLE = ("department", "168170")


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    entity: Annotated[str, typer.Argument(help="A silver table, in any spelling: silver/departments, department.")],
    key: Annotated[str, typer.Argument(help="The row's key: a department code.")],
    as_json: JSON = False,
) -> None:
    """Show where every value of one row came from, what lost, and how its score came about.

    The demo has this row. Example: lsats explain department 168170
    """
    definition = silver_table(entity)
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        explanation = explain_row(connection, definition, key, hub().tables)
        offered = near(connection, definition, key) if explanation is None else {}
    if explanation is None:
        print_missing(subject(definition).label, key, offered)
        raise typer.Exit(1)
    explanation = replace(explanation, made_from=as_assets(explanation.made_from), bronze=as_assets(explanation.bronze))
    if as_json:
        print(json.dumps(asdict(explanation), indent=2, default=str))
    else:
        show(explanation)


def show(explanation: Explanation) -> None:
    """Print an explanation for a person."""
    out = console(180)
    show_fields(out, explanation, explanation.fields)
    rows = table("made from", "key", "present", "read at", "seq", "bronze row", whole=("made from",))
    for depth, row in below(explanation.made_from):
        is_bronze = isinstance(row, BronzeRow)
        rows.add_row(
            "  " * depth + (row.stream if is_bronze else row.table),
            row.key,
            "yes" if row.is_present else "no",
            *((local(row.ingested_at), str(row.seq), row.raw_id) if is_bronze else ("", "", "")),
        )
    show_table(rows, 180)


def as_assets(rows: Iterable[Any]) -> list[Any]:
    """The same rows, streams by their asset keys."""
    return [
        replace(row, stream=asset_keys().get(row.stream, row.stream))
        if isinstance(row, BronzeRow)
        else replace(row, made_from=as_assets(row.made_from))
        for row in rows
    ]


def below(rows: Iterable[Contributor | BronzeRow], depth: int = 0) -> Iterator[tuple[int, Any]]:
    """Each row with how far it is from the explained one, followed by what it is made from."""
    for row in rows:
        yield depth, row
        if isinstance(row, Contributor):
            yield from below(row.made_from, depth + 1)


def show_fields(out: Console, explanation: Explanation, shown: list[Field]) -> None:
    """Print what the row is, its flags, and some of its fields."""
    state = "present" if explanation.is_present else "gone from every source"
    print(f"📊 {explanation.table} {explanation.key}: {state}, score {explanation.score:.2f}")
    for flag, deduction, meaning in explanation.flags:
        print(f"   ⚠️ {flag} (-{deduction}): {meaning}")
    fields = table("field", "value, and what lost", "from (bronze seq)", whole=("field",))
    for item in shown:
        lost = (f"lost: {source}: {text_of(value)}" for source, value in item.losing.items())
        seqs = f"({', '.join(map(str, item.bronze))})" if item.bronze else ""
        source = item.source or ", ".join(item.computed_from)
        fields.add_row(item.name, "\n".join([text_of(item.value), *lost]), f"{source} {seqs}".strip())
    out.print(fields)


def text_of(value: Any) -> str:
    """A value in one line; NULL is shown as a dash."""
    if value is None:
        return "-"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
