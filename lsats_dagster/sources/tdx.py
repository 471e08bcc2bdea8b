"""TeamDynamix: departments ("accounts"), people and assets, and the details of each (sources.md 4.1, 5 to 10)."""

import contextlib
import logging
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
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
    Present,
    Record,
    UnansweredCallError,
    UnkeyedRecordError,
    UnprovenReadError,
    UnreadableRecordError,
)
from lsats_dagster.settings import HttpAddress, SourceSettings
from lsats_dagster.source import DetailSchedule, Source, Terms

logger = logging.getLogger(__name__)

LARGEST_ID = 2**31 - 1
GUID = re.compile(r"\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.ASCII | re.IGNORECASE)
NOBODY = "00000000-0000-0000-0000-000000000000"
# Accounts in one people search (sources.md 24, Q1).
ACCOUNTS_AT_ONCE = 200
# People without an account are asked for one by one: at most so many in one read, which is some 17 minutes of allowance.
SINGLE_CALLS = 1_000
WHOLE_NUMBER = re.compile(r"([0-9]{1,10})(?:\.0*)?", re.ASCII)
# ModifiedDate may move without any visible field changing (sources.md 5.2); then the detail is fetched again.
CONTENT = HashRule(version=1, volatile=frozenset({"ModifiedDate"}))
# Attributes carry their place in the form as a field of their own; in the list they stand in any order.
DETAIL_CONTENT = HashRule(version=2, volatile=CONTENT.volatile, sets=frozenset({"Attributes"}))
# Searches show these as null or [] at will, or leave them out; they belong to the detail (sources.md 7, 9; 24, Q2).
PEOPLE_COLLECTIONS = ("Applications", "Attributes", "GroupIDs", "OrgApplications", "Permissions")
# A search shows 0 or null where the answer for one person has a value.
PEOPLE_PLACES = ("LocationID", "LocationName", "LocationRoomID", "LocationRoomName")
ASSET_COLLECTIONS = ("Attributes", "Attachments")
ASSET_CONTENT = HashRule(volatile=frozenset({"ModifiedDate", "ModifiedUid", "ModifiedFullName"}))
ASSET_DETAIL_CONTENT = replace(ASSET_CONTENT, sets=frozenset(ASSET_COLLECTIONS))


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

    tdx_app_id: int = Field(48, gt=0, le=LARGEST_ID, description="Application of TeamDynamix that holds the assets.")

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
        app_id=settings.tdx_app_id,
        window=terms.window,
        timeouts=terms.timeouts,
        ceilings=terms.ceilings,
        clock=terms.clock,
    )


def id_key(record: Record) -> str:
    """The ID of an account or asset as text: 8, 8.0, "8" and "8.0" are one (silver_source_tables.md 2.1, code I)."""
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


def user_key(record: Record) -> str:
    """The UID of a user in lower case without braces; all zeros stand for nobody (sources.md 4.1.5)."""
    value = record.get("UID")
    match = GUID.fullmatch(value.strip(BLANKS)) if isinstance(value, str) else None
    if match is None or match[1] == NOBODY:
        raise UnkeyedRecordError("UID is not a GUID")
    return match[1].lower()


def read_users(client: TdxClient, extract: Extract) -> Iterator[list[Any]]:
    """The people of all accounts, active and inactive ones, then those without an account, one by one.

    A search finds people by their default account (sources.md 7): all accounts that ever were are asked for. Who has none is
    named by the light list of everybody, where the login may see it; the others whom a read lacks are confirmed singly.
    """
    accounts = sorted(extract.before.parent_keys(), key=int)
    seen: set[str] = set()
    for active in (True, False):
        for begin in range(0, len(accounts), ACCOUNTS_AT_ONCE):
            for page in client.users(accounts[begin : begin + ACCOUNTS_AT_ONCE], active=active):
                seen.update(keys_of(page, user_key))
                yield page
    everybody = client.user_list()
    if everybody is None:
        extract.complete("all accounts were searched; the login sees no list of everybody", records=len(seen))
        return
    listed = {key for page in everybody for key in keys_of(page, user_key)}
    yield from read_without_account(client, extract, sorted(listed - seen))
    extract.complete(
        "all accounts were searched, and who has none was named by the list of everybody", records=len(seen | listed)
    )


def read_without_account(client: TdxClient, extract: Extract, uids: list[str]) -> Iterator[list[Any]]:
    """People whom only the light list names: new ones are read, of the others as many as calls are left, in turn.

    Raises UnprovenReadError where more are new than may be asked for in one read: the next one goes on.
    """
    known = set(extract.before.own_keys())
    new = [uid for uid in uids if uid not in known]
    last = str(extract.before.memory.get("last_single", ""))
    others = [uid for uid in uids if uid in known]
    others = [uid for uid in others if uid > last] + [uid for uid in others if uid <= last]
    asked = [*new, *others][:SINGLE_CALLS]
    yield from confirm_users(client, asked)
    extract.evidence["without_account"] = len(uids)
    extract.evidence["asked_singly"] = len(asked)
    if len(new) > len(asked):
        raise UnprovenReadError(
            f"{len(new)} people without an account are new, and at most {SINGLE_CALLS} are asked for in one read; run again"
        )
    turned = asked[len(new) :]
    extract.remember(last_single=turned[-1] if turned else last)
    yield Present(others[len(turned) :])


def keys_of(page: list[Any], key: Callable[[Record], str]) -> Iterator[str]:
    """The keys of those records of a page that have one."""
    for record in page:
        if isinstance(record, dict):
            with contextlib.suppress(UnkeyedRecordError):
                yield key(record)


