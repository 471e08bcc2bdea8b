"""Exported documents: lab awards and the inventory of KeyConfigure, which people drop into a folder (sources.md 4.6, 19, 20)."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from lsats_dagster.clients.documents import DocumentsClient
from lsats_dagster.clients.errors import PermanentSourceError
from lsats_dagster.ingestion.stream import (
    BLANKS,
    Extract,
    HashRule,
    ListStream,
    Record,
    SkippedRecordError,
    UnkeyedRecordError,
)
from lsats_dagster.settings import Folder, SourceSettings
from lsats_dagster.source import Cadence, Source, Terms

# Columns by their headers, white space collapsed.
AWARD_COLUMNS = (
    "Award Id", "Project/Grant", "Award Title", "Person Role", "Person Last Name", "Person First Name", "Person Uniqname",
    "Person Appt Department Id", "Person Appt Department", "Person Appt School/College", "Award Admin Department",
    "Award Admin School/College", "Award Project Start Date", "Award Project End Date", "Pre NCE Project End Date",
    "Award Direct Dollars", "Award Indirect Dollars", "Award Total Dollars", "Facilities & Admin Rate (%)", "Direct Sponsor Name",
    "Direct Sponsor Award Reference Number (Current Budget Period)", "Direct Sponsor Category", "Direct Sponsor Subcategory",
    "Prime Sponsor Name", "Prime Sponsor Award Reference Number", "Prime Sponsor Category", "Prime Sponsor Subcategory",
    "Award Publish Date", "Award Class",
)  # fmt: skip
MACHINE_COLUMNS = (
    "idnt", "agid", "Name", "MAC", "CPU", "Mhz", "#", "Sockets", "RAM", "Disk", "OEM SN", "OS Family", "OS", "OS vers", "OS SN",
    "OS Install Date", "Client", "Owner",
)  # fmt: skip
# Other at every export; the rest says which machine it is.
USAGE_COLUMNS = (
    "Free", "% Used", "% Free", "Last Addr", "Last User", "Login", "Last Session", "Last Startup", "Base Audit", "Last Audit",
)  # fmt: skip
# No content: the key holds them, in whatever spelling an export has them.
IN_THE_KEY = {"Person Uniqname", "Person Appt Department Id", "MAC"}
DEPARTMENT = re.compile(r"([0-9]{1,6})(?:\.0*)?", re.ASCII)
MAC = re.compile(r"[0-9a-f]{12}", re.ASCII)
# People are asked for an export each month. Whoever forgets one is reminded after five weeks.
WHEN_DROPPED = Cadence(frozenset(), warn_after=timedelta(weeks=5), late_after=timedelta(weeks=6))


class DocumentsSettings(SourceSettings):
    """Where exports are dropped."""

    ways: ClassVar = (("lsats_data_folder",),)

    lsats_data_folder: Folder | None = Field(
        None,
        description="Whole path of the folder into which people drop exports: lab_awards*.csv, keyconfigure_computers*.xlsx.",
    )

    @field_validator("lsats_data_folder")
    @classmethod
    def is_whole(cls, value: Path | None) -> Path | None:
        """Commands and Dagster's programs work in other folders than the one where the setting was written."""
        if value is not None and not value.is_absolute():
            raise ValueError("must be a whole path, which begins with /")
        return value


def open_client(settings: DocumentsSettings, terms: Terms) -> DocumentsClient:
    """A client by the settings."""
    assert settings.lsats_data_folder is not None
    return DocumentsClient(settings.lsats_data_folder, terms.ceilings)


def award_key(record: Record) -> str:
    """Award, uniqname, department and role. A spreadsheet takes codes for numbers: 4100.0 is department 004100."""
    award, uniqname, department = (
        filled(record, column) for column in ("Award Id", "Person Uniqname", "Person Appt Department Id")
    )
    match = DEPARTMENT.fullmatch(department)
    if match is None:
        raise UnkeyedRecordError("Person Appt Department Id is no number of up to six digits")
    return "-".join([award, uniqname.lower(), match[1].zfill(6), cell(record, "Person Role")])


def mac_key(record: Record) -> str:
    """The MAC address in lower case with colons, whatever its spelling."""
    digits = re.sub("[-:. ]", "", filled(record, "MAC")).lower()
    if MAC.fullmatch(digits) is None:
        raise UnkeyedRecordError("MAC is no address of twelve hexadecimal digits")
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def filled(record: Record, column: str) -> str:
    """The text of a column without which a row is no record (sources.md 19, 20)."""
    text = cell(record, column)
    if not text:
        raise SkippedRecordError(f"without {column}")
    return text


