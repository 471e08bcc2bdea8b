"""How records are keyed: spellings of one key make one entity, and what is no key makes none."""

from typing import Any

import pytest

from lsats_dagster.ingestion.stream import UnkeyedRecordError
from lsats_dagster.sources.tdx import NOBODY, id_key, user_key
from lsats_dagster.sources.umich_api import appointment_key, department_key

UID = "7c1e0a52-33b4-4d0f-9d0e-5b1f6c2a9e10"


@pytest.mark.parametrize("value", [8, 8.0, "8", "8.0", "8.", " 8 ", "008", "\u00a08\t"])
def test_spellings_of_one_account_or_asset(value: Any) -> None:
    assert id_key({"ID": value}) == "8"


@pytest.mark.parametrize(
    "value",
    [None, "", True, 0, -8, 8.5, "8.5", "8e0", "0x8", "\u0668", "8 8", 2**31, 1e300, float("nan"), [8], {"ID": 8}],
)
def test_what_is_no_account_and_no_asset(value: Any) -> None:
    with pytest.raises(UnkeyedRecordError):
        id_key({"ID": value})


@pytest.mark.parametrize("value", [UID, UID.upper(), f" {{{UID}}}\t"])
def test_spellings_of_one_person(value: str) -> None:
    assert user_key({"UID": value}) == UID


@pytest.mark.parametrize("value", [None, "", NOBODY, UID.replace("-", ""), f"{UID}0", 7, [UID]])
def test_what_is_no_person(value: Any) -> None:
    with pytest.raises(UnkeyedRecordError):
        user_key({"UID": value})


@pytest.mark.parametrize("number", [0, "0", " 0.0", 0.0, "00"])
def test_spellings_of_one_appointment(number: Any) -> None:
    assert appointment_key({"EmplId": " 00000007", "EmplRcd": number}) == "00000007:0"


@pytest.mark.parametrize("changed", [{"EmplId": " "}, {"EmplId": True}, {"EmplRcd": None}, {"EmplRcd": "1.5"}, {"EmplRcd": True},
                                     {"EmplRcd": -1}, {"EmplRcd": 2**15}])  # fmt: skip
def test_what_is_no_appointment(changed: dict[str, Any]) -> None:
    with pytest.raises(UnkeyedRecordError):
        appointment_key({"EmplId": "00000007", "EmplRcd": 0} | changed)


@pytest.mark.parametrize(("value", "key"), [("000123", "000123"), (" 000123\u00a0", "000123"), (123, "123")])
def test_departments_keep_their_zeros(value: Any, key: str) -> None:
    assert department_key({"DeptId": value}) == key


@pytest.mark.parametrize("value", [None, "", " \t", "unknown", " unknown ", False, [], {}])
def test_what_is_no_department(value: Any) -> None:
    with pytest.raises(UnkeyedRecordError):
        department_key({"DeptId": value})
