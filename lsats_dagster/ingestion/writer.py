"""Takes the records of a run one by one and writes them batch by batch.

While one batch is compared and written, the next is read from the source, keyed, hashed and serialized: the database and
the source work at the same time. Memory is two batches, whatever the size of the source.
"""

import logging
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any

from sqlalchemy import Connection

from lsats_dagster.ingestion.batch import Appender, Batch
from lsats_dagster.ingestion.content import RejectedRecordError, prepare
from lsats_dagster.ingestion.stream import Stream
from lsats_dagster.runs import Run

logger = logging.getLogger(__name__)


class BatchWriter:
    """The writer of one run, for a `with` block; `connection` may be used by others after `flush` or the end of the block.

    taken: all records so far; unkeyed, read_anew: records without a key, and records at all, since the read last began.
    Every method raises what writing an earlier batch raised.
    """

    def __init__(self, connection: Connection, stream: Stream[Any], run: Run, batch_size: int) -> None:
        self._stream = stream
        self._run = run
        self._batch_size = batch_size
        self._batch = Batch()
        self._appender = Appender(connection, stream, run)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        self._writing: Future[None] | None = None
        self.taken = 0
        self.unkeyed = 0
        self.read_anew = 0

    def __enter__(self) -> "BatchWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait for the batch that is being written; what was taken after it is not written."""
        self._thread.shutdown()

    def start_again(self) -> None:
        """Forget what this read has brought so far: the source is read once more from its beginning."""
        self.flush()
        self.unkeyed = self.read_anew = 0
        self._appender.forget_seen()

    def add(self, record: object) -> bool:
        """Take one record as received; False when it goes to quarantine. Hands the batch on when it is full."""
        self.read_anew += 1
        try:
            self._batch.admit(prepare(self._stream, record))
            self.taken += 1
            accepted = True
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
        self._batch.reject(record, rejection)

    def flush(self) -> None:
        """Write what was taken, and return when it is committed."""
        if self._batch.taken:
            self._hand_over()
        self._await()

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
            "🔄 %s: %d processed (🆕 %d new, 📝 %d changed, ⏭️ %d unchanged, ❌ %d failed)",
            self._stream.name,
            counts.processed,
            counts.created,
            counts.updated,
            counts.skipped,
            counts.failed,
        )


def read_all(writer: BatchWriter, pages: Iterable[list[Any]], limit: int | None = None) -> bool:
    """Put every record of `pages` through `writer`; False when `limit` records were taken before the end."""
    for page in pages:
        for record in page:
            if limit is not None and writer.read_anew >= limit:
                writer.flush()
                return False
            writer.add(record)
    writer.flush()
    return True