def cell(record: Record, column: str) -> str:
    value = record.get(column)
    return value.strip(BLANKS) if isinstance(value, str) else ""


def latest_sessions(records: list[Any]) -> list[Any]:
    """Of a card that comes several times the row of its latest session, and all rows without a card."""
    latest: dict[str, Record] = {}
    others = []
    for record in records:
        try:
            key = mac_key(record)
        except (AttributeError, SkippedRecordError, UnkeyedRecordError):
            others.append(record)
            continue
        # Of two with the same session the choice must not depend on their order.
        latest[key] = max(latest.get(key, record), record, key=lambda row: (row["Last Session"], sorted(row.items())))
    return [*latest.values(), *others]


@dataclass(frozen=True)
class Export:
    """One kind of export: what its files are called in small letters, its columns, and what becomes of its rows."""

    pattern: str
    columns: tuple[str, ...]
    settle: Callable[[list[Any]], list[Any]] = list

    def read(self, client: DocumentsClient, extract: Extract) -> Iterator[list[Any]]:
        """The newest file, whole."""
        mark = client.newest(self.pattern)
        if mark is None:
            raise PermanentSourceError(f"the folder of exports holds no file {self.pattern}: drop one there")
        extract.evidence["file"] = str(mark)
        before = extract.before.memory
        document = client.read(mark, self.columns, before)
        records = self.settle(document.records)
        yield records
        extract.remember(**document.memory(before))
        extract.complete("one whole file", records=len(records), sha256=document.sha256)


AWARDS = Export("lab_awards*.csv", AWARD_COLUMNS)
INVENTORY = Export("keyconfigure_computers*.xlsx", (*MACHINE_COLUMNS, *USAGE_COLUMNS), latest_sessions)

LAB_AWARDS = ListStream(
    source_system="lab_awards",
    entity_type="lab_award",
    table="lab_awards",
    row="One person on an award, in one role and for one department.",
    description=(
        "Read whole from the newest file lab_awards*.csv. Removed: absent from it. Rows without award, uniqname or "
        "department are counted and left out."
    ),
    key=award_key,
    evidence=DocumentsClient.evidence,
    hash_rule=HashRule(known=frozenset(AWARD_COLUMNS) - IN_THE_KEY),
    read=AWARDS.read,
)

COMPUTERS = ListStream(
    source_system="key_client",
    entity_type="computer",
    table="keyconfigure_computers",
    row="One network card of a computer in the inventory of KeyConfigure, without what only its use moves.",
    description=(
        "Read whole from the newest file keyconfigure_computers*.xlsx; of a card that comes several times, the row of its "
        "latest session. Removed: absent from it. Rows without MAC are counted and left out."
    ),
    key=mac_key,
    evidence=DocumentsClient.evidence,
    left_out=USAGE_COLUMNS,
    hash_rule=HashRule(known=frozenset(MACHINE_COLUMNS) - IN_THE_KEY),
    read=INVENTORY.read,
)

USAGE = ListStream(
    source_system="key_client",
    entity_type="computer_usage",
    table="keyconfigure_usage",
    row="One network card of a computer in the inventory of KeyConfigure as it was last used: session, address, user, free disk.",
    description=(
        "Read whole from the same file as the computers, whose other columns move at every export. Removed: absent from it."
    ),
    key=mac_key,
    evidence=DocumentsClient.evidence,
    kept=("MAC", *USAGE_COLUMNS),
    hash_rule=HashRule(known=frozenset(USAGE_COLUMNS)),
    read=INVENTORY.read,
)


STREAMS = {AWARDS: (LAB_AWARDS,), INVENTORY: (COMPUTERS, USAGE)}


def arrivals(client: DocumentsClient) -> dict[str, str | None]:
    """By table: the newest file that it is read from, as the folder shows it."""
    newest = {export: client.newest(export.pattern) for export in STREAMS}
    return {
        stream.table: None if mark is None else str(mark)
        for export, mark in newest.items()
        for stream in STREAMS[export]
    }


SOURCE = Source(
    name="documents",
    title="Exported documents",
    settings=DocumentsSettings,
    open_client=open_client,
    transport="file",
    streams=(LAB_AWARDS, COMPUTERS, USAGE),
    cadences={stream.table: WHEN_DROPPED for stream in (LAB_AWARDS, COMPUTERS, USAGE)},
    arrivals=arrivals,
)
