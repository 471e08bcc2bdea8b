"""Exported documents: the newest file of a kind in a folder, as records of texts (sources.md 4.6, 19, 20).

People drop these files by hand. What is still being copied, was cut, or is older than what was read last is refused in one
sentence that names it; it is never read as if it were whole.
"""

import csv
import fnmatch
import hashlib
import io
import os
import stat
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from python_calamine import CalamineError, CalamineWorkbook

from lsats_dagster.clients.errors import (
    PermanentSourceError,
    TransientSourceError,
    UnreadableAnswerError,
    UnreadableRecordError,
)
from lsats_dagster.clients.http import DEFAULT_CEILINGS, Ceilings, Probe

# Byte order mark or not; what older programs write. A byte that neither knows is refused.
ENCODINGS = ("utf-8-sig", "cp1252")
# Files of which a read remembers that it was made: one of them that is found again says nothing new.
REMEMBERED = 50
# Of one element that cannot be read, as far as it is kept.
_KEPT = 1 << 20

Row = list[str]


@dataclass(frozen=True)
class Mark:
    """A file as the folder shows it: another mark means other content."""

    name: str
    bytes: int
    nanoseconds: int

    @property
    def time(self) -> datetime:
        return datetime.fromtimestamp(self.nanoseconds / 1e9, UTC)

    def __str__(self) -> str:
        return f"{self.name} of {self.time:%Y-%m-%d %H:%M:%S.%f} UTC, {self.bytes} bytes"


@dataclass(frozen=True)
class Document:
    """One file, read whole. records: texts by column, an UnreadableRecordError in place of a row that does not fit."""

    mark: Mark
    sha256: str
    records: list[Any]

    def memory(self, before: Mapping[str, Any]) -> dict[str, Any]:
        """What the next read must know of this one and of those `before` it."""
        earlier = [found for found in before.get("fingerprints", []) if found != self.sha256]
        return {
            "name": self.mark.name,
            "time": self.mark.time.isoformat(),
            "sha256": self.sha256,
            "fingerprints": [*earlier, self.sha256][-REMEMBERED:],
        }


class DocumentsClient:
    """Reads a folder. Raises PermanentSourceError and TransientSourceError with a sentence that names the file."""

    def __init__(self, folder: Path, ceilings: Ceilings = DEFAULT_CEILINGS) -> None:
        self._folder = folder
        self._most = ceilings.list_bytes

    def newest(self, pattern: str) -> Mark | None:
        """The newest file whose name fits `pattern`, in letters of either case; None where there is none.

        What programs hide while they write it begins with another sign. A name that no log could show is none.
        """
        try:
            with os.scandir(self._folder) as entries:
                found = [
                    Mark(entry.name, seen.st_size, seen.st_mtime_ns)
                    for entry in entries
                    if fnmatch.fnmatchcase(entry.name.lower(), pattern) and entry.name.isprintable()
                    for seen in [entry.stat()]
                    if stat.S_ISREG(seen.st_mode)
                ]
        except OSError as error:
            raise TransientSourceError(f"the folder of exports cannot be read ({error.strerror})") from None
        return max(found, key=lambda mark: (mark.nanoseconds, mark.name), default=None)

    def read(self, mark: Mark, columns: Collection[str], before: Mapping[str, Any]) -> Document:
        """This file, which must have these columns and may have others. before: the memory of the last read."""
        content = self._content(mark)
        sha256 = hashlib.sha256(content).hexdigest()
        refuse_older(mark, sha256, before)
        rows = workbook_rows(mark.name, content, self._most) if is_workbook(mark) else text_rows(mark.name, content)
        return Document(mark, sha256, list(records_of(mark.name, rows, columns)))

    def probe(self) -> Probe:
        """Whether the folder can be read; it has neither clock nor limits."""
        self.newest("*")
        return Probe(clock_difference=None, limits={})

    def evidence(self) -> dict[str, str]:
        """What is kept with every run."""
        return {"address": str(self._folder)}

    def close(self) -> None:
        """Nothing is open between calls."""

    def _content(self, mark: Mark) -> bytes:
        """The bytes of a file that stayed as it was meanwhile."""
        if mark.bytes > self._most:
            raise too_large(mark.name, self._most)
        path = self._folder / mark.name
        try:
            content = path.read_bytes()
            after = path.stat()
        except OSError as error:
            raise TransientSourceError(f"{mark.name} cannot be read ({error.strerror})") from None
        if (after.st_size, after.st_mtime_ns) != (mark.bytes, mark.nanoseconds) or len(content) != mark.bytes:
            raise TransientSourceError(f"{mark.name} changed while it was read: it is still being copied")
        return content


