"""What a read has brought so far, in two temporary tables of the writer's connection: keys, and what was quarantined.

`batch` fills them; `removals` and the certificate of a complete read ask them.
"""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from lsats_dagster.database import WHOLE_TABLES
from lsats_dagster.ingestion.stream import Stream

TABLES = """
create temporary table if not exists seen (external_id text collate "C", entity_hash bytea);
create index if not exists seen_external_id on seen using hash (external_id);
create temporary table if not exists poisoned (payload_hash bytea, external_id text collate "C");
truncate seen, poisoned
"""

# A hash of NULL: the key was read by an earlier run, or was not read at all, and a record of this read is no repetition.
REPEATED = """
select i.ordinal, i.entity_hash = s.entity_hash as same, s.entity_hash
from incoming i
join seen s on s.external_id = i.external_id and s.entity_hash is not null
"""

# Present entities whose key did not come, neither well nor in a record that was quarantined.
NOT_SEEN = """
select c.external_id
from bronze.current_entities c
where c.source_system = :source_system and c.entity_type = :entity_type and c.removed_at is null
    and not exists (select from seen s where s.external_id = c.external_id)
    and not exists (select from poisoned p where p.external_id = c.external_id)
"""

# After a complete read: what an earlier run quarantined and this one no longer met has been superseded. Of a key whose
# record was not read (its hash is NULL) nothing is known.
RESOLVE_ABSENT = """
update meta.quarantine q
set resolved_at = now(), resolution = 'superseded', resolved_by = :run_id
where source_system = :source_system and entity_type = :entity_type and resolved_at is null
    and not exists (
        select from poisoned p
        where p.payload_hash = q.payload_hash and p.external_id is not distinct from q.external_id
    )
    and not exists (select from seen s where s.external_id = q.external_id and s.entity_hash is null)
"""


class Seen:
    """Keys and quarantined records of one read. Its methods run in the caller's transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        # How many keys were staged; None where one may have been twice.
        self._count: int | None = 0
        with connection.begin():
            connection.exec_driver_sql(TABLES)

    def forget(self) -> None:
        """Begin anew."""
        self._count = 0
        self._connection.exec_driver_sql("truncate seen")

    def note_keys(self, keys: Iterable[str]) -> None:
        """These keys are there; how their records look is not known."""
        self._connection.execute(
            text("insert into seen select k, null from unnest(cast(:keys as text[])) k"), {"keys": list(keys)}
        )

    def repeated(self) -> list[tuple[int, bool, bytes]]:
        """(ordinal, whether of the same content, hash of the first) of staged records whose key came in an earlier batch."""
        return [(row.ordinal, row.same, row.entity_hash) for row in self._connection.execute(text(REPEATED))]

    def note_staged(self, *, again: bool) -> None:
        """Note the keys of all staged records; `again` where one may have been noted before."""
        noted = self._connection.exec_driver_sql(
            "insert into seen select external_id, entity_hash from incoming"
        ).rowcount
        self._count = None if again or self._count is None else self._count + noted

    def are_all_of(self, present: int) -> bool:
        """Whether it is plain without looking that none of so many present entities is absent, all staged keys being written."""
        return self._count == present

    def note_poison(self, rows: list[dict[str, object]]) -> None:
        """Note what was quarantined, by `payload_hash` and `external_id`."""
        self._connection.execute(text("insert into poisoned values (:payload_hash, :external_id)"), rows)

    def absent(self, stream: Stream[object]) -> list[str]:
        """The keys of present entities that did not come."""
        self._connection.exec_driver_sql(f"analyze seen; {WHOLE_TABLES}")
        return list(self._connection.execute(text(NOT_SEEN), stream.values).scalars())

    def resolve_absent_poison(self, stream: Stream[object], run_id: object) -> None:
        """Resolve what earlier runs quarantined and this complete read no longer met."""
        self._connection.execute(text(RESOLVE_ABSENT), {**stream.values, "run_id": run_id})
