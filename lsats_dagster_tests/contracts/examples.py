"""Examples of records, and what the rows made of them must hold."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

UNIQUE = "7c1e0a52-33b4-4d0f-9d0e-5b1f6c2a9e10"
ROLE = "1fd2b6f0-0b1a-4a55-9f11-0d5f3a7f1c22"
PI, PERSONNEL = "UM Principal Investigator", "UM Key Personnel"
DEPARTMENT, USER, USER_DETAIL = "tdx/department", "tdx/user", "tdx/user_detail"
ASSET, ASSET_DETAIL, APPOINTMENT = "tdx/asset", "tdx/asset_detail", "umich_api/user"
AWARD, CARD, USAGE = "lab_awards/lab_award", "key_client/computer", "key_client/computer_usage"
# table -> the stream that keys it, and the one that says more of the same records.
READ_FROM = {
    "tdx_users": (USER, USER_DETAIL), "tdx_assets": (ASSET, ASSET_DETAIL), "umapi_employees": (APPOINTMENT,),
    "lab_awards": (AWARD,), "keyconfigure_computers": (CARD, USAGE),
}  # fmt: skip


def moment(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]


@dataclass(frozen=True)
class Example:
    """One record: what it says unlike an ordinary one, and what the row must hold. An ordinary one has no flags.

    more: what the second stream says unlike the first; None: it has no such record. key: where it is told by its key.
    """

    said: Mapping[str, Any]
    expected: Mapping[str, Any]
    flags: tuple[str, ...] = ()
    more: Mapping[str, Any] | None = field(default_factory=dict)
    key: str = ""
