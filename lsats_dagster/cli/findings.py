"""What needs an answer, each finding with the command that gives it."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from lsats_dagster.cli.hub import hub
from lsats_dagster.cli.names import asset_keys
from lsats_dagster.cli.output import typed
from lsats_dagster.ingestion.quarantine import kept
from lsats_dagster.local_time import local
from lsats_dagster.runs import Status
from lsats_dagster.watched import Watched, waited_for_since

APPROVAL = re.compile(r"; if they are really gone, run again with approve_removals (?P<run>[0-9a-f-]{36})$")


@dataclass(frozen=True)
class Finding:
    """One thing to answer: of which table, what it is, and the command that answers it."""

    table: str
    sentence: str
    command: str


def of_check(key: str, check: str, description: str) -> Finding:
    """A failed check of a table."""
    if refused := APPROVAL.search(description):
        told = APPROVAL.sub("; if they are really gone:", description)
        return Finding(key, f"check {check} failed: {told}", f"lsats run {key} --approve-removals {refused['run']}")
    # What came and went stands in the history; whether a table is as its inputs say, in its full computation.
    command = f"lsats {'verify' if key.startswith('silver/') and check != 'volume' else 'runs'} {key}"
    return Finding(key, f"check {check} failed: {description}", command)


def of_dry_run(key: str, would_fail: Mapping[str, str]) -> list[Finding]:
    """What a run would find of a table, by a dry run: check -> what it says."""
    return [Finding(key, f"check {check} would fail: {told}", f"lsats run {key}") for check, told in would_fail.items()]


def of_details(key: str, left: int, finish: str | None) -> Finding:
    """Details that no call has fetched yet. finish: when they will have been, in ISO form."""
    until = f"; at this pace until {local(datetime.fromisoformat(finish))}" if finish else ""
    source = next(s for s in hub().sources if any(stream.label == key for stream in s.streams))
    return Finding(key, f"{left} details are left{until}", f"lsats backfill {source.name}")


def of_quarantine(key: str, records: int) -> Finding:
    """Records that are in quarantine."""
    return Finding(key, f"{records} record{'s' * (records != 1)} in quarantine", "lsats quarantine list")


def findings(
    connection: Connection, rows: Mapping[str, Status], watch: Mapping[str, Watched], now: datetime
) -> list[Finding]:
    """All findings, table by table. rows, watch: by the name of the runs."""
    quarantined = Counter(record.stream for record in kept(connection, every=False))
    begun = min((row.first_started_at for row in rows.values()), default=now)
    found = []
    for name, key in asset_keys().items():
        row = rows.get(name)
        if row is not None and row.status == "failed":
            found.append(Finding(key, f"the last run failed: {row.error_message}", f"lsats run {key}"))
        if row is not None:
            found += [of_check(key, check, told) for check, told in row.failed_checks.items()]
        if name in watch and now - waited_for_since(row, begun) > watch[name].cadence.late_after:
            last = f"last success {local(row.last_success)}" if row and row.last_success else "it never succeeded"
            found.append(Finding(key, f"late: {last}", f"lsats run {key}"))
        if quarantined[name]:
            found.append(of_quarantine(key, quarantined[name]))
        if row is not None and row.details_left:
            found.append(of_details(key, row.details_left, row.expected_finish))
    return found


def print_findings(found: list[Finding]) -> None:
    """Every finding with its command, which stays on one line, so that it can be copied."""
    for finding in found:
        print(f"⚠️ {finding.table}: {finding.sentence}\n   -> {typed(finding.command)}")
