"""What changed when of one row: every version of the bronze records behind it, as differences. Reads only."""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, text

from lsats_dagster.transforms.definition import Definition
from lsats_dagster.transforms.explain import bronze_behind

# Each version with the last one before it that had a payload: what a record that returns differs from.
VERSIONS = """
select v.stream, v.key, v.change, v.seq, v.ingested_at, v.payload, b.raw_data as before, v.total
from (
    select
        r.source_system || '/' || r.entity_type as stream, r.source_system, r.entity_type, r.external_id as key, r.change,
        r.seq, r.ingested_at, r.raw_data as payload, count(*) over () as total
    from unnest(cast(:systems as text[]), cast(:types as text[]), cast(:keys as text[])) w (system, type, key)
    inner join bronze.raw_entities r on r.source_system = w.system and r.entity_type = w.type and r.external_id = w.key
    order by r.seq desc
    limit :limit
) v
left join lateral (
    select r.raw_data
    from bronze.raw_entities r
    where
        r.source_system = v.source_system and r.entity_type = v.entity_type and r.external_id = v.key
        and r.seq < v.seq and r.change <> 'removed'
    order by r.seq desc
    limit 1
) b on true
order by v.seq desc
"""


@dataclass(frozen=True)
class Difference:
    """One field of a payload, inner ones behind dots, before and after; of two lists what only one of them has."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Version:
    """One version of one bronze record. change: new, changed, removed or returned; new and removed ones have no differences."""

    at: datetime
    stream: str
    key: str
    change: str
    seq: int
    differences: list[Difference]


def history(
    connection: Connection,
    definition: Definition,
    key: str,
    definitions: Sequence[Definition],
    volatile: Mapping[str, Collection[str]],
    *,
    limit: int,
) -> tuple[list[Version], int] | None:
    """The newest versions behind the row with this key, the newest first, and how many there are; None without such a row.

    Of records that belonged to the row once and no longer do, nothing is shown. volatile: stream -> fields that move without
    meaning, which are no differences.
    """
    behind = bronze_behind(connection, definition, key, definitions)
    if behind is None:
        return None
    records = sorted({(*row.stream.split("/"), row.key) for row in behind})
    systems, types, keys = map(list, zip(*records, strict=True)) if records else ([], [], [])
    rows = connection.execute(text(VERSIONS), {"systems": systems, "types": types, "keys": keys, "limit": limit}).all()
    versions = []
    for row in rows:
        before, after = (
            {name: value for name, value in said.items() if name not in volatile[row.stream]}
            for said in (row.before or {}, row.payload)
        )
        found = list(differences(before, after)) if row.change in ("changed", "returned") else []
        versions.append(Version(row.ingested_at, row.stream, row.key, row.change, row.seq, found))
    return versions, rows[0].total if rows else 0


def differences(before: Mapping[str, Any], after: Mapping[str, Any], within: str = "") -> Iterator[Difference]:
    """Where two payloads differ, in order of the fields. The order of a list is no difference."""
    for name in sorted(before.keys() | after.keys()):
        was, now = before.get(name), after.get(name)
        if isinstance(was, dict) and isinstance(now, dict):
            yield from differences(was, now, f"{within}{name}.")
        elif isinstance(was, list) and isinstance(now, list):
            gone, come = only_in(was, now), only_in(now, was)
            if gone or come:
                yield Difference(f"{within}{name}", gone, come)
        elif was != now:
            yield Difference(f"{within}{name}", was, now)


def only_in(some: list[Any], others: list[Any]) -> list[Any]:
    """Members of a list that the other has not."""
    known = {json.dumps(other, sort_keys=True) for other in others}
    return [member for member in some if json.dumps(member, sort_keys=True) not in known]
