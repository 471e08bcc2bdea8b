"""`lsats report`: the state of the whole hub on one static page, without names of people."""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from lsats_dagster.cli.environment import hub_database, hub_environment, sources_read
from lsats_dagster.cli.findings import Finding, findings
from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import asset_keys
from lsats_dagster.cli.pages import Alarm, Cell, Command, page, section, sentence, table, write
from lsats_dagster.cli.quality import carried, changed, compared, percent
from lsats_dagster.cli.status import due
from lsats_dagster.database import Database
from lsats_dagster.ingestion.quarantine import kept as quarantined_records
from lsats_dagster.local_time import TIME_ZONE, local
from lsats_dagster.runs import Status, status
from lsats_dagster.source import Source
from lsats_dagster.transforms.agreement import Agreement, agreement
from lsats_dagster.transforms.definition import is_stream
from lsats_dagster.transforms.engine import subject
from lsats_dagster.transforms.kept import Kept, kept
from lsats_dagster.transforms.quality import FlagQuality, quality
from lsats_dagster.watched import Watched, waited_for_since, watched

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """What the page tells. rows, watch: by the name of the runs. quarantined: asset key of a stream -> records.
    agreements: asset key of a table -> its fields.
    """

    now: datetime
    rows: Mapping[str, Status]
    watch: Mapping[str, Watched]
    findings: list[Finding]
    quarantined: Mapping[str, int]
    flags: list[FlagQuality]
    kept: list[Kept]
    agreements: Mapping[str, list[Agreement]]


def register(app: typer.Typer) -> None:
    app.command("report")(report)


def report(
    html: Annotated[Path, typer.Option(metavar="FILE", help="The page; its owner alone may read it.")],
) -> None:
    """Write one static page: sources, freshness, findings with their commands, quality, conservation, agreement of sources.

    It holds no names of people. Of merged tables it computes every row: minutes on a large hub.
    Example: lsats report --html report.html
    """
    with hub_environment() as settings, hub_database(settings) as database:
        state = look(database, sources_read(settings))
    write(html, as_page(state))
    print(f"✅ {html}: {len(state.findings)} findings")


def look(database: Database, sources: Sequence[Source]) -> State:
    """All that the page tells, as the database holds it now."""
    now = datetime.now(UTC)
    watch = watched(sources, hub().tables)
    with database.transaction() as connection:
        rows = {row.name: row for row in status(connection)}
        found = findings(connection, rows, watch, now)
        records = quarantined_records(connection, every=False)
        flags = quality(connection, hub().tables, examples=False)
        conserved = [row for definition in hub().tables for row in kept(connection, definition)]
    agreements = {}
    for definition in hub().tables:
        if definition.sources:
            logger.info("🔄 %s: comparing its sources", subject(definition).label)
            with database.transaction() as connection:
                agreements[subject(definition).label] = agreement(connection, definition)
    quarantined = Counter(asset_keys().get(record.stream, record.stream) for record in records)
    return State(now, rows, watch, found, quarantined, flags, conserved, agreements)


def as_page(state: State) -> str:
    """The page."""
    return page(
        "LSATS data hub",
        sentence(f"State of {local(state.now)} ({TIME_ZONE}); all times by this clock."),
        section(
            "What needs an answer",
            table(
                ("table", "what", "answer"),
                ((found.table, found.sentence, Command(found.command)) for found in state.findings),
                "Nothing needs an answer.",
            ),
        ),
        section(
            "Sources",
            table(
                (
                    "source",
                    "table",
                    "state",
                    "last complete read",
                    "last success",
                    "next",
                    "present rows",
                    "quarantined",
                    "details left",
                ),
                source_rows(state),
                "The hub has no source.",
            ),
        ),
        section(
            "Silver tables",
            table(
                ("table", "state", "last success", "next", "present rows", "mean score"),
                silver_rows(state),
                "The hub has no silver table.",
            ),
        ),
        section(
            "Quality",
            table(
                ("table", "flag", "rows", "share", "change", "costs", "meaning"),
                (
                    (
                        flag.table,
                        flag.flag,
                        flag.rows,
                        percent(flag),
                        changed(flag),
                        f"{flag.deduction:.2f}",
                        flag.meaning,
                    )
                    for flag in state.flags
                    if carried(flag)
                ),
                "No row carries a flag.",
            ),
            sentence(compared(state.flags) if state.flags else "No silver table has run yet."),
        ),
        section(
            "Conservation",
            sentence(
                "Every present row of a table is behind a row of one of those made of it; what is in none is lost."
            ),
            table(
                ("rows of", "present", "are in", "in none", "records in quarantine"),
                kept_rows(state),
                "No table says which rows belong into it.",
            ),
        ),
        section(
            "Agreement of sources",
            sentence(
                "How often each source gives the value of a field, in order of precedence; of the rows in which several "
                "have one, how many differ, letter by letter."
            ),
            table(
                ("table", "field", "given by", "several have it", "differ", "share"),
                agreement_rows(state),
                "No table is merged from several sources.",
            ),
        ),
    )


