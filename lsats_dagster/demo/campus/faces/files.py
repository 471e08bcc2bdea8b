"""The folder into which exports are dropped (sources.md 4.6, 19, 20)."""

import csv
import io
import os
import shutil
from datetime import datetime, timedelta
from pathlib import Path

from openpyxl import Workbook

from lsats_dagster.demo.campus.entities import EPOCH
from lsats_dagster.demo.campus.populations.exports import AWARDS, COMPUTERS, DAYS, Row

ENCODINGS = ("utf-8", "utf-8-sig", "cp1252")


class DropFolder:
    """Writes exports as people leave them: by name and date, as CSV or as a workbook."""

    def __init__(self, folder: Path) -> None:
        self.path = folder

    def empty(self) -> None:
        """Throw away what lies there."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.path.mkdir(parents=True)

    def drop(
        self,
        kind: str,
        rows: list[Row],
        day: int,
        *,
        name: str | None = None,
        encoding: str = "utf-8",
        half: bool = False,
        dashes: bool = False,
        lost_zeros: bool = False,
        extra_column: bool = False,
    ) -> str:
        """Write an export of that day; its name. The time of the file is the morning of the day.

        half: as it is while it is copied. dashes: MAC addresses with dashes. lost_zeros: codes that a spreadsheet took for
        numbers. extra_column: a column that was not there before.
        """
        if kind not in DAYS:
            raise ValueError(f"export {kind!r} is not one of {', '.join(DAYS)}")
        if encoding not in ENCODINGS:
            raise ValueError(f"encoding {encoding!r} is not one of {', '.join(ENCODINGS)}")
        moment = EPOCH + timedelta(days=day)
        suffix = "csv" if kind == AWARDS else "xlsx"
        name = name or f"{kind}_{moment:%Y-%m-%d}.{suffix}"
        if dashes:
            rows = [row | {"MAC": str(row["MAC"]).replace(":", "-")} for row in rows]
        if lost_zeros:
            codes = "Person Appt Department Id"
            rows = [row | {codes: f"{float(str(row[codes]))}" if row[codes] else ""} for row in rows]
        if extra_column:
            rows = [row | {"Asset Color": "plain"} for row in rows]
        content = _workbook(rows) if kind == COMPUTERS else _csv(rows).encode(encoding, "replace")
        if half:
            content = content[: len(content) // 2]
        self.path.mkdir(parents=True, exist_ok=True)
        draft = self.path / f".{name}.draft"
        draft.write_bytes(content)
        os.utime(draft, (moment.timestamp(), moment.timestamp()))
        draft.replace(self.path / name)
        return name


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
