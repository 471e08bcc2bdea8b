"""Rows of exports: spellings of one key make one record, rows by rule are none, and of one card the latest session stands."""

import itertools
from typing import Any

import pytest

from lsats_dagster.ingestion.stream import SkippedRecordError, UnkeyedRecordError
from lsats_dagster.sources.documents import award_key, latest_sessions, mac_key

PART = {
    "Award Id": "AWD029634",
    "Person Uniqname": "asmith",
    "Person Appt Department Id": "004100",
    "Person Role": "UM Principal Investigator",
}


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("Award Id", " AWD029634 "), ("Person Uniqname", "ASmith\u00a0"), ("Person Appt Department Id", "4100"),
        ("Person Appt Department Id", "4100.0"), ("Person Appt Department Id", " 004100. "),
        ("Person Role", "UM Principal Investigator "),
    ],
)  # fmt: skip
def test_spellings_of_one_part_in_an_award(column: str, value: str) -> None:
    assert award_key(PART | {column: value}) == "AWD029634-asmith-004100-UM Principal Investigator"


def test_roles_and_departments_of_one_person_are_parts_of_their_own() -> None:
    others = [{}, {"Person Role": "UM Key Personnel"}, {"Person Appt Department Id": "185500"}]
    assert len({award_key(PART | other) for other in others}) == 3


@pytest.mark.parametrize("column", ["Award Id", "Person Uniqname", "Person Appt Department Id"])
def test_a_row_that_names_nobody_or_nothing_is_no_part(column: str) -> None:
    with pytest.raises(SkippedRecordError, match=f"^without {column}$"):
        award_key(PART | {column: " \t"})


@pytest.mark.parametrize("department", ["Chemistry", "1234567", "4100.5", "-4100", "\u0664100"])
def test_what_is_no_department_is_no_key(department: str) -> None:
    with pytest.raises(UnkeyedRecordError, match="Person Appt Department Id"):
        award_key(PART | {"Person Appt Department Id": department})


@pytest.mark.parametrize(
    "value",
    [
        "00:1a:2b:3c:4d:5e",
        "00:1A:2B:3C:4D:5E",
        "00-1A-2B-3C-4D-5E",
        "001a.2b3c.4d5e",
        "001A2B3C4D5E",
        " 00 1a 2b 3c 4d 5e ",
    ],
)
def test_spellings_of_one_card(value: str) -> None:
    assert mac_key({"MAC": value}) == "00:1a:2b:3c:4d:5e"


BAD_CARDS = ("00:1a:2b:3c:4d", "00:1a:2b:3c:4d:5e:6f", "00:1a:2b:3c:4d:5g", "none", "00/1a/2b/3c/4d/5e")


@pytest.mark.parametrize(
    ("value", "error"),
    [*dict.fromkeys(("", " "), SkippedRecordError).items(), *dict.fromkeys(BAD_CARDS, UnkeyedRecordError).items()],
)
def test_what_is_no_card(value: str, error: type[Exception]) -> None:
    with pytest.raises(error, match="MAC"):
        mac_key({"MAC": value})


def test_of_one_card_the_latest_session_stands_in_whatever_order() -> None:
    rows: list[Any] = [
        {"MAC": "00:1A:2B:3C:4D:5E", "Last Session": "2026-01-09 17:20:11", "Name": "NEW-1"},
        {"MAC": "00-1a-2b-3c-4d-5e", "Last Session": "2026-01-09 17:20:11", "Name": "NEW-2"},
        {"MAC": "001A2B3C4D5E", "Last Session": "", "Name": "NEVER"},
        {"MAC": "", "Last Session": "2026-02-01 00:00:00", "Name": "WITHOUT"},
        {"MAC": "none", "Last Session": "2026-02-01 00:00:00", "Name": "BAD"},
    ]
    for order in itertools.permutations(rows):
        assert {row["Name"] for row in latest_sessions(list(order))} == {"NEW-1", "WITHOUT", "BAD"}