def freshness(state: State, name: str) -> str:
    """What is to be said of how fresh a stream or table is."""
    row = state.rows.get(name)
    if row is not None and row.status == "failed":
        return Alarm("failed")
    if name not in state.watch:
        return "not set up"
    cadence = state.watch[name].cadence
    begun = min((found.first_started_at for found in state.rows.values()), default=state.now)
    age = state.now - waited_for_since(row, begun)
    if age > cadence.late_after:
        return Alarm("late")
    if row is None or row.last_success is None:
        return "waited for"
    return "due" if age > cadence.warn_after else "current"


def when(moment: datetime | None) -> str:
    return local(moment) if moment else "never"


def source_rows(state: State) -> Iterator[tuple[Cell, ...]]:
    """One row for each stream of each source."""
    for source in hub().sources:
        for number, stream in enumerate(source.streams):
            row = state.rows.get(stream.name)
            yield (
                "" if number else source.title,
                stream.label,
                freshness(state, stream.name),
                when(row.last_complete if row else None),
                when(row.last_success if row else None),
                due(state.watch.get(stream.name), state.now),
                row.row_count if row else None,
                state.quarantined.get(stream.label, 0),
                row.details_left if row else None,
            )


def silver_rows(state: State) -> Iterator[tuple[Cell, ...]]:
    """One row for each silver table."""
    means = {flag.table: flag.quality_mean for flag in state.flags}
    for definition in hub().tables:
        name, label = subject(definition).name, subject(definition).label
        row, mean = state.rows.get(name), means.get(label)
        yield (
            label,
            freshness(state, name),
            when(row.last_success if row else None),
            due(state.watch.get(name), state.now),
            row.row_count if row else None,
            f"{mean:.2f}" if mean is not None else "",
        )


def kept_rows(state: State) -> Iterator[tuple[Cell, ...]]:
    """One row for each table whose rows belong into others: present = in those + in none."""
    inputs = {definition.name: definition.inputs for definition in hub().tables}
    for name in dict.fromkeys(row.input for row in state.kept):
        rows = [row for row in state.kept if row.input == name]
        unclaimed = max(0, rows[0].present - sum(row.belonging for row in rows))
        lost = unclaimed + sum(row.lost for row in rows)
        streams = [key.replace(".", "/") for key in inputs.get(name, ()) if is_stream(key)]
        yield (
            name.replace(".", "/"),
            rows[0].present,
            "\n".join(f"{row.table.replace('.', '/')}: {row.belonging - row.lost:,}" for row in rows),
            Alarm(f"{lost:,}") if lost else "0",
            sum(state.quarantined.get(stream, 0) for stream in streams),
        )


def agreement_rows(state: State) -> Iterator[tuple[Cell, ...]]:
    """One row for each field that several sources may give."""
    for label, fields in state.agreements.items():
        for number, field in enumerate(fields):
            yield (
                "" if number else label,
                field.field,
                ", ".join(f"{source} {rows:,}" for source, rows in field.won.items()),
                field.several,
                field.differing,
                f"{field.differing / field.several:.1%}" if field.several else "",
            )
