"""Tables of the widths that the hub's largest ones have, over one synthetic stream; nothing of the hub knows them.

things: 60 columns of one source, 15 of them lists or checked for values that cannot be read. people, staff, members: narrow
tables of three further sources. everyone: 60 columns merged of all four. twins: a whole table with a step.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.common import copy_sql
from lsats_dagster.ingestion.stream import Extract, ListStream, Record

VIEW = "bronze.benchmark_records"
CHANGED_EVERY = 100
# Rows of the whole table that are nodes of its step.
NODES = 57_000


@dataclass(frozen=True)
class Kind:
    """How many columns of one type the table of one source has, and how they are cleaned; `flag` names what checks them."""

    type: str
    unpacked: str
    function: str
    columns: int
    flag: str | None = None


KINDS = {
    "text": Kind("text", "jsonb", "clean.text", 38),
    "number": Kind("integer", "text", "clean.integer", 6, "bad_integer"),
    "time": Kind("timestamp with time zone", "text", "clean.tdx_time", 5, "bad_tdx_time"),
    "truth": Kind("boolean", "text", "clean.boolean", 6),
    "list": Kind("jsonb", "jsonb", "clean.texts", 4),
}
FIELDS = [(f"{name}{i}", kind) for name, kind in KINDS.items() for i in range(1, kind.columns + 1)]
# Fields of the narrow tables, and the share of things that they have: one in so many is left out.
NARROW = {"people": 3, "staff": 4, "members": 5}
SHARED = [name for name, _ in FIELDS[:18]]
OWN = {
    "people": [name for name, _ in FIELDS[18:28]],
    "staff": [name for name, _ in FIELDS[28:38]],
    "members": [name for name, _ in FIELDS[38:48]],
}


def make_record(number: int, day: int) -> dict[str, Any]:
    """Record `number` as of `day`; each day changes 1 % of the records for good, and 1 value in 200 is unreadable."""
    changes_on = number % CHANGED_EVERY
    changed = changes_on if changes_on <= day else 0
    record: dict[str, Any] = {"ID": str(number)}
    for place, (name, kind) in enumerate(FIELDS):
        mixed = (number * 2654435761 + place * 40503) % 4294967296
        if place == 0:
            record[name] = f" value {mixed % 100003} {changed}"
        elif mixed % 9 == 0:
            record[name] = None
        elif mixed % 200 == 1:
            record[name] = "unreadable"
        elif kind.type == "text":
            record[name] = f" value {mixed % 100003} "
        elif kind.type == "integer":
            record[name] = mixed % 100_000
        elif kind.type == "boolean":
            record[name] = mixed % 2 == 0
        elif kind.type == "jsonb":
            record[name] = [f"cn=group {(mixed + i) % 5003},ou=groups" for i in range(mixed % 5)]
        else:
            record[name] = f"20{mixed % 25:02d}-0{mixed % 9 + 1}-1{mixed % 9}T08:15:{mixed % 60:02d}Z"
    return record


def key(record: Record) -> str:
    return str(record["ID"])


def read(client: tuple[int, int], extract: Extract) -> Iterator[list[Any]]:
    rows, day = client
    for number in range(rows):
        yield [make_record(number, day)]
    extract.complete("the generator ended", records=rows)


STREAM = ListStream(
    source_system="benchmark",
    entity_type="record",
    table=VIEW.split(".")[1],
    row="One synthetic record.",
    description="Generated.",
    key=key,
    read=read,
)


def header(columns: dict[str, str], reads: str, says: str = "") -> str:
    """The header of a definition. columns: name -> type. reads: its inputs and what follows them. says: further entries."""
    listed = "\n".join(f'{name} = ["{type_}", "Synthetic"]' for name, type_ in columns.items())
    return f"""/*
row = "One synthetic record."
description = "Made for the benchmark."
key = ["thing_id"]
{says}
[columns]
thing_id = ["text", "Key"]
{listed}

{reads}*/
"""


def of_one_source(names: list[str], system: str, condition: str = "true") -> str:
    """A table of one source, written as one of the hub's own: unpacked once, cleaned by small functions, flagged."""
    fields = [(name, kind) for name, kind in FIELDS if name in names]
    unpacked = ", ".join(f'"{name}" {kind.unpacked}' for name, kind in fields)
    cleaned = ",\n".join(f'        {kind.function}(f."{name}") as {name}' for name, kind in fields)
    checked = [(name, kind.flag) for name, kind in fields if kind.flag]
    kept = "".join(f', f."{name}" as raw_{name}' for name, _ in checked)
    bad = [f"case when c.{name} is null then clean.{flag}('{name}', c.raw_{name}) end" for name, flag in checked]
    missing = [f"case when c.{name} is null then 'missing_text:{name}' end" for name, _ in fields[:2]]
    return (
        header({name: kind.type for name, kind in fields}, f'[inputs."{VIEW}"]\n')
        + f"""with cleaned as (
    select
        t.external_id, t.raw_id, t.first_seq, t.first_seen_at, t.is_present, t.removed_at,
{cleaned}{kept}
    from {VIEW} t
    cross join lateral jsonb_to_record(t.payload) f ({unpacked})
    where {condition} and (cast(:keys as text[]) is null or t.external_id = any(cast(:keys as text[])))
    offset '0' -- each value is cleaned once, however often it is used
)

select
    c.external_id as thing_id, {", ".join(f"c.{name}" for name, _ in fields)},
    c.raw_id, c.first_seq, array['{system}'] as source_systems,
    clean.flags({", ".join(missing + bad)}) as quality_flags,
    c.first_seen_at, c.is_present, c.removed_at
from cleaned c
"""
    )


