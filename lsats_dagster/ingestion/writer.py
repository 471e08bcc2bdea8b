"""Takes the records of a run one by one and writes them batch by batch.

While one batch is compared and written, the next is read from the source, keyed, hashed and serialized: the database and
the source work at the same time. Memory is two batches, whatever the size of the source.
"""

import gc
import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import TracebackType
from typing import Any

from lsats_dagster.ingestion.batch import Appender, Batch
from lsats_dagster.ingestion.content import RejectedRecordError, prepare
from lsats_dagster.ingestion.seen import Seen
from lsats_dagster.ingestion.stream import Part, Present, SkippedRecordError, Stream
from lsats_dagster.runs import Work

logger = logging.getLogger(__name__)

# Whoever has waited for the server goes on when the other thread lets go of the interpreter: every 5 ms, if nothing else is
# said. A batch waits some twenty times, and would be written only when the reader has nothing left to do.
SWITCH_SECONDS = 0.0005
# Looking for cycles in what a batch holds, thousands of records without any, costs a fifth of a quiet read.
UNCOLLECTED = 20_000
_pacing = threading.Lock()
_usual: list[tuple[float, tuple[int, int, int]]] = []


@contextmanager
def full_pace() -> Iterator[None]:
    """Threads take turns quickly, cycles are seldom looked for. Of several blocks at once, which end in any order, the last one
    leaves both as they were.
    """
    with _pacing:
        _usual.append(_usual[0] if _usual else (sys.getswitchinterval(), gc.get_threshold()))
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.set_threshold(UNCOLLECTED)
    try:
        yield
    finally:
        with _pacing:
            turns, uncollected = _usual.pop()
            if not _usual:
                sys.setswitchinterval(turns)
                gc.set_threshold(*uncollected)


class BatchWriter:
    """The writer of one run, for a `with` block; its connection may be used by others after `flush` or the end of the block.

    seen: what the read has brought. taken: all records so far; unkeyed, read_anew, passed_over, not_read: records without a
    key, records at all, records that are none by their reason, and keys that are only known to be there, since the read last
    began. Every method raises what writing an earlier batch raised.
    """

    def __init__(self, work: Work, stream: Stream[Any], batch_size: int) -> None:
        self._connection = work.connection
        self._stream = stream
        self._run = work.run
        self._batch_size = batch_size
        self._keep_parts = False
        self._part: list[str] | None = None
        self._batch = Batch()
        self.seen = Seen(work.connection)
        self._appender = Appender(work, stream, self.seen)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None
        self._pace = full_pace()
        self.taken = 0
        self.unkeyed = 0
        self.read_anew = 0
        self.not_read = 0
        self.passed_over: Counter[str] = Counter()

    def __enter__(self) -> "BatchWriter":
        self._pace.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for the batch that is being written; what was taken after it is not written."""
        self._thread.shutdown()
        self._pace.__exit__(None, None, None)

    def begin(self, finished: Mapping[str, list[str]], *, keep_parts: bool) -> None:
        """The source is read from its beginning, or behind these parts and their keys: forget what it brought before.

        keep_parts: a read that dies shall go on behind the parts of this one.
        """
        self.flush()
        self._keep_parts, self._part = keep_parts, None
        self.taken -= self._appender.doubles.forget()
        self.unkeyed = self.read_anew = self.not_read = 0
        self.passed_over.clear()
        with self._connection.begin():
            self.seen.forget()
            for keys in finished.values():
                self.seen.note_keys(keys)

    def add(self, record: object) -> bool:
        """Take one record as received; False when it goes to quarantine. Hands the batch on when it is full."""
        self.read_anew += 1
        accepted = True
        try:
            prepared = prepare(self._stream, record)
            self.taken += 1
            written = self._batch.admit(prepared, self._appender.doubles)
            if not written:
                self._appender.doubles.check_count()
            if self._part is not None:
                self._note_in_part(prepared.external_id if written else None)
        except SkippedRecordError as reason:
            self.taken += 1
            self.passed_over[str(reason)] += 1
            self._batch.pass_over()
        except RejectedRecordError as rejection:
            self.reject(record, rejection)
            accepted = False
        if self._batch.taken >= self._batch_size:
            self._hand_over()
        return accepted

    def reject(self, record: object, rejection: RejectedRecordError) -> None:
        """Take one record that could not even be read."""
        self.taken += 1
        self.unkeyed += rejection.external_id is None
        self._note_in_part(None)
        self._batch.reject(record, rejection)

    def note_present(self, keys: list[str]) -> None:
        """Take keys that the source still has, whose records were not read."""
        self.flush()
        self.not_read += len(keys)
        with self._connection.begin():
            self.seen.note_keys(keys)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """The records of the block are a whole part of the source. One with a record that is not written is not finished."""
        self._part = []
        yield
        if self._part is not None and self._keep_parts:
            self._batch.parts.append((name, self._part))
        self._part = None

    def _note_in_part(self, external_id: str | None) -> None:
        if external_id is None:
            self._part = None
        elif self._part is not None:
            self._part.append(external_id)

    def flush(self) -> None:
        """Write what was taken, and return when it is committed."""
        if self._batch.taken or self._batch.parts:
            self._hand_over()
        self._await()

    def absent(self) -> list[str]:
        """The keys of present entities that did not come, after `flush`; what waits for the end of the read came."""
        with self._connection.begin():
            return [key for key in self.seen.absent(self._stream) if not self._appender.doubles.waits(key)]

    def settle(self) -> None:
        """The read has ended: write what stands of records that share a key, too."""
        self.flush()
        self._appender.settle()

    def drop_waiting(self) -> int:
        """The read did not come to its end: leave records that share a key to the next. How many records that were."""
        self.flush()
        dropped = self._appender.doubles.forget()
        self.taken -= dropped
        return dropped

    def _hand_over(self) -> None:
        self._await()
        batch, self._batch = self._batch, Batch()
        self._writing = self._thread.submit(self._append, batch)

    def _await(self) -> None:
        if self._writing:
            # Raises what the thread raised, again and again: nothing is written behind a batch that could not be.
            self._writing.result()
            self._writing = None

    def _append(self, batch: Batch) -> None:
        self._appender.append(batch)
        counts = self._run.counts
        logger.info(
            "🔄 %s: %d processed (🆕 %d new, 📝 %d changed, ⏭️ %d unchanged, ❌ %d quarantined)",
            self._stream.label,
            counts.processed,
            counts.created,
            counts.updated,
            counts.skipped,
            counts.failed,
        )


def read_all(writer: BatchWriter, pages: Iterable[list[Any]], limit: int | None = None) -> bool:
    """Put every record of `pages` through `writer`; False when `limit` records were taken before the end."""
    for page in pages:
        if isinstance(page, Present):
            writer.note_present(page)
        elif isinstance(page, Part):
            with writer.part(page.name):
                if not _take(writer, page, limit):
                    return False
        elif not _take(writer, page, limit):
            return False
    writer.flush()
    return True


def _take(writer: BatchWriter, page: list[Any], limit: int | None) -> bool:
    for record in page:
        if limit is not None and writer.read_anew >= limit:
            writer.flush()
            return False
        writer.add(record)
    return True
