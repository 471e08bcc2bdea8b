"""The client of exported documents, on real files: what it reads, and what it refuses in one sentence."""

import io
import os
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from openpyxl import Workbook

from lsats_dagster.clients.documents import REMEMBERED, Document, DocumentsClient, Mark
from lsats_dagster.clients.errors import (
    PermanentSourceError,
    SourceError,
    TransientSourceError,
    UnreadableAnswerError,
    UnreadableRecordError,
)
from lsats_dagster.clients.http import Ceilings

PATTERN = "awards*.csv"
SHEETS = "computers*.xlsx"
COLUMNS = ("Id", "Name of (All)")
HEADER = 'Id,"Name of\n(All)",Extra\n'
Drop = Callable[..., Mark]


@pytest.fixture
def drop(tmp_path: Path) -> Drop:
    """Writes a file into the folder, of this minute of an hour, and gives its mark."""

    def write(name: str, content: str | bytes, minute: int = 0) -> Mark:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        moment = datetime(2026, 1, 12, 6, minute, tzinfo=UTC).timestamp()
        os.utime(path, (moment, moment))
        seen = path.stat()
        return Mark(name, seen.st_size, seen.st_mtime_ns)

    return write


def workbook(*rows: list[Any]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("First")
    for row in rows:
        sheet.append(row)
    book.create_sheet("Second").append(["of no interest"])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def read(folder: Path, mark: Mark, **before: Any) -> Document:
    return DocumentsClient(folder).read(mark, COLUMNS, before)


def taken(folder: Path, mark: Mark) -> list[Any]:
    """The records of a file that must be read."""
    try:
        return read(folder, mark).records
    except SourceError as error:
        pytest.fail(f"refused: {error}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252"])
def test_text_in_every_encoding_that_people_save(drop: Drop, tmp_path: Path, encoding: str) -> None:
    mark = drop("awards.csv", (HEADER + '1,"Zoë, Ünal",x\r\n').encode(encoding))
    assert taken(tmp_path, mark) == [{"Id": "1", "Name of (All)": "Zoë, Ünal", "Extra": "x"}]


def test_rows_are_texts_by_column_and_what_is_empty_is_none(drop: Drop, tmp_path: Path) -> None:
    text = " Id ,Name   of (All),\n004100,,\n\n,,\n185500.0,\"two\nlines\",unnamed\n"  # fmt: skip
    assert taken(tmp_path, drop("awards.csv", text)) == [
        {"Id": "004100", "Name of (All)": ""},
        {"Id": "185500.0", "Name of (All)": "two\nlines"},
    ]


def test_cells_of_the_first_sheet_are_what_people_see(drop: Drop, tmp_path: Path) -> None:
    cells = [12.0, 476.3, 185500, None, "00123", date(2026, 1, 9), datetime(2026, 1, 9, 17, 20, 11), True]
    content = workbook(["Id", "Name of\n(All)"], *([cell, "x"] for cell in cells))
    found = taken(tmp_path, drop("computers.xlsx", content))
    assert [record["Id"] for record in found] == [
        "12", "476.3", "185500", "", "00123", "2026-01-09 00:00:00", "2026-01-09 17:20:11", "True",
    ]  # fmt: skip


@pytest.mark.parametrize(("row", "cells"), [("1", 1), ("1,a,b,quoted-content", 4)])
def test_a_row_that_does_not_fit_stands_alone_as_unreadable(drop: Drop, tmp_path: Path, row: str, cells: int) -> None:
    first, bad, last = taken(tmp_path, drop("awards.csv", f"{HEADER}1,a,b\n{row}\n2,c,d\n"))
    assert (first["Id"], last["Id"]) == ("1", "2")
    assert isinstance(bad, UnreadableRecordError)
    assert (str(bad), bad.text) == (f"the row has {cells} cells and the header 3", row)


SHEET = workbook(["Id", "Name of (All)"], ["1", "a"])


def damaged(content: bytes) -> bytes:
    """A workbook of which one letter of a cell is another, as a copy that broke in the middle leaves it."""
    changed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as parts, zipfile.ZipFile(changed, "w") as other:
        for part in parts.infolist():
            other.writestr(part.filename, parts.read(part))
    # Not packed, so that only the check sum tells.
    return changed.getvalue().replace(b"<t>a</t>", b"<t>b</t>")


