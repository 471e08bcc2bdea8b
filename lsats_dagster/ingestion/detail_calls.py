"""The calls of a detail stream: asked side by side, judged one by one, handed on in portions of one commit."""

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from lsats_dagster.ingestion.content import RejectedRecordError, checked_key
from lsats_dagster.ingestion.stream import DetailStream, UnprovenReadError, UnreadableRecordError

logger = logging.getLogger(__name__)

# One answer that cannot be used is a bad record; so many in a row are a bad source.
UNUSABLE_IN_A_ROW = 5
CALLS_PER_COMMIT = 100
CALLS_PER_LINE = 25


@dataclass(frozen=True)
class Due:
    """A key whose detail is to be fetched, and the state of its list row when that was decided."""

    external_id: str
    list_seq: int
    source_version: str | None
    listed: bool


@dataclass(frozen=True)
class Answer:
    """What one detail call brought: a record, nothing because it is gone, or something that is not this key's record."""

    due: Due
    record: Any | None = None
    rejection: RejectedRecordError | None = None

    @property
    def external_id(self) -> str:
        return self.due.external_id

    @property
    def gone(self) -> bool:
        return self.record is None and self.rejection is None


def _ask(stream: DetailStream[Any], client: Any, due: Due) -> Answer:
    """The answer to one call, judged; raises what the client raised."""
    try:
        record = stream.fetch(client, due.external_id)
    except UnreadableRecordError as error:
        # The key tells one unreadable answer from the other.
        return Answer(due, {"external_id": due.external_id}, RejectedRecordError("read", str(error), due.external_id))
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
    """The answers in portions of one commit. A failed call ends the read, after the answers that came were handed on."""
    ended = threading.Event()
    counting = threading.Lock()
    answered = unusable_in_a_row = 0

    def call(item: Due) -> Answer | Exception | None:
        nonlocal answered, unusable_in_a_row
        if ended.is_set():
            return None
        try:
            answer = _ask(stream, client, item)
        except Exception as error:
            ended.set()
            return error
        with counting:
            answered += 1
            if answered % CALLS_PER_LINE == 0:
                logger.info("🔄 %s: %d of %d details", stream.name, answered, len(due))
            unusable_in_a_row = unusable_in_a_row + 1 if answer.rejection else 0
            if unusable_in_a_row >= UNUSABLE_IN_A_ROW:
                ended.set()
        return answer

    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="detail") as pool:
        for begin in range(0, len(due), CALLS_PER_COMMIT):
            results = list(pool.map(call, due[begin : begin + CALLS_PER_COMMIT]))
            answers = [result for result in results if isinstance(result, Answer)]
            if unusable_in_a_row >= UNUSABLE_IN_A_ROW:
                # The source is ill, not its records: these are asked for again.
                yield [answer for answer in answers if not answer.rejection]
                raise UnprovenReadError(
                    f"{stream.name}: {UNUSABLE_IN_A_ROW} answers in a row could not be read, or were about other records"
                )
            yield answers
            for result in results:
                if isinstance(result, Exception):
                    raise result
