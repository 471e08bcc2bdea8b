"""TeamDynamix: departments ("accounts") and their details (sources.md 4.1, 5, 6)."""

import re
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from lsats_dagster.clients.errors import LoginRefusedError, SourceError, UnreadableAnswerError
from lsats_dagster.clients.tdx import AdminLogin, StaticToken, TdxClient, TdxCredentials, UserLogin
from lsats_dagster.ingestion.stream import (
    BLANKS,
    DetailStream,
    Extract,
    HashRule,
    ListStream,
    Record,
    UnansweredCallError,
    UnkeyedRecordError,
    UnreadableRecordError,
)
from lsats_dagster.settings import HttpAddress, SourceSettings
from lsats_dagster.source import DetailSchedule, Source, Terms

LARGEST_ID = 2**31 - 1
WHOLE_NUMBER = re.compile(r"([0-9]{1,10})(?:\.0*)?", re.ASCII)
# ModifiedDate may move without any visible field changing (sources.md 5.2); then the detail is fetched again.
CONTENT = HashRule(version=1, volatile=frozenset({"ModifiedDate"}))
# Attributes carry their place in the form as a field of their own; in the list they stand in any order.
DETAIL_CONTENT = HashRule(version=2, volatile=CONTENT.volatile, sets=frozenset({"Attributes"}))


class TdxSettings(SourceSettings):
    """Address and login of TeamDynamix."""

    ways: ClassVar = (
        ("tdx_base_url", "tdx_beid", "tdx_web_services_key"),
        ("tdx_base_url", "tdx_username", "tdx_password"),
        ("tdx_base_url", "tdx_api_token"),
    )

    tdx_base_url: HttpAddress = Field("", description="TeamDynamix Web API root, https://host/TDWebApi/api.")
    tdx_beid: SecretStr | None = Field(None, description="Administrative login of TeamDynamix, first choice.")
    tdx_web_services_key: SecretStr | None = Field(None, description="Goes with TDX_BEID.")
    tdx_username: str | None = Field(None, description="User login of TeamDynamix, second choice.")
    tdx_password: SecretStr | None = Field(None, description="Goes with TDX_USERNAME.")
    tdx_api_token: SecretStr | None = Field(
        None, description="A ready token of TeamDynamix, third choice; it cannot be renewed."
    )

    @property
    def credentials(self) -> TdxCredentials:
        """The first complete login method (operations.md section 2)."""
        if self.tdx_beid and self.tdx_web_services_key:
            return AdminLogin(self.tdx_beid.get_secret_value(), self.tdx_web_services_key.get_secret_value())
        if self.tdx_username and self.tdx_password:
            return UserLogin(self.tdx_username, self.tdx_password.get_secret_value())
        assert self.tdx_api_token is not None
        return StaticToken(self.tdx_api_token.get_secret_value())


def open_client(settings: TdxSettings, terms: Terms) -> TdxClient:
    """A client by the settings."""
    return TdxClient(
        base_url=settings.tdx_base_url,
        credentials=settings.credentials,
        window=terms.window,
        timeouts=terms.timeouts,
        ceilings=terms.ceilings,
        clock=terms.clock,
    )


def account_key(record: Record) -> str:
    """The account's ID as text: 8, 8.0, "8" and "8.0" are one (silver_source_tables.md 2.1, code I)."""
    value = record.get("ID")
    text = str(value).strip(BLANKS) if isinstance(value, int | float | str) and not isinstance(value, bool) else ""
    match = WHOLE_NUMBER.fullmatch(text)
    if match is None or not 0 < int(match[1]) <= LARGEST_ID:
        raise UnkeyedRecordError("ID is not a positive whole number")
    return str(int(match[1]))


def read_accounts(client: TdxClient, extract: Extract) -> Iterator[list[Any]]:
    """All accounts, inactive ones too: one search answers with one bare array, which has no pages (sources.md 5)."""
    extract.evidence["filter"] = "IsActive: null"
    records = 0
    for page in client.accounts():
        records += len(page)
        yield page
    extract.complete("one whole answer", records=records)


def fetch_account(client: TdxClient, account_id: str) -> Any | None:
    """One account with its Attributes; None when TeamDynamix no longer has it."""
    try:
        return client.account(account_id)
    except UnreadableAnswerError as error:
        raise UnreadableRecordError(str(error)) from None
    except LoginRefusedError:
        raise
    except SourceError as error:
        raise UnansweredCallError(error) from None


DEPARTMENTS = ListStream(
    source_system="tdx",
    entity_type="department",
    table="tdx_departments",
    row="One TeamDynamix account (department), active or not, without its custom attributes.",
    description="Read whole by one search over active and inactive accounts. Removed: absent from a complete answer.",
    key=account_key,
    evidence=TdxClient.evidence,
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
    evidence=TdxClient.evidence,
    # Every record repeats the whole choice list of every attribute (sources.md 4.1.5).
    left_out=("Attributes[].Choices",),
    hash_rule=DETAIL_CONTENT,
    former_hash_rules=(CONTENT,),
    list_stream=DEPARTMENTS,
    fetch=fetch_account,
)

SOURCE = Source(
    name="tdx",
    title="TeamDynamix",
    settings=TdxSettings,
    open_client=open_client,
    transport="https",
    streams=(DEPARTMENTS, DEPARTMENT_DETAILS),
    details=DetailSchedule(every_minutes=30),
)
