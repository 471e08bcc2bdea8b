"""UMich API gateway: departments (sources.md 4.2, 11)."""

from collections.abc import Iterator
from typing import Any

from lsats_dagster.clients.errors import PartialFetchError
from lsats_dagster.clients.umich_api import UmichApiClient
from lsats_dagster.ingestion.stream import BLANKS, Extract, ListStream, Record, UnkeyedRecordError, UnprovenReadError


def department_key(record: Record) -> str:
    """The department code as sent, trimmed; leading zeros count. A number is taken as its digits.

    The word `unknown` is no code: other readers of this source put it where there is none (silver_source_tables.md 4.4).
    """
    value = record.get("DeptId")
    text = str(value).strip(BLANKS) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not text or text == "unknown":
        raise UnkeyedRecordError("DeptId is missing, blank or unknown")
    return text


def read_departments(client: UmichApiClient, extract: Extract) -> Iterator[list[Any]]:
    """All pages; the client proves by overlapping pages that none moved while it read."""
    records = 0
    try:
        for page in client.departments():
            records += len(page)
            yield page
    except PartialFetchError as error:
        raise UnprovenReadError(str(error)) from None
    extract.complete("nothing follows the last page", records=records)


DEPARTMENTS = ListStream(
    source_system="umich_api",
    entity_type="department",
    table="umapi_departments",
    row="One department of the university's HR system, as the UMich API gateway gives it.",
    description="Read whole, page by page. Removed: absent from a complete read, which means that it was closed.",
    key=department_key,
    evidence=UmichApiClient.evidence,
    read=read_departments,
)

STREAMS = (DEPARTMENTS,)
