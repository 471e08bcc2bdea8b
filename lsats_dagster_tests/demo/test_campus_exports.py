"""Exports that the campus drops into a folder (sources.md 4.6, 19, 20; design of documents)."""

import csv
import os
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from lsats_dagster.demo.campus import Campus, CampusError, running_campus

AWARDS, COMPUTERS, USAGE = "lab_awards/lab_award", "key_client/computer", "key_client/computer_usage"


def _folder(campus: Campus) -> Path:
    return campus.exports


def _newest(campus: Campus, kind: str) -> Path:
    return max(_folder(campus).glob(f"{kind}*"), key=lambda path: path.stat().st_mtime)


def _awards(path: Path, encoding: str = "utf-8") -> list[dict[str, str]]:
    """The rows, by headers without line feeds."""
    with path.open(encoding=encoding, newline="") as file:
        return [{" ".join(name.split()): cell for name, cell in row.items()} for row in csv.DictReader(file)]


def _cards(path: Path) -> list[str]:
    rows = openpyxl.load_workbook(path, read_only=True).worksheets[0].iter_rows(values_only=True)
    place = list(next(rows)).index("MAC")
    return [str(row[place] or "") for row in rows]


def test_the_newest_files_hold_the_truth_and_what_makes_them_hard(campus: Campus) -> None:
    truth = campus.truth(AWARDS)
    rows = _awards(_newest(campus, "lab_awards"))
    assert len(rows[0]) == 29
    assert b'Number\n(Current Budget Period)"' in _newest(campus, "lab_awards").read_bytes()
    whole = [row for row in rows if row["Person Uniqname"] and row["Person Appt Department Id"]]
    assert len(whole) == len(truth) == len(rows) - 2
    assert all(row in truth.values() for row in whole)
    people = [(row["Award Id"], row["Person Uniqname"]) for row in whole]
    assert len(set(people)) <= len(people) - 2, "one has two roles, one is in two departments"
    machines = campus.truth(COMPUTERS)
    assert machines.keys() == campus.truth(USAGE).keys()
    cards = _cards(_newest(campus, "keyconfigure_computers"))
    assert "" in cards
    assert {card.lower() for card in cards} - {""} == set(machines)
    twice = next(card for card in cards if cards.count(card) == 2)
    assert not machines[twice.lower()]["Name"].startswith("OLD-")


def test_days_drop_what_is_due_and_streams_show_the_newest_file(campus: Campus) -> None:
    first = campus.truth(COMPUTERS)
    files = set(os.listdir(_folder(campus)))
    changes = campus.live_one_day()
    assert (campus.truth(COMPUTERS), set(os.listdir(_folder(campus)))) == (first, files)
    assert changes[COMPUTERS] == changes[AWARDS]
    changes = campus.live_one_day()
    assert len(set(os.listdir(_folder(campus))) - files) == 1
    assert len(changes[USAGE].changed) == len(first)
    assert {card.lower() for card in _cards(_newest(campus, "keyconfigure_computers"))} - {""} == set(
        campus.truth(COMPUTERS)
    )
    for _ in range(5):
        changes = campus.live_one_day()
    assert changes[AWARDS].new
    assert changes[AWARDS].changed
    assert changes[AWARDS].removed
    assert len([row for row in _awards(_newest(campus, "lab_awards")) if row["Person Uniqname"]]) >= len(
        campus.truth(AWARDS)
    )


def test_a_reset_leaves_the_files_of_the_first_day(campus: Campus) -> None:
    def files() -> dict[str, tuple[bytes, float]]:
        return {file.name: (file.read_bytes(), file.stat().st_mtime) for file in _folder(campus).iterdir()}

    first = files()
    assert len(first) == 2
    campus.export("lab_awards", half=True)
    campus.live_one_day()
    campus.live_one_day()
    assert len(files()) == 3
    campus.reset()
    truth, rows = campus.truth(AWARDS), _awards(_newest(campus, "lab_awards"))
    assert all(row in rows for row in truth.values()), "what is kept for resets is the first day's"
    assert files() == first


def test_a_file_may_be_dropped_with_every_fault(campus: Campus) -> None:
    truth: dict[str, Any] = campus.truth(AWARDS)
    for encoding in ("utf-8-sig", "cp1252"):
        name = campus.export("lab_awards", encoding=encoding)
        rows = [row for row in _awards(_folder(campus) / name, encoding) if row["Person Uniqname"]]
        assert all(row["Award Id"] for row in rows), "no mark is part of the first header"
    zeros = campus.export("lab_awards", lost_zeros=True)
    codes = {row["Person Appt Department Id"] for row in _awards(_folder(campus) / zeros)}
    assert all(code.endswith(".0") for code in codes - {""})
    extra = campus.export("lab_awards", extra_column=True)
    assert len(_awards(_folder(campus) / extra)[0]) == 30
    assert campus.truth(AWARDS) == truth
    whole = (_folder(campus) / extra).stat().st_size
    half = campus.export("lab_awards", half=True, extra_column=True)
    assert (_folder(campus) / half).stat().st_size == whole // 2
    dashes = campus.export("keyconfigure_computers", dashes=True)
    assert any("-" in card for card in _cards(_folder(campus) / dashes))
    newest, usage = _newest(campus, "keyconfigure_computers"), campus.truth(USAGE)
    campus.live_one_day()
    campus.export("keyconfigure_computers", half=True)
    assert campus.truth(USAGE) == usage
    older = campus.export("keyconfigure_computers", older=True)
    assert (_folder(campus) / older).stat().st_mtime < newest.stat().st_mtime
    for style in ({"kind": "weather"}, {"kind": "lab_awards", "encoding": "utf-16"}):
        with pytest.raises(CampusError, match="is not one of"):
            campus.export(**style)


def test_what_is_done_to_a_stream_of_exports_is_dropped_at_once(campus: Campus) -> None:
    for stream, kind, rows in ((AWARDS, "lab_awards", _awards), (COMPUTERS, "keyconfigure_computers", _cards)):
        before, newest = campus.truth(stream), _newest(campus, kind)
        contents, count = {newest.read_bytes()}, len(rows(newest))
        gone = min(before)
        campus.delete(stream, gone)
        contents.add(newest.read_bytes())
        assert len(rows(newest)) < count
        campus.restore(stream, gone)
        assert campus.truth(stream) == before
        contents.add(newest.read_bytes())
        assert len(contents) == 3, "no two files are the same"
        added = campus.add(stream)
        assert campus.truth(stream).keys() - before.keys() == {added}
    with pytest.raises(CampusError, match="of files is not one of"):
        campus.fault("exports/lab_awards", "status")
    whole = _newest(campus, "lab_awards").read_bytes()
    campus.fault("exports/lab_awards", "half", times=None)
    assert _newest(campus, "lab_awards").read_bytes() == whole[: len(whole) // 2]
    campus.clear_faults()
    assert _newest(campus, "lab_awards").read_bytes() == whole


def test_exports_lie_beside_the_state_and_are_there_after_a_start(tmp_path: Path) -> None:
    state = tmp_path / "campus.json"
    with running_campus(state=state) as campus:
        campus.live_one_day()
        campus.live_one_day()
        truth = campus.truth(AWARDS)
        before = sorted(os.listdir(tmp_path / "exports"))
    with running_campus(state=state) as campus:
        assert campus.truth(AWARDS) == truth
        assert sorted(os.listdir(tmp_path / "exports")) == before
    with running_campus() as campus:
        own = _folder(campus)
        assert own.exists()
    assert not own.exists()
