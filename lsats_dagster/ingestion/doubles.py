"""Records of one read that share a key and are not equal: settled over the whole read, never by which came first.

The order of a source and the borders of batches change from day to day. So records of such keys wait until the read has
ended; then the one with the lowest hash stands, and the others are quarantined. Keys that were doubled in an earlier run
wait from the start: nothing is written of them and written back.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from lsats_dagster.ingestion.content import Prepared
from lsats_dagster.ingestion.stream import UnprovenReadError

# More of them mean that the declared key is none.
MOST_HELD = 10_000

# Keys whose records were unequal in an earlier read.
DOUBLED = """
select distinct external_id
from meta.quarantine
where source_system = :source_system and entity_type = :entity_type and resolved_at is null and stage = 'duplicate'
"""


@dataclass
class Settlement:
    """standing: the record of each key that is to be written. dropped: those that are quarantined. overruled: keys of which
    another record was written before, which is quarantined too. taken: all records that waited.
    """

    standing: list[Prepared]
    dropped: list[Prepared]
    overruled: list[str]
    taken: int


class Doubles:
    """The waiting records of one read. Its reader and its writer may let records wait at the same time."""

    def __init__(self, known: Iterable[str]) -> None:
        self._known = frozenset(known)
        self._held: dict[str, list[Prepared]] = {}
        # Hash of the record of a key that an earlier batch of this read has written.
        self._written: dict[str, bytes] = {}
        self._lock = threading.Lock()
        self.count = 0

    def waits(self, external_id: str) -> bool:
        """Whether records of this key wait for the end of the read."""
        return external_id in self._known or external_id in self._held

    def hold(self, prepared: Prepared, written: bytes | None = None) -> None:
        """Let a record wait; `written` is the hash of the one of its key that has been written already."""
        with self._lock:
            self._held.setdefault(prepared.external_id, []).append(prepared)
            if written is not None:
                self._written[prepared.external_id] = written
            self.count += 1

    def check_count(self) -> None:
        """UnprovenReadError when too many records wait."""
        if self.count > MOST_HELD:
            raise UnprovenReadError(f"more than {MOST_HELD} records share their keys with others: is the key right?")

    def settle(self) -> Settlement:
        """The outcome over all that waited; nothing waits afterwards. UnprovenReadError when too many did."""
        self.check_count()
        outcome = Settlement([], [], [], self.count)
        for external_id, records in self._held.items():
            by_hash = {record.entity_hash: record for record in records}
            written = self._written.get(external_id)
            lowest = min([*by_hash, *([written] if written else [])])
            if lowest in by_hash and lowest != written:
                outcome.standing.append(by_hash.pop(lowest))
                if written:
                    outcome.overruled.append(external_id)
            by_hash.pop(lowest, None)
            outcome.dropped += by_hash.values()
        self.forget()
        return outcome

    def forget(self) -> int:
        """Let go of what waits; how many records that were."""
        count, self.count = self.count, 0
        self._held.clear()
        self._written.clear()
        return count
