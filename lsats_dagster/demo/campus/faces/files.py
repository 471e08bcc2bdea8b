"""The folder into which exports are dropped (sources.md 4.6, 19, 20)."""

import csv
import io
import os
import shutil
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from openpyxl import Workbook, load_workbook

from lsats_dagster.demo.campus.entities import EPOCH
from lsats_dagster.demo.campus.populations.exports import AWARDS, Cell, Row

ENCODINGS = ("utf-8", "utf-8-sig", "cp1252")


class DropFolder:
    """The folder as a reader sees it: whole files, each with a time. Faults spoil the newest file of a kind."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._newest: dict[str, tuple[str, bytes, datetime]] = {}
        self._spoiled: set[str] = set()

    def empty(self) -> None:
        """Throw away what lies there."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._newest.clear()
        self._spoiled.clear()

    def put(self, kind: str, name: str, content: bytes, moment: datetime) -> None:
        """Write a file of a kind at once, of this time."""
        self.path.mkdir(parents=True, exist_ok=True)
        draft = self.path / f".{name}.draft"
        draft.write_bytes(content)
        os.utime(draft, (moment.timestamp(), moment.timestamp()))
        draft.replace(self.path / name)
        if kind not in self._newest or self._newest[kind][2] <= moment:
            self._newest[kind] = name, content, moment

    def spoil(self, kind: str, fault: str, options: Mapping[str, float | None]) -> None:
        """Let the newest file of the kind be as a fault makes it, until `restore`."""
        if fault not in FAULTS:
            raise ValueError(f"fault {fault!r} of files is not one of {', '.join(FAULTS)}")
        name, content, moment = kept = self._newest[kind]
        spoiled = FAULTS[fault](kind, content, **options)
        if spoiled is None:
            (self.path / name).unlink()
        else:
            self.put(kind, name, spoiled, moment)
        self._newest[kind] = kept
        self._spoiled.add(kind)

    def restore(self) -> None:
        """Let the newest files be as they were dropped."""
        for kind in self._spoiled:
            self.put(kind, *self._newest[kind])
        self._spoiled.clear()


def file_name(kind: str, of: str) -> str:
    """The name of an export, as people give it."""
    return f"{kind}_{of}.{'csv' if kind == AWARDS else 'xlsx'}"


def dated_name(kind: str, day: int) -> str:
    """The name of the export of a day."""
    return file_name(kind, f"{EPOCH + timedelta(days=day):%Y-%m-%d}")


def rendered(
    kind: str,
    columns: list[str],
    rows: Sequence[Row | list[Cell]],
    *,
    encoding: str = "utf-8",
    half: bool = False,
    dashes: bool = False,
    lost_zeros: bool = False,
    extra_column: bool = False,
) -> bytes:
    """The content of an export: CSV, or a workbook. Rows are by column; one that is a list stands there as it is.

    half: as it is while it is copied. dashes: MAC addresses in upper case with dashes. lost_zeros: codes that a spreadsheet
    took for numbers. extra_column: a column that was not there before.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding {encoding!r} is not one of {', '.join(ENCODINGS)}")
    codes = "Person Appt Department Id"
    changed: dict[str, Callable[[str], Cell]] = {}
    if dashes:
        changed["MAC"] = lambda card: card.upper().replace(":", "-")
    if lost_zeros:
        changed[codes] = lambda code: f"{float(code)}" if code else ""
    if extra_column:
        changed["Asset Color"] = lambda _: "plain"
    extra = {name: None for row in rows if isinstance(row, dict) for name in row if name not in columns}
    header = list(dict.fromkeys([*columns, *extra, *(changed.keys() & {"Asset Color"})]))
    cells = [header, *(_cells(row, header, changed) for row in rows)]
    content = _csv(cells).encode(encoding, "replace") if kind == AWARDS else _workbook(cells)
    return half_of(kind, content) if half else content


def _cells(row: Row | list[Cell], header: list[str], changed: Mapping[str, Callable[[str], Cell]]) -> Sequence[Cell]:
    if isinstance(row, list):
        return row
    return [changed[name](str(row.get(name) or "")) if name in changed else row.get(name) for name in header]


def _csv(rows: Sequence[Sequence[Cell]]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def _workbook(rows: Sequence[Sequence[Cell]]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Computers")
    for row in rows:
        sheet.append([cell.replace(tzinfo=None) if isinstance(cell, datetime) else cell for cell in row])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


# Faults


def half_of(kind: str, content: bytes) -> bytes:
    """As it is while it is copied."""
    return content[: len(content) // 2]


def _removed(kind: str, content: bytes) -> None:
    return None


def _bad_bytes(kind: str, content: bytes) -> bytes:
    """Bytes that are text in no encoding, or a damaged part of a workbook."""
    middle = len(content) // 2
    return content[:middle] + b"\x81\xff" * 8 + content[middle + 16 :]


def _without_rows(kind: str, content: bytes) -> bytes:
    """The header alone."""
    return _remade(kind, content, lambda rows: rows[:1])


def _other_header(kind: str, content: bytes) -> bytes:
    """Another export under the same name."""
    return _remade(kind, content, lambda rows: [[f"Other {title}" for title in rows[0]], *rows[1:]])


def _large(kind: str, content: bytes, megabytes: float = 4) -> bytes:
    """Much larger, once it is unpacked."""
    filling = b"\n" * (int(megabytes) << 20)
    if kind == AWARDS:
        return content + filling
    book = io.BytesIO(content)
    with zipfile.ZipFile(book, "a", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("docProps/filling.xml", filling)
    return book.getvalue()


def _remade(kind: str, content: bytes, change: Callable[[list[Any]], list[Any]]) -> bytes:
    if kind == AWARDS:
        return _csv(change([list(row) for row in csv.reader(io.StringIO(content.decode(), newline=""))])).encode()
    sheet = load_workbook(io.BytesIO(content), read_only=True).worksheets[0]
    return _workbook(change([list(row) for row in sheet.iter_rows(values_only=True)]))


FAULTS: Mapping[str, Callable[..., bytes | None]] = {
    "half": half_of,
    "removed": _removed,
    "bad_bytes": _bad_bytes,
    "other_header": _other_header,
    "empty": _without_rows,
    "large": _large,
}