def merged() -> str:
    """A table of 60 columns merged of all four, 18 of them with two to four possible sources."""
    tables = ["things", *NARROW]
    aliases = {table: table[0] for table in tables}
    columns, outputs = {}, []
    for name, kind in FIELDS:
        owner = next((t for t in NARROW if name in OWN[t]), "things")
        giving = tables if name in SHARED else [owner]
        # Of what all have, the narrow ones come first.
        ordered = sorted(giving, key=tables.index, reverse=name in SHARED)
        parts = ", ".join(f"{aliases[table]}.{name}" for table in ordered)
        columns[name] = kind.type
        outputs.append(f"coalesce({parts}) as {name}" if len(ordered) > 1 else f"{parts}")
    spine = "\n    union\n    ".join(
        f"select thing_id from silver.{t} where cast(:keys as text[]) is null or thing_id = any(cast(:keys as text[]))"
        for t in tables
    )
    rows = ",\n\n".join(
        f"{aliases[t]}_rows as (\n    select * from silver.{t}\n"
        f"    where cast(:keys as text[]) is null or thing_id = any(cast(:keys as text[]))\n)"
        for t in tables
    )
    joins = "\n".join(f"left join {aliases[t]}_rows {aliases[t]} on k.thing_id = {aliases[t]}.thing_id" for t in tables)
    present = ", ".join(f"{aliases[t]}.is_present" for t in tables)
    keys = ", ".join(
        f"'silver.{t}', case when {aliases[t]}.thing_id is not null then jsonb_build_array({aliases[t]}.thing_id) end"
        for t in tables
    )
    systems = ", ".join(f"case when {aliases[t]}.thing_id is not null then '{t}' end" for t in sorted(tables))
    missing = ", ".join(f"case when {aliases[t]}.thing_id is null then 'missing_source:{t}' end" for t in tables)
    inputs = "\n".join(f'[inputs."silver.{t}"]\ngives = "thing_id"\n' for t in tables)
    sources = ", ".join(f'{alias} = "{table}"' for table, alias in aliases.items())
    return (
        header(columns, inputs, f"sources = {{{sources}}}\n")
        + f"""with spine as (
    {spine}
),

{rows}

select
    k.thing_id,
    {", ".join(outputs)},
    jsonb_strip_nulls(jsonb_build_object({keys})) as source_keys,
    :field_sources as field_sources,
    array_remove(array[{systems}], null) as source_systems,
    clean.flags({missing}) as quality_flags,
    least({", ".join(f"{aliases[t]}.first_seen_at" for t in tables)}) as first_seen_at,
    true in ({present}) as is_present,
    case when true in ({present}) is not true
        then greatest({", ".join(f"{aliases[t]}.removed_at" for t in tables)}) end as removed_at
from spine k
{joins}
"""
    )


def whole() -> str:
    """A whole table over the first NODES things: groups of those that share evidence and do not contradict one another."""
    return (
        header(
            {"first_thing_id": "text", "refused": "text[]"},
            f"""[inputs."silver.things"]

[[steps]]
name = "grouped"
run = "linked_groups"
columns = {{thing_id = "text", first_thing_id = "text", refused = "text[]"}}
nodes = '''
select thing_id, first_seq, case when number1 < 50000 then number1::text end, clean.split_texts(list1) || text2,
    array_fill(2, array[cardinality(clean.split_texts(list1))]) || 1
from silver.things
where thing_id::integer < {NODES} and text2 is not null
'''
""",
            'kind = "derived"\nwhole = true\n',
        )
        + f"""select
    t.thing_id,
    g.first_thing_id,
    coalesce(g.refused, '{{}}') as refused,
    jsonb_build_object('silver.things', jsonb_build_array(t.thing_id)) as source_keys,
    t.source_systems,
    array[]::text[] as quality_flags,
    t.first_seen_at,
    t.is_present,
    t.removed_at
from silver.things t
left join grouped g on t.thing_id = g.thing_id
where t.thing_id::integer < {NODES}
"""
    )


def write_sql_root(root: Path) -> Path:
    """A copy of sql/ with these tables in place of the hub's."""
    copy_sql(root)
    narrow = {
        f"sources/{table}": of_one_source(SHARED + OWN[table], table, f"t.external_id::integer % {left_out} <> 0")
        for table, left_out in NARROW.items()
    }
    texts = {
        "sources/things": of_one_source([name for name, _ in FIELDS], "things"),
        **narrow,
        "entities/everyone": merged(),
        "helpers/twins": whole(),
    }
    flags = ("missing_text", "missing_source", "bad_integer", "bad_date")
    with (root / "curated" / "flag_deductions.csv").open("a", encoding="utf-8", newline="") as file:
        for name in texts:
            csv.writer(file).writerows([Path(name).name, flag, "0.02", "Made for the benchmark"] for flag in flags)
    for name, text in texts.items():
        path = root / "silver" / f"{name}.sql"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root
