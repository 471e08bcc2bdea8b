"""What a refresh measures of its table, and the findings it makes of it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection

from lsats_dagster.runs import Check, Run, volume_check
from lsats_dagster.transforms.definition import Definition

QUALITY_THRESHOLD = 0.70
DANGLING_SHARE = 0.02
# Rows that may lose what stands in a retained column in one run; few rows are no sign of a lost right.
LARGEST_LOSS = 0.02
LEAST_LOSS = 10
# How many flags the check of quality names; its numbers tell all of them.
FLAGS_TOLD = 3


def measure(connection: Connection, table: str) -> tuple[int, float | None, dict[str, int]]:
    """Number of present rows, their mean quality score, and how many carry each flag, details after the colon aside."""
    found = connection.exec_driver_sql(
        f"select quality_flags, count(*), sum(data_quality_score) from {table} where is_present group by 1"
    ).all()
    rows = sum(number for _, number, _ in found)
    mean = round(float(sum(total for _, _, total in found) / rows), 4) if rows else None
    flags: Counter[str] = Counter()
    for raised, number, _ in found:
        flags.update(dict.fromkeys({flag.split(":")[0] for flag in raised}, number))
    return rows, mean, dict(sorted(flags.items()))


def count_retained(connection: Connection, definition: Definition, table: str) -> dict[str, int]:
    """For each retained column, in how many present rows something stands in it."""
    if not definition.retained:
        return {}
    types = {column.name: column.type for column in definition.columns}
    counts = ", ".join(
        f"count(*) filter (where {_stands(name, types[name])}) as {name}" for name in definition.retained
    )
    row = connection.exec_driver_sql(f"select {counts} from {table} where is_present").one()
    return dict(row._mapping)


def _stands(name: str, type_: str) -> str:
    """SQL condition: something stands in the column.

    An empty list or object takes at most 8 bytes, any other document more, which is told without unpacking it.
    """
    if type_ == "jsonb":
        return f"pg_column_size({name}) > 8"
    return f"{name}::text not in ('', '{{}}')"


def checks(definition: Definition, run: Run, previous: Mapping[str, Any]) -> list[Check]:
    """What a refresh says of its table: dangling and lost rows, quality by flags, volume of rows and of retained columns.

    Doubled keys and flags without a deduction do not get this far: they fail the refresh.
    """
    rows, mean, flags = run.row_count or 0, run.quality_mean, run.metadata["flags"]
    dangling, most = sum(flags.get(flag, 0) for flag in definition.dangling), int(DANGLING_SHARE * rows)
    lost = {name.replace(".", "/"): number for name, number in run.metadata["lost"].items()}
    nowhere = "".join(f"; rows of {name} that belong here and are in none: {n}" for name, n in lost.items() if n)
    carried = ", ".join(f"{flag} {number}" for flag, number in Counter(flags).most_common(FLAGS_TOLD))
    return [
        Check(
            "integrity",
            dangling <= most and not nowhere,
            f"{dangling} references in {rows} present rows lead nowhere, at most {most} may ({DANGLING_SHARE:.0%}); keys are "
            f"unique, every flag has its deduction{nowhere}",
            {"rows": rows, "dangling": dangling, "limit": most}
            | {f"rows with {flag}": flags.get(flag, 0) for flag in definition.dangling}
            | {f"lost rows of {name}": number for name, number in lost.items()},
            severe=True,
        ),
        Check(
            "quality",
            mean is None or mean >= QUALITY_THRESHOLD,
            f"mean quality score {'of no row' if mean is None else f'{mean:g} of {rows} present rows'}, "
            f"at least {QUALITY_THRESHOLD:g}{f'; rows with the most frequent flags: {carried}' if carried else ''}",
            {"rows": rows, "mean": mean or 0.0, "limit": QUALITY_THRESHOLD}
            | {f"rows with {flag}": number for flag, number in flags.items()},
        ),
        retention_check(volume_check(run, previous), run, previous),
    ]


def retention_check(volume: Check, run: Run, previous: Mapping[str, Any]) -> Check:
    """`volume`, red as well when a retained column was emptied in more rows than LARGEST_LOSS of those that held it.

    Rows that went take what they held with them, which empties nothing.
    """
    retained: dict[str, int] = run.metadata["retained"]
    if not retained:
        return volume
    kept_rows = min(1.0, (run.row_count or 0) / max(1, previous.get("row_count") or 0))
    before = {name: round(previous.get("retained", {}).get(name, 0) * kept_rows) for name in retained}
    lost = {name: max(0, before[name] - number) for name, number in retained.items()}
    most = {name: max(LEAST_LOSS, int(LARGEST_LOSS * number)) for name, number in before.items()}
    told = [
        f"{name} was emptied in {number} of {before[name]} rows, at most {most[name]} may be"
        for name, number in lost.items()
        if number
    ]
    return replace(
        volume,
        passed=volume.passed and all(lost[name] <= most[name] for name in retained),
        description="; ".join([volume.description, *(told or [f"{', '.join(retained)}: emptied in no row"])]),
        numbers=dict(volume.numbers)
        | {f"rows with {name}": number for name, number in retained.items()}
        | {f"rows that lost {name}": number for name, number in lost.items()}
        | {f"rows that may lose {name}": number for name, number in most.items()},
    )
