"""What is wrong with what stands: failed checks, late tables, sources whose settings are gone. Only what is declared and
set up counts: a table that was renamed and a source that the hub does without are missed by nobody.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from lsats_dagster.automation.alerts import Alert
from lsats_dagster.local_time import local
from lsats_dagster.runs import Status
from lsats_dagster.source import Source, lacking
from lsats_dagster.watched import Watched, waited_for_since

# Kinds of findings, as their keys begin.
CHECK, LATE, UNSET = "check:", "late:", "unset:"


def page(table: Watched) -> str:
    """The page of a table in Dagster's UI."""
    return f"/assets/{table.table}"


def checks_page(table: Watched) -> str:
    return f"{page(table)}?view=checks"


def findings(
    rows: Sequence[Status], watch: Mapping[str, Watched], unset: Iterable[Source], now: datetime
) -> list[Alert]:
    """One alert per failed check, per late table, and per source that was read once and is not set up now (`unset`)."""
    known = [row for row in rows if row.name in watch]
    return [*failed_checks(known, watch), *late_tables(known, watch, now), *lost_sources(rows, unset)]


def failed_checks(rows: Iterable[Status], watch: Mapping[str, Watched]) -> list[Alert]:
    """One alert per check that stands as failed."""
    return [
        Alert(
            f"{CHECK}{row.name}:{check}",
            f"{watch[row.name].table}: check {check} failed",
            description,
            page=checks_page(watch[row.name]),
            run_id=row.dagster_run_id,
        )
        for row in rows
        for check, description in row.failed_checks.items()
    ]


def late_tables(rows: Sequence[Status], watch: Mapping[str, Watched], now: datetime) -> list[Alert]:
    """One alert per table whose last success is older than its cadence allows, or that never ran at all."""
    alerts = []
    begun = min((row.first_started_at for row in rows), default=now)
    by_name = {row.name: row for row in rows}
    for name, table in sorted(watch.items()):
        row = by_name.get(name)
        if now - waited_for_since(row, begun) > table.cadence.late_after:
            last = local(row.last_success) if row and row.last_success else "never"
            body = f"Last success: {last}" if row else "It never ran"
            alerts.append(
                Alert(
                    f"{LATE}{name}",
                    f"{table.table} is late",
                    f"{body}; expected within {in_words(table.cadence.late_after)}.",
                    page=page(table),
                    run_id=row.dagster_run_id if row else None,
                )
            )
    return alerts


def in_words(span: timedelta) -> str:
    """A span of hours; beyond two days, of days."""
    return f"{span / timedelta(days=1):g} days" if span > timedelta(days=2) else f"{span / timedelta(hours=1):g} hours"


def lost_sources(rows: Iterable[Status], unset: Iterable[Source]) -> list[Alert]:
    """One alert, never repeated, per source that was read once and has no settings any more."""
    read = {row.name: row for row in rows}
    alerts = []
    for source in unset:
        known = [read[stream.name] for stream in source.streams if stream.name in read]
        if known:
            body = f"Its tables are not read and not watched any more. {lacking([source])}"
            run_id = known[0].dagster_run_id
            alerts.append(
                Alert(f"{UNSET}{source.name}", f"{source.title} is not set up any more", body, run_id=run_id, once=True)
            )
    return alerts


def over(
    keys: Iterable[str], found: Iterable[Alert], watch: Mapping[str, Watched], sources: Iterable[Source]
) -> list[Alert]:
    """Of the findings with these keys, which were told: those that are no more, as alerts that say so.

    What is not watched any more did not recover: it ends without a word.
    """
    titles = {source.name: source.title for source in sources}
    still = {alert.key for alert in found}
    alerts = []
    for key in (key for key in keys if key not in still):
        name, _, check = key.partition(":")[2].partition(":")
        table = watch.get(name)
        if key.startswith(UNSET) and name in titles:
            alerts.append(Alert(key, f"{titles[name]} is set up again", "Its tables are read and watched again."))
        elif key.startswith(LATE) and table is not None:
            alerts.append(Alert(key, f"{table.table} is current again", "It was late.", page=page(table)))
        elif key.startswith(CHECK) and table is not None:
            subject_line = f"{table.table}: check {check} is no longer red"
            alerts.append(Alert(key, subject_line, "It had failed.", page=checks_page(table)))
    return alerts
