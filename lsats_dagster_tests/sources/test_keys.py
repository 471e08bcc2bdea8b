"""How records are keyed: spellings of one key make one entity, and what is no key makes none."""

from typing import Any

import pytest

from lsats_dagster.ingestion.stream import UnkeyedRecordError
from lsats_dagster.sources.tdx import NOBODY, id_key, user_key
from lsats_dagster.sources.umich_api import appointment_key, department_key


@pytest.mark.parametrize("value", [8, 8.0, "8", "8.0", "8.", " 8 ", "008", "\u00a08\t"])
def test_spellings_of_one_account_or_asset(value: Any) -> None:
    assert id_key({"ID": value}) == "8"


@pytest.mark.parametrize(
    "value",
    [None, "", True, 0, -8, 8.5, "8.5", "8e0", "0x8", "\u0668", "8 8", 2**31, 1e300, float("nan"), [8], {"ID": 8}],
)
def test_what_is_no_account_or_asset(value: Any) -> None:
    with pytest.raises(UnkeyedRecordError):
        id_key({"ID": value})


@pytest.mark.parametrize(("value", "key"), [("000123", "000123"), (" 000123\u00a0", "000123"), (123, "123")])
def test_departments_keep_their_zeros(value: Any, key: str) -> None:
    assert department_key({"DeptId": value}) == key


@pytest.mark.parametrize("value", [None, "", " \t", "unknown", " unknown ", False, [], {}])
def test_what_is_no_department(value: Any) -> None:
    with pytest.raises(UnkeyedRecordError):
        department_key({"DeptId": value})


@pytest.mark.parametrize(
    "value",
    [
        "3f2b8a1c-0d4e-4f6a-8b7c-9d0e1f2a3b4c",
        "3F2B8A1C-0D4E-4F6A-8B7C-9D0E1F2A3B4C",
        "{3f2b8a1c-0d4e-4f6a-8b7c-9d0e1f2a3b4c}",
        "\u00a03f2b8a1c-0d4e-4f6a-8b7c-9d0e1f2a3b4c ",
    ],
)
def test_spellings_of_one_user(value: Any) -> None:
    assert user_key({"UID": value}) == "3f2b8a1c-0d4e-4f6a-8b7c-9d0e1f2a3b4c"


@pytest.mark.parametrize(
    "value", [None, "", NOBODY, f"{{{NOBODY}}}", 8, True, "3f2b8a1c0d4e4f6a8b7c9d0e1f2a3b4c", "None", []]
)
def test_what_is_no_user(value: Any) -> None:
    with pytest.raises(UnkeyedRecordError):
        user_key({"UID": value})


@pytest.mark.parametrize("number", [0, 0.0, "0", " 0 ", "0.0", "00"])
@pytest.mark.parametrize("employee", ["00000123", " 00000123\u00a0"])
def test_spellings_of_one_appointment(employee: Any, number: Any) -> None:
    assert appointment_key({"EmplId": employee, "EmplRcd": number}) == "00000123:0"


@pytest.mark.parametrize(
    ("employee", "number"),
    [
        ("", 0),
        (None, 0),
        (True, 0),
        ("00000123", None),
        ("00000123", ""),
        ("00000123", -1),
        ("00000123", 1.5),
        ("00000123", 2**15),
    ],
)
def test_what_is_no_appointment(employee: Any, number: Any) -> None:
    with pytest.raises(UnkeyedRecordError):
        appointment_key({"EmplId": employee, "EmplRcd": number})
