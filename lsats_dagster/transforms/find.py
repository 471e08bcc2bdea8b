"""What can be found by a name: people, departments and whatever else `silver.v_findable` lists. Reads as the reader."""

import unicodedata
from dataclasses import dataclass

from sqlalchemy import Connection, text

# No index serves a part of a word: one pass over the words of everything, in parallel where there is much. What the words are
# is asked of the few rows that hold the text.
FIND = """
select v.entity, v.key, v.name, w.found_by, w.match, v.is_present, count(*) over () as total
from silver.v_findable v
cross join lateral (
    select f.found_by, m.match, m.rank
    from unnest(v.found_by, string_to_array(v.words, chr(31))) with ordinality f (found_by, word, place)
    cross join lateral (
        select 'exact' as match, 1 as rank where f.word = :wanted
        union all
        select 'prefix', 2 where starts_with(f.word, :wanted) and f.word <> :wanted and v.by_part
        union all
        select 'part', 3 where not starts_with(f.word, :wanted) and position(:wanted in f.word) > 0 and v.by_part
    ) m
    order by m.rank, f.place
    limit 1
) w
where position(:wanted in v.words) > 0
order by w.rank, not v.is_present, v.entity, v.name collate "C", v.key collate "C"
limit :limit
"""


@dataclass(frozen=True)
class Hit:
    """One thing that was found.

    entity: the asset key of its table. found_by: what of it holds the text (uniqname, mail, name, code, account). match: exact,
    prefix or part.
    """

    entity: str
    key: str
    name: str | None
    found_by: str
    match: str
    is_present: bool


def as_word(wanted: str) -> str:
    """A text as words are compared with it: without case and needless blanks, in one Unicode form."""
    return unicodedata.normalize("NFC", " ".join(wanted.split())).lower()


def find(connection: Connection, wanted: str, limit: int) -> tuple[list[Hit], int]:
    """The first hits, those that are it before those that begin so and those that hold it, and how many there are."""
    rows = connection.execute(text(FIND), {"wanted": as_word(wanted), "limit": limit}).all()
    return [Hit(*row[:-1]) for row in rows], rows[0].total if rows else 0
