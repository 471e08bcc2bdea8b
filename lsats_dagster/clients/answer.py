"""One answer of a source: its body is spooled as it arrives, so that a large one needs disk and not memory."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import IO, Any

from lsats_dagster.clients import json_stream
from lsats_dagster.clients.errors import (
    PermanentSourceError,
    TransientSourceError,
    UnreadableAnswerError,
    UnreadableRecordError,
)
from lsats_dagster.clients.json_stream import JsonArray, NotJsonError, WrongShapeError

_CHUNK = 1 << 16
_IN_MEMORY = 4 << 20


@dataclass(frozen=True)
class Answer:
    """A whole answer to be read once; `date` is the server's own time (epoch seconds), to which its other times relate."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: IO[bytes] = field(repr=False)
    size: int
    date: float
    record_bytes: int  # at most of an element of a list

    def text(self) -> str:
        """The body as UTF-8."""
        return self._raw().decode("utf-8-sig", "surrogateescape")

    def document(self) -> Any:
        """The body as the JSON of one record; UnreadableAnswerError if it cannot be read."""
        try:
            return json_stream.document(self._raw())
        except UnreadableRecordError as error:
            problem = f" that can be read: {error}"
        except NotJsonError:
            problem = ""
        raise self._without_json(problem)

    def array(self, *path: str) -> JsonArray:
        """The array at `path` of a JSON body, whose structure is whole; UnreadableAnswerError if there is none."""
        try:
            return JsonArray(self.body, self.size, path, self.record_bytes)
        except WrongShapeError as error:
            failure = UnreadableAnswerError(f"HTTP {self.status} with {error}")
        except NotJsonError:
            failure = self._without_json()
        raise failure

    def is_of_a_proxy(self) -> bool:
        """Whether something in between wrote this error: the source's own errors are JSON or have no body."""
        return self.size > 0 and "json" not in self._kind().lower()

    def _raw(self) -> bytes:
        with self.body:
            self.body.seek(0)
            return self.body.read()

    def _kind(self) -> str:
        return self.headers.get("Content-Type", "").partition(";")[0].strip()[:40] or "no content type"

    def _without_json(self, problem: str = "") -> UnreadableAnswerError:
        return UnreadableAnswerError(f"HTTP {self.status} without JSON{problem} ({self.size} bytes, {self._kind()})")


def spooled(raw: Any, deadline: float, most: int) -> tuple[IO[bytes], int]:
    """The body and its size, written as it arrives, so that deadline and ceiling hold for a server that drips or bloats.

    Of one that is larger than `most` bytes only the start is read; the size is larger then, too.
    """
    size = 0
    body = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - the answer owns it
    try:
        while size <= most and (piece := raw.read1(_CHUNK, decode_content=True)):
            size += len(piece)
            _store(body, piece)
            if time.monotonic() > deadline:
                raise TransientSourceError("no whole answer within the time allowed")
    except BaseException:
        body.close()
        raise
    return body, size


def _store(body: IO[bytes], piece: bytes) -> None:
    try:
        body.write(piece)
    except OSError as error:
        problem = error.strerror
    else:
        return
    raise PermanentSourceError(f"the answer cannot be written to the folder for temporary files ({problem})")
