"""The records of one batch as taken from the source: each key once, ready to be compared and written by `batch`."""

from dataclasses import dataclass, field

from lsats_dagster.ingestion.content import Prepared, RejectedRecordError
from lsats_dagster.ingestion.doubles import Doubles

# Bodies are kept one behind the other in blocks: each in memory of its own costs more than copying it.
BLOCK = 128 * 1024  # bytes

# Hash, block, where in it the body begins and ends, version mark. No class: one is made for each record.
Staged = tuple[bytes, bytearray, int, int, str | None]


def body_of(staged: Staged) -> bytes:
    """The JSON text of a record."""
    _, block, begin, end, _ = staged
    return bytes(memoryview(block)[begin:end])


@dataclass
class Batch:
    """Records of one read as taken, each key once. taken = prepared + rejected + repeated + passed_over.

    passed_over: records that are none by a rule of the stream. parts: whole parts that end in this batch, and their keys.
    """

    prepared: dict[str, Staged] = field(default_factory=dict)
    block: bytearray = field(default_factory=bytearray)
    rejected: list[tuple[object, RejectedRecordError]] = field(default_factory=list)
    taken: int = 0
    repeated: int = 0
    passed_over: int = 0
    parts: list[tuple[str, list[str]]] = field(default_factory=list)

    def admit(self, prepared: Prepared, doubles: Doubles) -> bool:
        """Take one record; False when it waits for the end of the read, as unequal records of one key do."""
        external_id = prepared[0]
        if doubles.waits(external_id):
            doubles.hold(prepared)
            return False
        other = self.prepared.get(external_id)
        if other is None:
            self.keep(prepared)
        elif other[0] == prepared.entity_hash:
            self.repeated += 1
        else:
            self.put_aside(external_id, doubles)
            doubles.hold(prepared)
            return False
        self.taken += 1
        return True

    def keep(self, prepared: Prepared) -> None:
        """Keep a record whose key is not here."""
        external_id, entity_hash, body, source_version = prepared
        block = self.block
        begin = len(block)
        block += body
        end = len(block)
        self.prepared[external_id] = entity_hash, block, begin, end, source_version
        if end > BLOCK:
            self.block = bytearray()

    def put_aside(self, external_id: str, doubles: Doubles, written: bytes | None = None) -> None:
        """Let a record of this batch wait; `written` is the hash of the one that an earlier batch brought."""
        staged = self.prepared.pop(external_id)
        self.taken -= 1
        doubles.hold(Prepared(external_id, staged[0], body_of(staged), staged[4]), written)

    def repeat(self, external_id: str) -> None:
        """Leave out a record that an earlier batch brought already."""
        del self.prepared[external_id]
        self.repeated += 1

    def reject(self, record: object, rejection: RejectedRecordError) -> None:
        """Take one record that goes to quarantine."""
        self.taken += 1
        self.rejected.append((record, rejection))

    def pass_over(self) -> None:
        """Take one record that is none."""
        self.taken += 1
        self.passed_over += 1