def confirm_users(client: TdxClient, uids: list[str]) -> Iterator[list[Any]]:
    """Those of the users that TeamDynamix still has: its own 404 is the proof that somebody was removed."""
    for uid in uids:
        try:
            found = client.user(uid)
        except UnreadableAnswerError:
            # They are there; who they are is seen when the answer can be read.
            yield Present([uid])
            continue
        if found is not None:
            yield [found]


def read_assets(client: TdxClient, extract: Extract) -> Iterator[list[Any]]:
    """The assets of all statuses there are: by one search, and by one search for each status (sources.md 24, Q3).

    What only the second kind of search finds is read from it: a cap of the first would show so. Nothing is known of a cap.
    """
    statuses = [
        status["ID"]
        for page in client.asset_statuses()
        for status in page
        if isinstance(status, dict) and isinstance(status.get("ID"), int)
    ]
    if not statuses:
        raise UnprovenReadError("the list of statuses is empty: assets cannot be asked for by their status")
    seen: set[str] = set()
    records = 0
    for page in client.assets(statuses):
        records += len(page)
        seen.update(keys_of(page, id_key))
        yield page
    only_by_status = 0
    for status in statuses:
        for page in client.assets([status]):
            missing = [record for record in page if not seen.issuperset(keys_of([record], id_key))]
            only_by_status += len(missing)
            seen.update(keys_of(missing, id_key))
            if missing:
                yield missing
    if only_by_status:
        logger.warning("⚠️ TeamDynamix: %d assets were found by their status only, not by all statuses", only_by_status)
    extract.complete(
        "one whole answer, and one for each status",
        records=records,
        statuses=len(statuses),
        only_by_status=only_by_status,
    )


def fetch_account(client: TdxClient, account_id: str) -> Any | None:
    """One account with its Attributes; None when TeamDynamix no longer has it."""
    return answered(client.account, account_id)


def fetch_user(client: TdxClient, uid: str) -> Any | None:
    """One user with their collections; None when TeamDynamix no longer has them."""
    return answered(client.user, uid)


def fetch_asset(client: TdxClient, asset_id: str) -> Any | None:
    """One asset with its Attributes; None when TeamDynamix no longer has it."""
    return answered(client.asset, asset_id)


def answered(fetch: Callable[[str], Any | None], key: str) -> Any | None:
    """What one detail call brought; its failures in the words of the engine."""
    try:
        return fetch(key)
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
    key=id_key,
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
    key=id_key,
    evidence=TdxClient.evidence,
    # Every record repeats the whole choice list of every attribute (sources.md 4.1.5).
    left_out=("Attributes[].Choices",),
    hash_rule=DETAIL_CONTENT,
    former_hash_rules=(CONTENT,),
    list_stream=DEPARTMENTS,
    fetch=fetch_account,
)

USERS = ListStream(
    source_system="tdx",
    entity_type="user",
    table="tdx_users",
    row="One person of TeamDynamix, active or not, without what only their detail shows.",
    description=(
        "Searched by default account, over all accounts that ever were; people without one are named by the list of "
        "everybody, where the login may see it. Removed: absent from a complete read, and TeamDynamix answered that the "
        "person does not exist. The list has no date of modification: what only the detail shows is seen after its greatest age."
    ),
    key=user_key,
    evidence=TdxClient.evidence,
    left_out=(*PEOPLE_COLLECTIONS, *PEOPLE_PLACES),
    parent=DEPARTMENTS,
    confirm=confirm_users,
    read=read_users,
)

USER_DETAILS = DetailStream(
    source_system="tdx",
    entity_type="user_detail",
    table="tdx_user_details",
    row="One person of TeamDynamix with attributes, applications, groups, permissions and place.",
    description=(
        "Fetched one call per person: new and changed people first, then the oldest, within a call budget. "
        "Removed: TeamDynamix answered that the person does not exist."
    ),
    key=user_key,
    evidence=TdxClient.evidence,
    left_out=("Attributes[].Choices",),
    hash_rule=HashRule(sets=frozenset(PEOPLE_COLLECTIONS)),
    list_stream=USERS,
    fetch=fetch_user,
)

ASSETS = ListStream(
    source_system="tdx",
    entity_type="asset",
    table="tdx_assets",
    row="One asset of TeamDynamix, whatever its status, without its custom attributes.",
    description=(
        "Read whole by one search over all statuses there are, and once more status by status. "
        "Removed: absent from a complete read."
    ),
    key=id_key,
    evidence=TdxClient.evidence,
    left_out=ASSET_COLLECTIONS,
    hash_rule=ASSET_CONTENT,
    version_field="ModifiedDate",
    read=read_assets,
)

ASSET_DETAILS = DetailStream(
    source_system="tdx",
    entity_type="asset_detail",
    table="tdx_asset_details",
    row="One asset of TeamDynamix with its custom attributes and attachments.",
    description=(
        "Fetched one call per asset: new and changed assets first, then the oldest, within a call budget. "
        "Removed: TeamDynamix answered that the asset does not exist."
    ),
    key=id_key,
    evidence=TdxClient.evidence,
    left_out=("Attributes[].Choices",),
    hash_rule=ASSET_DETAIL_CONTENT,
    list_stream=ASSETS,
    fetch=fetch_asset,
)

SOURCE = Source(
    name="tdx",
    title="TeamDynamix",
    settings=TdxSettings,
    open_client=open_client,
    transport="https",
    streams=(DEPARTMENTS, DEPARTMENT_DETAILS, USERS, USER_DETAILS, ASSETS, ASSET_DETAILS),
    details=DetailSchedule(every_minutes=30),
)
