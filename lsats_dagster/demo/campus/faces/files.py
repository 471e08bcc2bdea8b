"""The folder into which exports are dropped (sources.md 4.6, 19, 20)."""

import csv
import io
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from openpyxl import Workbook

from lsats_dagster.demo.campus.entities import EPOCH
from lsats_dagster.demo.campus.populations.exports import AWARDS, Row

ENCODINGS = ("utf-8", "utf-8-sig", "cp1252")


class DropFolder:
    """The folder as a reader sees it: whole files, each with a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def empty(self) -> None:
        """Throw away what lies there."""
        shutil.rmtree(self.path, ignore_errors=True)

    def put(self, name: str, content: bytes, day: int) -> None:
        """Write a file at once; its time is the morning of the day."""
        self.path.mkdir(parents=True, exist_ok=True)
        draft = self.path / f".{name}.draft"
        draft.write_bytes(content)
        moment = (EPOCH + timedelta(days=day)).timestamp()
        os.utime(draft, (moment, moment))
        draft.replace(self.path / name)


def file_name(kind: str, of: str) -> str:
    """The name of an export, as people give it."""
    return f"{kind}_{of}.{'csv' if kind == AWARDS else 'xlsx'}"


def dated_name(kind: str, day: int) -> str:
    """The name of the export of a day."""
    return file_name(kind, f"{EPOCH + timedelta(days=day):%Y-%m-%d}")


def rendered(
    kind: str,
    rows: list[Row],
    *,
    encoding: str = "utf-8",
    half: bool = False,
    dashes: bool = False,
    lost_zeros: bool = False,
    extra_column: bool = False,
) -> bytes:
    """The content of an export: CSV, or a workbook.

    half: as it is while it is copied. dashes: MAC addresses with dashes. lost_zeros: codes that a spreadsheet took for
    numbers. extra_column: a column that was not there before.
    """
    if encoding not in ENCODINGS:
        raise ValueError(f"encoding {encoding!r} is not one of {', '.join(ENCODINGS)}")
    if dashes:
        rows = [row | {"MAC": str(row["MAC"]).replace(":", "-")} for row in rows]
    if lost_zeros:
        codes = "Person Appt Department Id"
        rows = [row | {codes: f"{float(str(row[codes]))}" if row[codes] else ""} for row in rows]
    if extra_column:
        rows = [row | {"Asset Color": "plain"} for row in rows]
    content = _csv(rows).encode(encoding, "replace") if kind == AWARDS else _workbook(rows)
    return content[: len(content) // 2] if half else content


def _csv(rows: list[Row]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _workbook(rows: list[Row]) -> bytes:
    book = Workbook(write_only=True)
    sheet = book.create_sheet("Computers")
    sheet.append(list(rows[0]))
    for row in rows:
        sheet.append([cell.replace(tzinfo=None) if isinstance(cell, datetime) else cell for cell in row.values()])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()
