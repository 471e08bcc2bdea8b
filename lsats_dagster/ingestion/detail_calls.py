"""The calls of a detail stream: asked side by side, judged one by one, handed on in portions of one commit."""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from lsats_dagster.ingestion.content import RejectedRecordError, checked_key
from lsats_dagster.ingestion.stream import (
    DetailStream,
    SkippedRecordError,
    UnansweredCallError,
    UnprovenReadError,
    UnreadableRecordError,
)

logger = logging.getLogger(__name__)

# One answer that cannot be read is a bad record, one call that fails may be one too; so many in a row are a bad source.
UNREADABLE_IN_A_ROW = 5
FAILED_IN_A_ROW = 3
# A portion is written when so many answers came, or so long after the last: an interrupted run keeps what came in.
CALLS_PER_COMMIT = 100
SECONDS_PER_COMMIT = 5.0
CALLS_PER_LINE = 25


@dataclass(frozen=True)
class Due:
    """A key whose detail is to be fetched, and the state of its list row when that was decided.

    last_outcome: that of its last call (found, gone, quarantined, failed, denied), None before the first.
    """

    external_id: str
    list_seq: int
    source_version: str | None
    listed: bool
    last_outcome: str | None = None

    @property
    def unusable_before(self) -> bool:
        """Whether its last call failed or brought nothing readable: another such answer says nothing of the source."""
        return self.last_outcome in ("quarantined", "failed")


@dataclass(frozen=True)
class Answer:
    """What one detail call brought: a record, nothing because it is gone, something that is not this key's record, or a
    failure.
    """

    due: Due
    record: Any | None = None
    rejection: RejectedRecordError | None = None
    failure: Exception | None = None

    @property
    def external_id(self) -> str:
        return self.due.external_id

    @property
    def gone(self) -> bool:
        return self.usable and self.record is None

    @property
    def denied(self) -> bool:
        """Gone, although the list has it, and not known to be gone."""
        return self.gone and self.due.listed and self.due.last_outcome != "gone"

    @property
    def denied_again(self) -> bool:
        """Denied by an earlier run, too: a proxy or an outage that answered for the source would have passed."""
        return self.denied and self.due.last_outcome == "denied"

    @property
    def usable(self) -> bool:
        """Whether the source answered, and about this key."""
        return self.rejection is None and self.failure is None


def _ask(stream: DetailStream[Any], client: Any, due: Due) -> Answer:
    """The answer to one call, judged; raises what the client raised."""
    try:
        record = stream.fetch(client, due.external_id)
    except UnreadableRecordError as error:
        # The key tells one unreadable answer from the other.
        return Answer(due, {"external_id": due.external_id}, RejectedRecordError("read", str(error), due.external_id))
    except UnansweredCallError as error:
        return Answer(due, failure=error.reason)
    return Answer(due, record, None if record is None else _misfit(stream, record, due.external_id))


def _misfit(stream: DetailStream[Any], record: Any, external_id: str) -> RejectedRecordError | None:
    """Why `record` is not that of `external_id`; None when it is."""
    if not isinstance(record, dict):
        return RejectedRecordError("read", "not an object", external_id)
    try:
        if checked_key(stream, record) == external_id:
            return None
    except RejectedRecordError as error:
        return RejectedRecordError(error.stage, error.reason, external_id)
    except SkippedRecordError as reason:
        return RejectedRecordError("key", str(reason), external_id)
    return RejectedRecordError("key", "the answer is about another record", external_id)


class Calls:
    """The calls of one run, asked side by side. Iterating gives the answers in portions of one commit.

    total: how many there are, for the log. until: no call begins after this moment of time.monotonic. asked: calls that
    came to an end.

    Calls that go on failing, and new failures beside no answer at all, end the iteration after the answers that came: with
    the client's own error, or with UnprovenReadError where the answers cannot be read. The threads do not hold up the end of
    the process: what they wait for (a rate window, a pause, a silent source) may take minutes.
    """

    def __init__(
        self, stream: DetailStream[Any], client: Any, due: Iterator[Due], workers: int, *, total: int, until: float
    ) -> None:
        self._stream = stream
        self._client = client
        self._until = until
        self._total = total
        self._due = due
        self._came: SimpleQueue[Answer | None] = SimpleQueue()
        self._ended = threading.Event()
        self._interrupted = False
        self._lock = threading.Lock()
        self.asked = self._answered = self._failed_in_a_row = self._unreadable_in_a_row = 0
        self._failure: Exception | None = None
        self._end: BaseException | None = None
        self._portion: list[Answer] = []
        self._threads = [threading.Thread(target=self._work, daemon=True, name="detail") for _ in range(workers)]

    def __iter__(self) -> Iterator[list[Answer]]:
        for thread in self._threads:
            thread.start()
        at_work = len(self._threads)
        commit_at = time.monotonic() + SECONDS_PER_COMMIT
        while at_work:
            try:
                answer = self._came.get(timeout=max(0.0, commit_at - time.monotonic()))
            except Empty:
                pass
            else:
                if answer is None:
                    if self._interrupted:
                        break
                    at_work -= 1
                    continue
                self._portion.append(answer)
            if len(self._portion) >= CALLS_PER_COMMIT or time.monotonic() >= commit_at:
                if self._portion and not self._end:
                    yield self._take_portion()
                commit_at = time.monotonic() + SECONDS_PER_COMMIT
        portion = [*self._take_portion(), *self._waiting()]
        if self._end:
            # The source is ill, not its records: nothing is quarantined. What could not be read is asked for again, last.
            yield [Answer(a.due, failure=a.rejection) if a.rejection else a for a in portion]
            raise self._end
        yield portion
        if self._failure and not self._answered:
            raise self._failure

    def _take_portion(self) -> list[Answer]:
        portion, self._portion = self._portion, []
        return portion

    def _waiting(self) -> Iterator[Answer]:
        """The answers that came and were not looked at."""
        while not self._came.empty():
            if answer := self._came.get():
                yield answer

    def stop(self) -> None:
        """Begin no further call."""
        self._ended.set()

    def interrupt(self) -> None:
        """End the iteration after the answers that came. For a signal handler: it waits for no lock."""
        self._interrupted = True
        self._came.put(None)

    def _work(self) -> None:
        try:
            while not self._ended.is_set() and time.monotonic() < self._until:
                with self._lock:
                    item = next(self._due, None)
                if item is None:
                    break
                answer = _ask(self._stream, self._client, item)
                self._judge(answer)
                self._came.put(answer)
        except BaseException as error:
            self._end = self._end or error
            self._ended.set()
        finally:
            self._came.put(None)

    def _judge(self, answer: Answer) -> None:
        """Whether the source is ill: so many in a row that failed or could not be read."""
        with self._lock:
            self.asked += 1
            self._answered += not answer.failure
            if self.asked % CALLS_PER_LINE == 0:
                logger.info("🔄 %s: %d of %d details", self._stream.label, self.asked, self._total)
            if answer.usable:
                self._failed_in_a_row = self._unreadable_in_a_row = 0
                return
            if answer.due.unusable_before:
                return
            self._failure = self._failure or answer.failure
            self._failed_in_a_row += answer.failure is not None
            self._unreadable_in_a_row += answer.rejection is not None
            if self._failed_in_a_row >= FAILED_IN_A_ROW:
                self._end = self._end or answer.failure
            elif self._unreadable_in_a_row >= UNREADABLE_IN_A_ROW:
                self._end = self._end or UnprovenReadError(
                    f"{self._stream.label}: {self._unreadable_in_a_row} answers in a row could not be read, or were about "
                    "other records"
                )
            if self._end:
                self._ended.set()
