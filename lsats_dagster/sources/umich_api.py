"""UMich API gateway: departments and appointments of employees (sources.md 4.2, 11, 12)."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from lsats_dagster.clients.errors import PartialFetchError
from lsats_dagster.clients.umich_api import UmichApiClient
from lsats_dagster.ingestion.stream import (
    BLANKS,
    Extract,
    HashRule,
    ListStream,
    Record,
    UnkeyedRecordError,
    UnprovenReadError,
)
from lsats_dagster.settings import HttpAddress, SourceSettings
from lsats_dagster.source import Source, Terms

WHOLE_NUMBER = re.compile(r"([0-9]{1,5})(?:\.0*)?", re.ASCII)
MOST_APPOINTMENTS = 2**15 - 1


class GatewaySettings(SourceSettings):
    """Address and login of the UMich API gateway."""

    ways: ClassVar = (("um_base_url", "um_category_id", "um_client_key", "um_client_secret"),)

    um_base_url: HttpAddress = Field("", description="UMich API gateway root, https://host or https://host/um.")
    um_token_url: HttpAddress | None = Field(
        None,
        description="Token endpoint of the gateway; default: /um/oauth2/token on the host of UM_BASE_URL.",
    )
    um_category_id: str = Field("", description="Path segment before /Department, for example bf.")
    um_client_key: SecretStr = Field(SecretStr(""), description="OAuth client id of the gateway.")
    um_client_secret: SecretStr = Field(SecretStr(""), description="OAuth client secret of the gateway.")
    um_calls_per_minute: int = Field(
        200, gt=0, le=100_000, description="Calls the gateway grants this application per minute."
    )


def open_client(settings: GatewaySettings, terms: Terms) -> UmichApiClient:
    """A client by the settings."""
    root = settings.um_base_url.removesuffix("/").removesuffix("/um")
    return UmichApiClient(
        base_url=settings.um_base_url,
        token_url=settings.um_token_url or f"{root}/um/oauth2/token",
        category_id=settings.um_category_id,
        client_key=settings.um_client_key.get_secret_value(),
        client_secret=settings.um_client_secret.get_secret_value(),
        calls_per_minute=settings.um_calls_per_minute,
        window=terms.window,
        timeouts=terms.timeouts,
        ceilings=terms.ceilings,
        clock=terms.clock,
    )


def department_key(record: Record) -> str:
    """The department code as sent, trimmed; leading zeros count. A number is taken as its digits.

    The word `unknown` is no code: other readers of this source put it where there is none (silver_source_tables.md 4.4).
    """
    value = record.get("DeptId")
    text = str(value).strip(BLANKS) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not text or text == "unknown":
        raise UnkeyedRecordError("DeptId is missing, blank or unknown")
    return text


def appointment_key(record: Record) -> str:
    """Employee id and record number: one person may have several appointments (sources.md 12).

    The id is text, its leading zeros count. The number may come as number or text: 0, "0" and " 0.0" are one.
    """
    employee = record.get("EmplId")
    text = str(employee).strip(BLANKS) if isinstance(employee, int | str) and not isinstance(employee, bool) else ""
    if not text:
        raise UnkeyedRecordError("EmplId is missing or blank")
    number = record.get("EmplRcd")
    digits = str(number).strip(BLANKS) if isinstance(number, int | float | str) and not isinstance(number, bool) else ""
    match = WHOLE_NUMBER.fullmatch(digits)
    if match is None or int(match[1]) > MOST_APPOINTMENTS:
        raise UnkeyedRecordError("EmplRcd is not a whole number")
    return f"{text}:{int(match[1])}"


def read_departments(client: UmichApiClient, extract: Extract) -> Iterator[list[Any]]:
    """All pages of departments."""
    return read_pages(client.departments(), extract)


def read_appointments(client: UmichApiClient, extract: Extract) -> Iterator[list[Any]]:
    """All pages of appointments."""
    return read_pages(client.appointments(), extract)


def read_pages(pages: Iterator[list[Any]], extract: Extract) -> Iterator[list[Any]]:
    """All pages; the client proves by overlapping pages that none moved while it read."""
    records = 0
    try:
        for page in pages:
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

EMPLOYEES = ListStream(
    source_system="umich_api",
    entity_type="user",
    table="umapi_employees",
    row="One appointment of an employee; a person with several has several rows.",
    description=(
        "Read whole, page by page. Removed: absent from a complete read, which means that the appointment ended. More than "
        "a quarter have no uniqname."
    ),
    key=appointment_key,
    evidence=UmichApiClient.evidence,
    hash_rule=HashRule(texts=frozenset({"EmplRcd"})),
    read=read_appointments,
)

SOURCE = Source(
    name="umich_api",
    title="UMich API gateway",
    settings=GatewaySettings,
    open_client=open_client,
    transport="https",
    streams=(DEPARTMENTS, EMPLOYEES),
)
