"""Days of a campus, with a hub that reads it every evening: what the hub joined, and what became of that, against the truth.

The campus is asked for its records by function calls, and the hub reads them from memory: what clients make of an answer is
proved where they are. Everything else is the hub's own: keys, hashes, certificates, tombstones, refreshes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from lsats_dagster.demo.campus.entities import DayChanges
from lsats_dagster.demo.campus.world import World as Campus
from lsats_dagster.ingestion.stream import ListStream
from lsats_dagster.transforms.verify import verify
from lsats_dagster_tests.contracts.histories import LOCK_WAIT_SECONDS, Source, reached_from
from lsats_dagster_tests.contracts.histories import World as Hub
from lsats_dagster_tests.truth.entities import ENTITIES, MEASURED, UNLINKED, Entity
from lsats_dagster_tests.truth.measures import Watch
from lsats_dagster_tests.truth.records import Known, Links, Record, Row, Rows


@dataclass
class Story:
    """What a life showed: each entity as the hub and as the peer had it, and what else the hub did wrong."""

    seed: int
    size: str
    days: int
    hub: dict[str, Watch]
    peer: dict[str, Watch]
    faults: list[str] = field(default_factory=list)

    @property
    def all_faults(self) -> list[str]:
        """Everything that must not be, of all entities."""
        return [*self.faults, *(fault for watch in self.hub.values() for fault in watch.faults)]

    def told(self) -> dict[str, object]:
        """The figures, as the report takes them."""
        counts = {
            f"{entity.table}/{name}": dict(watches[entity.table].counts)
            for entity in ENTITIES
            for name, watches in (("hub", self.hub), ("peer", self.peer))
        }
        return {"seed": self.seed, "size": self.size, "days": self.days, "counts": counts}


class Life:
    """One campus, the hub that reads it, and the peer beside it. The hub is empty at the start."""

    def __init__(self, hub: Hub, seed: int, size: str, days: int) -> None:
        self.hub = hub
        self.campus = Campus(seed, size)
        self.known = Known()
        reached = [reached_from(hub, hub.definition(table)) for table in MEASURED]
        self.read = list(dict.fromkeys(name for _, names in reached for name in names))
        made = {table for tables, _ in reached for table in tables}
        self.made = [definition for definition in hub.definitions if definition.table in made]
        self.streams = {stream.table: stream for stream in hub.streams.values() if isinstance(stream, ListStream)}
        self.peers = {entity.table: entity.peer() for entity in ENTITIES}
        self.story = Story(
            seed, size, days, *({e.table: Watch(e.table, e.tables) for e in ENTITIES} for _ in ("hub", "peer"))
        )

    def live(self) -> Story:
        """Read the campus as it begins, and on the evening of each day."""
        self.evening(0, None)
        for day in range(1, self.story.days + 1):
            self.evening(day, self.campus.live_one_day())
        return self.story

    def evening(self, day: int, brought: dict[str, DayChanges] | None) -> None:
        """Read what the day brought (None: everything), and look at what became of it."""
        self.serve()
        self.note(brought)
        for name in self.read:
            self.hub.read(name)
        for definition in self.made:
            self.hub.refresh(definition.table)
        self.check_mirrors(day)
        self.check_tables(day)
        for entity in ENTITIES:
            links, rows = entity.links(self.known), self.stored(entity)
            self.story.hub[entity.table].look(day, self.known, links, rows)
            self.check_conservation(day, entity, links, rows)
            self.peers[entity.table].live(self.known)
            self.story.peer[entity.table].look(day, self.known, links, self.peers[entity.table].rows)

    def serve(self) -> None:
        """Let the sources of the hub hold what the campus shows now."""
        for name in self.read:
            records = self.campus.stream(name).truth()
            self.hub.sources[name] = Source(records, set(records))

    def note(self, brought: dict[str, DayChanges] | None) -> None:
        """Know what the campus shows now."""
        self.known.present, self.known.changed = set(), set()
        for entity in ENTITIES:
            for table in entity.tables:
                name = self.streams[table].name
                records = self.hub.sources[name].records
                self.known.payloads.setdefault(table, {}).update(records)
                self.known.present.update((table, key) for key in records)
                changes = brought[name] if brought else DayChanges(new=list(records))
                changed = (*changes.new, *changes.changed, *changes.returned)
                self.known.changed.update((table, key) for key in changed)
                self.known.identities |= {(table, key): self.campus.identity(name, key) for key in records}

    def stored(self, entity: Entity) -> Rows:
        """What the hub joined."""
        records: dict[str, set[Record]] = defaultdict(set)
        is_present: dict[str, bool] = {}
        for row in self.hub.rows(entity.stored):
            is_present[row.entity_key] = row.is_present
            if row.record_key is not None:
                records[row.entity_key].add((row.source_table, row.record_key))
        return {key: Row(shown, frozenset(records[key])) for key, shown in is_present.items()}

    # What must be so every evening

    def check_mirrors(self, day: int) -> None:
        """Source tables show what the sources show: what left has left today, what returned is there."""
        for entity in ENTITIES:
            for table in entity.tables:
                definition = self.hub.definition(table)
                found = {
                    row[0]
                    for row in self.hub.rows(f"select {definition.key_text} from {definition.name} where is_present")
                }
                served = self.hub.sources[self.streams[table].name].records.keys()
                if unlike := found ^ served:
                    self.story.faults.append(f"day {day}, {table}: {len(unlike)} are not as their source shows them")

    def check_tables(self, day: int) -> None:
        """Every table is what a full computation gives; refreshed once more, it writes nothing."""
        for verdict in verify(self.hub.database, self.made, lock_wait_seconds=LOCK_WAIT_SECONDS):
            if not verdict.equal:
                self.story.faults.append(f"day {day}: {verdict}")
        for definition in self.made:
            run = self.hub.refresh(definition.table)
            counts = run.counts
            if run.mode != "incremental" or counts.created or counts.updated or counts.removed:
                self.story.faults.append(f"day {day}, {definition.name}: without news it wrote {counts} ({run.mode})")

    def check_conservation(self, day: int, entity: Entity, links: Links, rows: Rows) -> None:
        """Every record that is there is in one row that is there, or in the list of those that belong to none."""
        placed = Counter(record for row in rows.values() if row.is_present for record in row.records)
        placed.update(self.unlinked())
        there = {record for record in self.known.present if record[0] in entity.tables}
        lost = {record for record in there if not placed[record] and (UNLINKED or record in links)}
        watch = self.story.hub[entity.table]
        watch.note(day, "lost", lost)
        watch.note(day, "twice", {record for record in there if placed[record] > 1})

    def unlinked(self) -> Iterator[Record]:
        """What the hub says belongs to no entity."""
        if UNLINKED:
            found = self.hub.rows("select source_table, record_key from silver.unlinked_records where is_present")
            yield from ((row.source_table, row.record_key) for row in found)
