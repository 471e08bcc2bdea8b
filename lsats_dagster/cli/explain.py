"""`lsats explain`: one row, value by value."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from sqlalchemy import Connection

from lsats_dagster.cli import JSON
from lsats_dagster.cli.environment import hub_database, hub_environment
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import asset_keys, silver_table
from lsats_dagster.cli.output import console, print_missing, table, typed
from lsats_dagster.cli.output import show as show_table
from lsats_dagster.cli.pages import page, section, sentence, write
from lsats_dagster.cli.pages import table as pages_table
from lsats_dagster.ingestion.quarantine import kept
from lsats_dagster.local_time import local
from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.engine import subject
from lsats_dagster.transforms.explain import BronzeRow, Contributor, Explanation, Field, apart, near
from lsats_dagster.transforms.explain import explain as explain_row

# What the help shows and the demo ends with: on its campus both sources have it, by two names, and keep it.
EXAMPLE = ("department", "168170")


def register(app: typer.Typer) -> None:
    app.command("explain")(explain)


def explain(
    entity: Annotated[
        str, typer.Argument(help="A silver table, in any spelling: silver/departments, department, user.")
    ],
    key: Annotated[str, typer.Argument(help="The row's key: a department code, a uniqname.")],
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write it as one static page, too.")] = None,
    as_json: JSON = False,
) -> None:
    """Show where every value of one row came from, what lost, and how its score came about.

    The demo has this row. Example: lsats explain department 168170
    """
    definition = silver_table(entity)
    with hub_environment() as settings, hub_database(settings) as database, database.transaction() as connection:
        explanation = explain_row(connection, definition, key, hub().tables)
        if explanation is None:
            missing(connection, definition, key)
            raise typer.Exit(1)
    explanation = replace(explanation, made_from=as_assets(explanation.made_from), bronze=as_assets(explanation.bronze))
    if as_json:
        print(json.dumps(asdict(explanation), indent=2, default=str))
    elif html is None:
        show(explanation)
    if html:
        write(html, as_page(explanation))
        print(f"✅ {html} shows it; its owner alone may read it", file=sys.stderr)


def missing(connection: Connection, definition: Definition, key: str) -> None:
    """Print that there is no such row, and what has its key or one like it: rows, unlinked and quarantined records."""
    print_missing(subject(definition).label, key, near(connection, definition, key))
    for record in apart(connection, hub().tables, key):
        print(f"⚠️ {record.table} {record.key}, a record with this key or candidate: {words(record.told)}")
    for quarantined in kept(connection, every=False, key=key):
        stream = asset_keys().get(quarantined.stream, quarantined.stream)
        print(f"⚠️ {stream}, a record with this key or value in quarantine: {quarantined.reason}")
        print(f"   -> {typed(f'lsats quarantine show {quarantined.quarantine_id}')}")


def show(explanation: Explanation) -> None:
    """Print an explanation for a person."""
    out = console(180)
    show_fields(out, explanation, explanation.fields)
    joined = table("how it was joined", "key", "present", "what is said of it", whole=("how it was joined",))
    for cells in joined_rows(explanation):
        joined.add_row(*cells)
    if joined.rows:
        show_table(joined, 180)
    decided = table("people decided", "what", whole=("people decided",))
    for decision in explanation.decisions:
        decided.add_row(decision.table, words(decision.told))
    if decided.rows:
        show_table(decided, 180)
    apart_rows = table("not joined to it", "key", "what is said of it", whole=("not joined to it",))
    for record in explanation.apart:
        apart_rows.add_row(record.table, record.key, words(record.told))
    if apart_rows.rows:
        show_table(apart_rows, 180)
    rows = table("made from", "key", "present", "read at", "seq", "bronze row", whole=("made from",))
    for cells in contributor_rows(explanation):
        rows.add_row(*cells)
    show_table(rows, 180)


def as_page(explanation: Explanation) -> str:
    """The same as a static page."""
    return page(
        f"{explanation.table} {explanation.key}",
        sentence(f"{state(explanation)}, score {explanation.score:.2f}"),
        section(
            "Flags",
            pages_table(("flag", "costs", "meaning"), explanation.flags, "No flag: nothing is wrong with this row."),
        ),
        section(
            "Values",
            pages_table(
                ("field", "value", "from", "what lost", "bronze seq", "read at"),
                (
                    (
                        item.name,
                        text_of(item.value),
                        "\n".join([origin(item), *agreeing(item)]),
                        "\n".join(f"{source}: {text_of(value)}" for source, value in item.losing.items()),
                        ", ".join(map(str, item.bronze)),
                        local(item.read_at) if item.read_at else "",
                    )
                    for item in explanation.fields
                ),
                "It has none.",
            ),
        ),
        section(
            "How it was joined",
            pages_table(
                ("row", "key", "present", "what is said of it"),
                joined_rows(explanation),
                "Rows are joined to it by its own key alone.",
            ),
        ),
        section(
            "What people decided",
            pages_table(
                ("table", "what"),
                ((decision.table, words(decision.told)) for decision in explanation.decisions),
                "Nothing about this row itself.",
            ),
        ),
        section(
            "What may belong to it, and was not joined",
            pages_table(
                ("row", "key", "what is said of it"),
                ((record.table, record.key, words(record.told)) for record in explanation.apart),
                "Nothing.",
            ),
        ),
        section(
            "Made from",
            pages_table(
                ("row", "key", "present", "read at", "seq", "bronze row"), contributor_rows(explanation), "Nothing."
            ),
        ),
    )


def state(explanation: Explanation) -> str:
    """Whether a source still has it."""
    return "present" if explanation.is_present else "gone from every source"


def words(told: Mapping[str, Any]) -> str:
    """What columns say of how a row was joined, in one line."""
    return "; ".join(f"{name}: {text_of(value)}" for name, value in told.items())


def joined_rows(explanation: Explanation) -> Iterator[tuple[str, ...]]:
    """The row itself and all below it that say how they were joined."""
    if explanation.told:
        yield explanation.table, explanation.key, yes(explanation.is_present), words(explanation.told)
    for _, row in below(explanation.made_from):
        if isinstance(row, Contributor) and row.told:
            yield row.table, row.key, yes(row.is_present), words(row.told)


def contributor_rows(explanation: Explanation) -> Iterator[tuple[str, ...]]:
    """All that it is made from, each below what it shaped."""
    for depth, row in below(explanation.made_from):
        is_bronze = isinstance(row, BronzeRow)
        yield (
            "  " * depth + (row.stream if is_bronze else row.table),
            row.key,
            yes(row.is_present),
            *((local(row.ingested_at), str(row.seq), row.raw_id) if is_bronze else ("", "", "")),
        )


def yes(holds: bool) -> str:
    return "yes" if holds else "no"


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
    print(f"📊 {explanation.table} {explanation.key}: {state(explanation)}, score {explanation.score:.2f}")
    for flag, deduction, meaning in explanation.flags:
        print(f"   ⚠️ {flag} (-{deduction}): {meaning}")
    fields = table("field", "value, and what lost", "from (bronze seq)", whole=("field",))
    for item in shown:
        lost = (f"lost: {source}: {text_of(value)}" for source, value in item.losing.items())
        seqs = f"({', '.join(map(str, item.bronze))})" if item.bronze else ""
        from_ = [f"{origin(item)} {seqs}".strip(), *agreeing(item)]
        fields.add_row(item.name, "\n".join([text_of(item.value), *lost]), "\n".join(from_))
    out.print(fields)


def origin(item: Field) -> str:
    """The source of a value, or those that it is computed from."""
    return item.source or ", ".join(item.computed_from)


def agreeing(item: Field) -> list[str]:
    """A line about the other sources that have the same value."""
    return [f"also from {', '.join(item.agreeing)}"] if item.agreeing else []


def text_of(value: Any) -> str:
    """A value in one line; NULL is shown as a dash."""
    if value is None:
        return "-"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else str(value)
