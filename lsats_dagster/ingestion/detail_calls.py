"""The calls of a detail stream: asked side by side, judged one by one, handed on in portions of one commit."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lsats_dagster.ingestion.content import RejectedRecordError, checked_key
from lsats_dagster.ingestion.stream import DetailStream, UnansweredCallError, UnprovenReadError, UnreadableRecordError

logger = logging.getLogger(__name__)

# One answer that cannot be read is a bad record, one call that fails may be one too; so many in a row are a bad source.
UNREADABLE_IN_A_ROW = 5
FAILED_IN_A_ROW = 3
CALLS_PER_COMMIT = 100
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
    return RejectedRecordError("key", "the answer is about another record", external_id)


def ask_all(stream: DetailStream[Any], client: Any, due: list[Due], workers: int) -> Iterator[list[Answer]]:
    """The answers in portions of one commit. Calls that go on failing, and new failures beside no answer at all, end the read
    after the answers that came were handed on: with the client's own error, or with UnprovenReadError where the answers
    cannot be read.
    """
    ended = threading.Event()
    counting = threading.Lock()
    asked = answered = failed_in_a_row = unreadable_in_a_row = 0
    failure: Exception | None = None
    end: Exception | None = None

    def call(item: Due) -> Answer | None:
        nonlocal asked, answered, failed_in_a_row, unreadable_in_a_row, failure, end
        if ended.is_set():
            return None
        try:
            answer = _ask(stream, client, item)
        except Exception as error:
            end = end or error
            ended.set()
            return None
        with counting:
            asked += 1
            answered += not answer.failure
            if asked % CALLS_PER_LINE == 0:
                logger.info("🔄 %s: %d of %d details", stream.name, asked, len(due))
            if not answer.usable:
                if item.unusable_before:
                    return answer
                failure = failure or answer.failure
                failed_in_a_row += answer.failure is not None
                unreadable_in_a_row += answer.rejection is not None
            else:
                failed_in_a_row = unreadable_in_a_row = 0
            if failed_in_a_row >= FAILED_IN_A_ROW:
                end = end or answer.failure
            elif unreadable_in_a_row >= UNREADABLE_IN_A_ROW:
                end = end or UnprovenReadError(
                    f"{stream.name}: {unreadable_in_a_row} answers in a row could not be read, or were about other records"
                )
            if end:
                ended.set()
        return answer

    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="detail")
    try:
        for begin in range(0, len(due), CALLS_PER_COMMIT):
            answers = [answer for answer in pool.map(call, due[begin : begin + CALLS_PER_COMMIT]) if answer]
            if end:
                # The source is ill, not its records: nothing is kept aside. What could not be read is asked for again, last.
                yield [Answer(a.due, failure=a.rejection) if a.rejection else a for a in answers]
                raise end
            yield answers
        if failure and not answered:
            raise failure
    finally:
        # An interrupt does not wait for the calls under way, which a silent source draws out.
        ended.set()
        pool.shutdown(wait=False, cancel_futures=True)
