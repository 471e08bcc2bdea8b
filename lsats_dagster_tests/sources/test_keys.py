"""How records are keyed: spellings of one key make one entity, and what is no key makes none."""

from typing import Any

import pytest

from lsats_dagster.ingestion.stream import UnkeyedRecordError
from lsats_dagster.sources.tdx import account_key
from lsats_dagster.sources.umich_api import department_key


@pytest.mark.parametrize("value", [8, 8.0, "8", "8.0", "8.", " 8 ", "008", "\u00a08\t"])
def test_spellings_of_one_account(value: Any) -> None:
    assert account_key({"ID": value}) == "8"


@pytest.mark.parametrize(
    "value",
    [None, "", True, 0, -8, 8.5, "8.5", "8e0", "0x8", "\u0668", "8 8", 2**31, 1e300, float("nan"), [8], {"ID": 8}],
)
def test_what_is_no_account(value: Any) -> None:
    with pytest.raises(UnkeyedRecordError):
        account_key({"ID": value})


@pytest.mark.parametrize(("value", "key"), [("000123", "000123"), (" 000123\u00a0", "000123"), (123, "123")])
def test_departments_keep_their_zeros(value: Any, key: str) -> None:
    assert department_key({"DeptId": value}) == key


@pytest.mark.parametrize("value", [None, "", " \t", "unknown", " unknown ", False, [], {}])
def test_what_is_no_department(value: Any) -> None:
    with pytest.raises(UnkeyedRecordError):
        department_key({"DeptId": value})
