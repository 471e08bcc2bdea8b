"""One view per stream: what silver SQL reads of bronze. Derived from the declarations, made by `lsats db upgrade`."""

from typing import Any

from lsats_dagster.ingestion.stream import DetailStream, ListStream

StreamDeclaration = ListStream[Any] | DetailStream[Any]

COLUMNS = {
    "external_id": ("text", "Key of the record within its stream"),
    "raw_id": ("uuid", "The row of bronze.raw_entities that holds the payload"),
    "seq": ("bigint", "Change cursor: rises with every new version, removals included"),
    "live_seq": (
        "bigint",
        "The version that holds the payload: of two payloads the one with the higher number is newer",
    ),
    "first_seq": (
        "bigint",
        "Number of the record's first version: stable over its life, removals and returns included",
    ),
    "payload": ("jsonb", "The last payload of the record; of a removed one the last before"),
    "is_present": (
        "boolean",
        "Whether the newest complete read, or the newest call for this record, brought it",
    ),
    "first_seen_at": ("timestamp with time zone", "When the record was first read"),
    "changed_at": ("timestamp with time zone", "When the newest version, or the removal, was read"),
    "removed_at": (
        "timestamp with time zone",
        "When the record was found to be gone; NULL while it is present",
    ),
}


def view_statements(stream: StreamDeclaration) -> list[str]:
    """The DDL of the stream's view. Names come from declarations, which `check_names` has seen."""
    view = f"{stream.layer}.{stream.table}"
    described = f"{stream.row} {stream.description}".replace("'", "''")
    # ANY keeps the planner from joining the log as a whole: then it would read all versions of all streams to find the last
    # ones. What it looks up one by one does not depend on the history; a lateral subquery would keep it from parallel plans.
    return [
        f"""create view {view} as
select c.external_id, l.raw_id, c.seq, c.live_seq, c.first_seq,
    l.raw_data as payload, c.removed_at is null as is_present,
    c.first_seen_at, c.changed_at, c.removed_at
from bronze.current_entities c
join bronze.raw_entities l on l.seq = any(array[c.live_seq])
where c.source_system = '{stream.source_system}' and c.entity_type = '{stream.entity_type}'""",
        f"comment on view {view} is '{described}'",
        *(
            f"comment on column {view}.{name} is '{comment.replace(chr(39), chr(39) * 2)}'"
            for name, (_, comment) in COLUMNS.items()
        ),
    ]