REFUSED: dict[str, tuple[str, bytes, type[SourceError], str]] = {
    "cut in a line": ("awards.csv", f"{HEADER}1,a,b\n2,c".encode(), UnreadableAnswerError, "does not end with a whole line"),
    "cut in a sign": ("awards.csv", f"{HEADER}1,a,é".encode()[:-1], UnreadableAnswerError, "does not end with a whole line"),
    "cut in quotes": ("awards.csv", f'{HEADER}1,"a\n'.encode(), UnreadableAnswerError, "from line 3 on"),
    "quotes that do not match": ("awards.csv", f'{HEADER}1,"a"b,c\n'.encode(), UnreadableAnswerError, "from line 3 on"),
    "empty": ("awards.csv", b"", UnreadableAnswerError, "does not end with a whole line"),
    "bytes of no text": ("awards.csv", f"{HEADER}1,a,".encode() + b"\x81\n", PermanentSourceError, "UTF-8 nor Windows-1252"),
    "another header": ("awards.csv", b"Id,Title\n1,a\n", PermanentSourceError, r"lacks the columns Name of \(All\): "),
    "a column twice": ("awards.csv", HEADER.replace("Extra", "Id").encode() + b"1,a,b\n", PermanentSourceError, "one name: Id"),
    "a cut workbook": ("computers.xlsx", SHEET[: len(SHEET) // 2], UnreadableAnswerError, "is no whole workbook"),
    "a damaged workbook": ("computers.xlsx", damaged(SHEET), UnreadableAnswerError, "is no whole workbook"),
    "no workbook": ("computers.xlsx", HEADER.encode(), UnreadableAnswerError, "is no whole workbook"),
    "an empty workbook": ("computers.xlsx", workbook(), PermanentSourceError, "lacks the columns Id, "),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_whole_or_something_else_is_refused_by_name(drop: Drop, tmp_path: Path, case: str) -> None:
    name, content, kind, words = REFUSED[case]
    with pytest.raises(kind, match=words) as refused:
        read(tmp_path, drop(name, content))
    assert str(refused.value).startswith(f"{name} ")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("awards.csv", HEADER + "1,a,b\n" * (1 << 18)),
        ("computers.xlsx", workbook(["Id", "Name of (All)"], *(["1", "a" * 30_000] for _ in range(40)))),
    ],
)
def test_what_is_too_large_once_unpacked_is_not_unpacked(drop: Drop, tmp_path: Path, name: str, content: Any) -> None:
    client = DocumentsClient(tmp_path, Ceilings(list_bytes=1 << 20))
    with pytest.raises(PermanentSourceError, match=f"{name} is larger than 1 MB"):
        client.read(drop(name, content), COLUMNS, {})


def test_a_file_that_changes_while_it_is_read_is_refused(drop: Drop, tmp_path: Path) -> None:
    for changed in (f"{HEADER}1,a,b\n2,c,d\n", f"{HEADER}9,z,z\n"):
        mark = drop("awards.csv", f"{HEADER}1,a,b\n")
        drop("awards.csv", changed, minute=1)
        with pytest.raises(TransientSourceError, match=r"^awards\.csv changed while it was read"):
            read(tmp_path, mark)
    (tmp_path / "awards.csv").unlink()
    with pytest.raises(TransientSourceError, match=r"^awards\.csv cannot be read"):
        read(tmp_path, mark)


def test_the_newest_file_of_a_kind_and_nothing_that_is_hidden(drop: Drop, tmp_path: Path) -> None:
    client = DocumentsClient(tmp_path)
    assert client.newest(PATTERN) is None
    drop("awards_z.csv", HEADER, minute=1)
    newest = drop("Awards_A.CSV", HEADER, minute=3)
    drop("awards_b.csv", HEADER, minute=2)
    for other in (
        "~$awards_c.csv",
        ".awards_c.csv",
        ".~lock.awards_c.csv#",
        "awards_c.csv.part",
        "other.csv",
        "awards_\udcff.csv",
    ):
        drop(other, HEADER, minute=9)
    (tmp_path / "awards_folder.csv").mkdir()
    assert client.newest(PATTERN) == newest
    assert str(newest).startswith("Awards_A.CSV of 2026-01-12 ")
    # Of two of one moment the choice is always the same.
    drop("awards_c.csv", HEADER, minute=3)
    last = drop("awards_d.csv", HEADER, minute=3)
    assert client.newest(PATTERN) == last


def refusal(folder: Path, mark: Mark, before: dict[str, Any]) -> str:
    """What is said of this file after those `before` it; nothing where it is read."""
    try:
        read(folder, mark, **before)
    except PermanentSourceError as error:
        return str(error)
    return ""


def test_an_older_export_and_one_that_was_read_before_are_refused(drop: Drop, tmp_path: Path) -> None:
    contents = [f"{HEADER}{number},a,b\n" for number in range(4)]
    before: dict[str, Any] = {}
    for minute in (1, 2):
        before = read(tmp_path, drop(f"awards_{minute}.csv", contents[minute], minute), **before).memory(before)
    assert before["name"] == "awards_2.csv"
    # The same bytes say the same, whatever their name and time.
    again = drop("awards_again.csv", contents[2], 0)
    assert refusal(tmp_path, again, before) == ""
    assert read(tmp_path, again, **before).memory(before)["fingerprints"] == before["fingerprints"]
    older, back = drop("awards_3.csv", contents[3], 1), drop("awards_back.csv", contents[1], 9)
    assert refusal(tmp_path, older, before).startswith("awards_3.csv is of 2026-01-12 ")
    assert " and older than awards_2.csv, which was read last: drop a new export" in refusal(tmp_path, older, before)
    assert refusal(tmp_path, back, before).startswith(
        "awards_back.csv has the content of an export that was read before"
    )
    assert refusal(tmp_path, drop("awards_3.csv", contents[3], 2), before) == ""


def test_so_many_exports_are_remembered(drop: Drop, tmp_path: Path) -> None:
    before: dict[str, Any] = {}
    for number in range(REMEMBERED + 2):
        before = read(tmp_path, drop("awards.csv", f"{HEADER}{number},a,b\n"), **before).memory(before)
    assert len(before["fingerprints"]) == len(set(before["fingerprints"])) == REMEMBERED
    assert before["fingerprints"][-1] == before["sha256"]
    assert read(tmp_path, drop("awards.csv", f"{HEADER}1,a,b\n"), **before).records, "forgotten by now"


def test_a_folder_that_is_not_there_is_the_sources_failure(tmp_path: Path) -> None:
    client = DocumentsClient(tmp_path / "elsewhere")
    for look in (client.probe, lambda: client.newest(PATTERN)):
        with pytest.raises(TransientSourceError, match="the folder of exports cannot be read"):
            look()