def is_workbook(mark: Mark) -> bool:
    return mark.name.lower().endswith(".xlsx")


def too_large(name: str, most: int) -> PermanentSourceError:
    return PermanentSourceError(f"{name} is larger than {most >> 20} MB, unpacked")


def refuse_older(mark: Mark, sha256: str, before: Mapping[str, Any]) -> None:
    """PermanentSourceError for an export that was read before, or is older than the last one that was."""
    if not before or sha256 == before["sha256"]:
        return
    if sha256 in before["fingerprints"]:
        raise PermanentSourceError(
            f"{mark.name} has the content of an export that was read before {before['name']}: drop a new export"
        )
    if mark.time < datetime.fromisoformat(before["time"]):
        raise PermanentSourceError(
            f"{mark.name} is of {mark.time:%Y-%m-%d %H:%M} UTC and older than {before['name']}, which was read last: "
            "drop a new export"
        )


def half_written(name: str, sign: str) -> UnreadableAnswerError:
    return UnreadableAnswerError(f"{name} {sign}: it is still being copied, or was cut; if so, drop it again")


def text_rows(name: str, content: bytes) -> Iterator[Row]:
    """The rows of a CSV file."""
    if not content.endswith((b"\n", b"\r")):
        raise half_written(name, "does not end with a whole line")
    reader = csv.reader(io.StringIO(decoded(name, content), newline=""), strict=True)
    try:
        yield from reader
    except csv.Error:
        raise half_written(name, f"cannot be read from line {reader.line_num} on, where quotes do not match") from None


def decoded(name: str, content: bytes) -> str:
    for encoding in ENCODINGS:
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise PermanentSourceError(f"{name} is text in neither UTF-8 nor Windows-1252: save it in UTF-8")


def workbook_rows(name: str, content: bytes, most: int) -> Iterator[Row]:
    """The rows of the first sheet of a workbook; each cell as text."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as parts:
            if sum(part.file_size for part in parts.infolist()) > most:
                raise too_large(name, most)
        rows = CalamineWorkbook.from_filelike(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    except (CalamineError, zipfile.BadZipFile, NotImplementedError):
        # What these say may quote the file.
        raise half_written(name, "is no whole workbook") from None
    for row in rows:
        yield [as_text(cell) for cell in row]


def as_text(cell: object) -> str:
    """A cell as people see it: a whole number without decimals, a day or time in ISO form."""
    if isinstance(cell, date):  # a datetime is one
        return f"{cell:%Y-%m-%d %H:%M:%S}"
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)


def records_of(name: str, rows: Iterator[Row], columns: Collection[str]) -> Iterator[Any]:
    """The rows below the header as records. White space in headers is collapsed; what is empty or has no name is left out."""
    header = [" ".join(title.split()) for title in next(rows, [])]
    if lacking := [column for column in columns if column not in header]:
        raise PermanentSourceError(f"{name} lacks the columns {', '.join(lacking)}: export it with all of them")
    if doubled := sorted({title for title in header if title and header.count(title) > 1}):
        raise PermanentSourceError(f"{name} has columns of one name: {', '.join(doubled)}")
    for row in rows:
        if len(row) == len(header):
            if any(row):
                yield {title: cell for title, cell in zip(header, row, strict=True) if title}
        elif row:
            yield misfit(row, header)


def misfit(row: Sequence[str], header: Sequence[str]) -> UnreadableRecordError:
    return UnreadableRecordError(f"the row has {len(row)} cells and the header {len(header)}", ",".join(row)[:_KEPT])
