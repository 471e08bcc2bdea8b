"""TeamDynamix: departments ("accounts") and their details (sources.md 4.1, 5, 6)."""

from collections.abc import Iterator
from typing import Any

from lsats_dagster.clients.errors import UnreadableAnswerError
from lsats_dagster.clients.tdx import TdxClient
from lsats_dagster.ingestion.stream import (
    DetailStream,
    Extract,
    HashRule,
    ListStream,
    Record,
    UnkeyedRecordError,
    UnreadableRecordError,
)

LARGEST_ID = 2**31 - 1
# ModifiedDate may move without any visible field changing (sources.md 5.2); then the detail is fetched again.
CONTENT = HashRule(version=1, volatile=frozenset({"ModifiedDate"}))


def account_key(record: Record) -> str:
    """The account's ID as text. Numbers may arrive as text (embedded.md, TeamDynamix on the wire)."""
    value = record.get("ID")
    text = str(value).strip() if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= LARGEST_ID):
        raise UnkeyedRecordError("ID is not a positive whole number")
    return str(int(text))


def read_accounts(client: TdxClient, extract: Extract) -> Iterator[list[Any]]:
    """All accounts, inactive ones too: one search answers with one bare array, which has no pages (sources.md 5)."""
    accounts = client.accounts()
    yield accounts
    extract.complete("one whole answer", records=len(accounts), filter="IsActive: null", **client.evidence())


def fetch_account(client: TdxClient, account_id: str) -> Any | None:
    """One account with its Attributes; None when TeamDynamix no longer has it."""
    try:
        return client.account(account_id)
    except UnreadableAnswerError as error:
        raise UnreadableRecordError(str(error)) from None


DEPARTMENTS = ListStream(
    source_system="tdx",
    entity_type="department",
    table="tdx_departments",
    row="One TeamDynamix account (department), active or not, without its custom attributes.",
    description="Read whole by one search over active and inactive accounts. Removed: absent from a complete answer.",
    key=account_key,
    # The search shows Attributes as null or [] at will; they belong to the detail (sources.md 24, Q2).
    left_out=("Attributes",),
    hash_rule=CONTENT,
    version_field="ModifiedDate",
    read=read_accounts,
)

DEPARTMENT_DETAILS = DetailStream(
    source_system="tdx",
    entity_type="department_detail",
    table="tdx_department_details",
    row="One TeamDynamix account (department) with its custom attributes.",
    description=(
        "Fetched one call per account: new and changed accounts first, then the oldest, within a call budget. "
        "Removed: TeamDynamix answered that the account does not exist."
    ),
    key=account_key,
    # Every record repeats the whole choice list of every attribute (sources.md 4.1.5).
    left_out=("Attributes[].Choices",),
    hash_rule=CONTENT,
    list_stream=DEPARTMENTS,
    fetch=fetch_account,
)

STREAMS = (DEPARTMENTS, DEPARTMENT_DETAILS)
