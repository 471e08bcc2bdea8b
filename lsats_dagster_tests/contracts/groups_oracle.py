"""Groups, their members and owners computed once more, in Python and one by one, from the tables that they are made from.

Written from the specification (silver_consolidated_tables.md sections 4 to 6 and the decisions on groups), not from the SQL.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from lsats_dagster_tests.contracts import readings
from lsats_dagster_tests.contracts.histories import World

LONGEST_NAME, LONGEST_DN = 150, 2000
PERSON = re.compile(r"(?:uid|cn)\s*=\s*([a-z][a-z0-9.-]{0,49})\s*,(?:.*,)?\s*ou\s*=\s*people\s*(?:,|$)", re.DOTALL)
# What joins two groups, by its weight; a name and an alias weigh the same.
WEIGHTS = {"manual": 3, "gid_number": 2, "name": 1, "alias": 1}

Key = str | None
Pair = tuple[str, str]
Rows = dict[str, Any]


def rows_of(world: World, name: str, key: str) -> Rows:
    return {row.row_key: row for row in world.rows(f"select *, ({key})::text as row_key from {name}")}


def name_of(text: str | None) -> str | None:
    return readings.comparable(text) or None


def evidence(ad: Any, mail: Any, said: bool | None) -> str | None:
    """The best that makes one of a group of Active Directory and one of MCommunity; `said`: what people decided of the two."""
    if said is not None:
        return "manual" if said else None
    if ad.is_mcommunity_sync and ad.gid_number is not None:
        return "gid_number" if ad.gid_number == mail.gid_number else None
    name = name_of(ad.cn)
    if name is None:
        return None
    if name == name_of(mail.group_name):
        return "name"
    return "alias" if name in map(name_of, mail.aliases or []) else None


class Matching:
    """Which groups of the two directories come into question for each other, and which are one."""

    def __init__(self, world: World) -> None:
        self.sides: tuple[Rows, Rows] = (
            rows_of(world, "silver.ad_groups", "ad_group_guid"),
            rows_of(world, "silver.mcommunity_groups", "gid_number"),
        )
        decided = {
            (str(r.ad_group_guid), str(r.gid_number)): r.is_link
            for r in world.rows("select * from curated.group_links")
        }
        self.pairs: dict[Pair, str] = {
            (a, m): by
            for a, ad in self.sides[0].items()
            for m, mail in self.sides[1].items()
            if (by := evidence(ad, mail, decided.get((a, m)))) is not None
        }
        self.joined = {a: m for a, m in self.pairs if self.candidates(0, a) == {m} and self.candidates(1, m) == {a}}

    def candidates(self, side: int, key: str) -> set[str]:
        """Those of the other side by the heaviest evidence; those that are there, if one of them is."""
        found = {pair[1 - side]: WEIGHTS[by] for pair, by in self.pairs.items() if pair[side] == key}
        heaviest = {other for other, weight in found.items() if weight == max(found.values())}
        return {other for other in heaviest if self.sides[1 - side][other].is_present} or heaviest

    def couples(self) -> Iterator[tuple[Key, Key]]:
        yield from ((a, self.joined.get(a)) for a in self.sides[0])
        yield from ((None, m) for m in self.sides[1] if m not in self.joined.values())

    def blocked(self, a: Key, m: Key) -> bool:
        """Whether a group that stands alone has a candidate that is there, as it is itself."""
        if a and m:
            return False
        side, key = (0, a) if a else (1, m)
        there = [self.sides[1 - side][other].is_present for other in self.candidates(side, key or "")]
        return self.sides[side][key].is_present and any(there)

    def compared(self, a: Key, m: Key) -> set[Pair]:
        """The pairs of whom it was compared with."""
        others = {pair[1] for pair in self.pairs if pair[0] == a}
        own = {pair[0] for pair in self.pairs if pair[1] == m}
        return {pair for pair in self.pairs if pair[1] in others or pair[0] in own}


def check_groups(world: World) -> None:
    """silver.groups: who is one, by what, under which id; what was compared, and what was blocked."""
    matching = Matching(world)
    by_name: dict[str, list[tuple[datetime, bool, bytes, Key, Key]]] = defaultdict(list)
    for a, m in matching.couples():
        ad, mail = matching.sides[0].get(a), matching.sides[1].get(m)
        name = name_of(ad.cn if ad else None) or name_of(mail.group_name if mail else None)
        if name is not None:
            first_seen_at = min(side.first_seen_at for side in (ad, mail) if side)
            by_name[name[:LONGEST_NAME]].append((first_seen_at, a is None, (a or m or "").encode(), a, m))
    named = []
    for name, couples in by_name.items():
        there = sum(any(is_there(matching, a, m)) for *_, a, m in couples)
        for place, (*_, source_id, a, m) in enumerate(sorted(couples, key=lambda couple: couple[:3])):
            short = f"{name}~{source_id.decode()[-8:]}" if place else name
            named.append((short, place, source_id.decode(), a, m, there > 1))
    expected: dict[str, dict[str, Any]] = {}
    for short, _, source_id, a, m, doubled in sorted(named, key=lambda found: found[:3]):
        group_id = f"{short}~{source_id}" if short in expected else short
        expected[group_id] = values_of(matching, a, m, doubled)
    stored = rows_of(world, "silver.groups", "group_id")
    assert {key for key, row in stored.items() if row.is_present} <= expected.keys() <= stored.keys()
    for group_id, values in expected.items():
        row = stored[group_id]._mapping
        found = {name: row[name] for name in values if name in row} | {
            "blocked": "several_candidates" in row["quality_flags"],
            "doubled": "duplicate_name" in row["quality_flags"],
            "ad_keys": set(row["source_keys"].get("silver.ad_groups", ())),
            "mcommunity_keys": set(row["source_keys"].get("silver.mcommunity_groups", ())),
        }
        assert found == values, group_id


def is_there(matching: Matching, a: Key, m: Key) -> list[bool]:
    return [rows[key].is_present for rows, key in zip(matching.sides, (a, m), strict=True) if key]


def values_of(matching: Matching, a: Key, m: Key, doubled: bool) -> dict[str, Any]:
    """What must stand in the row of a group of Active Directory, of MCommunity, or of both."""
    sides = [rows[key] if key else None for rows, key in zip(matching.sides, (a, m), strict=True)]
    known, is_present = [side for side in sides if side], any(is_there(matching, a, m))
    ad, mail = (side if side and (side.is_present or not is_present) else None for side in sides)
    compared = matching.compared(a, m)
    return {
        "ad_group_guid": ad.ad_group_guid if ad else None,
        "mcommunity_gid_number": mail.gid_number if mail else None,
        "match_method": matching.pairs[a, m] if a and m and ad and mail else None,
        "source_systems": ["active_directory"] * bool(ad) + ["mcommunity_ldap"] * bool(mail),
        "is_present": is_present,
        "first_seen_at": min(side.first_seen_at for side in known),
        "removed_at": None if is_present else max(side.removed_at for side in known),
        "blocked": matching.blocked(a, m),
        "doubled": is_present and doubled,
        "ad_keys": {pair[0] for pair in compared} | {a} - {None},
        "mcommunity_keys": {pair[1] for pair in compared} | {m} - {None},
    }


def entry_of(text: str) -> str:
    """An entry of a list as it is compared."""
    lowered = text.lower()
    if len(lowered.encode()) <= LONGEST_DN:
        return lowered
    return f"{lowered[:100]}~{hashlib.md5(lowered.encode()).hexdigest()}"


def meant(entry: str, objects: Rows) -> tuple[str, str, str | None, str | None]:
    """(type, key, uniqname, group) of whom an entry of a list means."""
    found = objects.get(entry)
    if found is None or not found.is_present:
        person = PERSON.match(entry)
        return "unknown", entry, person[1] if person else None, None
    return found.kind or "unknown", found.uniqname or found.group_id or found.record_key, found.uniqname, found.group_id


def present_groups(world: World) -> Iterator[tuple[str, Any, Any]]:
    """(group_id, its row in Active Directory, that in MCommunity) of each group that is there; None for a row that is not."""
    ad = rows_of(world, "silver.ad_groups", "ad_group_guid")
    mail = rows_of(world, "silver.mcommunity_groups", "gid_number")
    for group_id, group in rows_of(world, "silver.groups", "group_id").items():
        if group.is_present:
            one, other = ad.get(str(group.ad_group_guid)), mail.get(str(group.mcommunity_gid_number))
            yield group_id, one if one and one.is_present else None, other if other and other.is_present else None


def check_members(world: World) -> None:
    """silver.group_members: each entry of each list, by whom it means."""
    objects = rows_of(world, "silver.directory_objects", "dn_key")
    expected: dict[tuple[str, ...], dict[str, Any]] = {}

    def add(group_id: str, who: tuple[str, str, str | None, str | None], *, direct: bool, in_ad: bool) -> None:
        row = expected.setdefault(
            (group_id, *who[:2]),
            dict.fromkeys(("is_direct_member", "in_ad", "in_mcommunity"), False)
            | {"member_uniqname": who[2], "member_group_id": who[3]},
        )
        row["is_direct_member"] |= direct
        row["in_ad" if in_ad else "in_mcommunity"] = True

    for group_id, ad, mail in present_groups(world):
        for dn in (ad and ad.members) or []:
            add(group_id, meant(entry_of(dn), objects), direct=True, in_ad=True)
        for name, direct in (("members", False), ("direct_members", True), ("nested_members", True)):
            for dn in (mail and getattr(mail, name)) or []:
                add(group_id, meant(entry_of(dn), objects), direct=direct, in_ad=False)
        for address in (mail and mail.external_members) or []:
            add(group_id, ("external", entry_of(address), None, None), direct=True, in_ad=False)
    names = ("is_direct_member", "in_ad", "in_mcommunity", "member_uniqname", "member_group_id")
    found = {
        (row.group_id, row.member_type, row.member_key): {name: row._mapping[name] for name in names}
        for row in world.rows("select * from silver.group_members where is_present")
    }
    assert found == expected


def check_owners(world: World) -> None:
    """silver.group_owners: who manages and who owns."""
    objects = rows_of(world, "silver.directory_objects", "dn_key")
    expected = set()
    for group_id, ad, mail in present_groups(world):
        listed = [("ad_manager", ad.managed_by)] if ad and ad.managed_by else []
        listed += [("mcommunity_owner", dn) for dn in (mail and mail.owners) or []]
        expected |= {(group_id, kind, *meant(entry_of(dn), objects)) for kind, dn in listed}
    names = "group_id, owner_kind, owner_type, owner_key, owner_uniqname, owner_group_id"
    assert set(map(tuple, world.rows(f"select {names} from silver.group_owners where is_present"))) == expected


def closure(members: Iterable[Any]) -> dict[tuple[str, str], tuple[bool, list[str], bool]]:
    """(group, person) -> (directly, groups inside that have the person themselves, whether the group is in a circle)."""
    inner: dict[str, set[str]] = defaultdict(set)
    people: dict[str, dict[str, bool]] = defaultdict(dict)
    for row in members:
        if row.member_type == "group" and row.member_group_id is not None:
            inner[row.group_id].add(row.member_group_id)
        if row.member_uniqname is not None:
            having = people[row.group_id]
            having[row.member_uniqname] = having.get(row.member_uniqname, False) or bool(row.is_direct_member)
    found: dict[tuple[str, str], tuple[bool, list[str], bool]] = {}
    for group in {*inner, *people}:
        inside: set[str] = set()
        waiting = list(inner.get(group, ()))
        while waiting:
            if (one := waiting.pop()) not in inside:
                inside.add(one)
                waiting += inner.get(one, ())
        for person in {person for one in {group, *inside} for person in people.get(one, ())}:
            holders = [one for one in inside - {group} if people.get(one, {}).get(person)]
            by_itself = people.get(group, {}).get(person, False)
            found[group, person] = (by_itself, sorted(holders, key=str.encode), group in inside)
    return found


def check_effective(world: World) -> None:
    """silver.effective_group_members: the closure over silver.group_members."""
    expected = closure(world.rows("select * from silver.group_members where is_present"))
    found = {
        (row.group_id, row.member_uniqname): (
            bool(row.is_direct),
            row.inherited_from,
            "group_circle" in row.quality_flags,
        )
        for row in world.rows("select * from silver.effective_group_members where is_present")
    }
    assert found == expected


def check_objects(world: World) -> None:
    """silver.directory_objects: each DN, and whom it names today."""
    groups = [row for row in rows_of(world, "silver.groups", "group_id").values() if row.is_present]
    offered: dict[str, list[tuple[Any, ...]]] = defaultdict(list)
    for name, key, kind, group_key in (
        ("ad_users", "ad_user_guid", "user", None), ("ad_groups", "ad_group_guid", "group", "ad_group_guid"),
        ("ad_computers", "object_guid", "computer", None), ("mcommunity_users", "uid_number", "user", None),
        ("mcommunity_groups", "gid_number", "group", "mcommunity_gid_number"),
    ):  # fmt: skip
        for row_key, row in rows_of(world, f"silver.{name}", key).items():
            if row.dn_key is not None:
                of_it = [g.group_id for g in groups if group_key and str(getattr(g, group_key)) == row_key]
                group_id = min(of_it, key=str.encode, default=None)
                rank = (not row.is_present, -row.first_seen_at.timestamp(), row_key, name)
                uniqname = row.uniqname if kind == "user" else None
                offered[row.dn_key].append((rank, kind, name, row_key, uniqname, group_id, row.is_present))
    expected = {dn: min(found, key=lambda offer: offer[0])[1:] for dn, found in offered.items()}
    stored = rows_of(world, "silver.directory_objects", "dn_key")
    assert {dn for dn, row in stored.items() if row.is_present} <= expected.keys() <= stored.keys()
    names = ("kind", "source_table", "record_key", "uniqname", "group_id", "is_present")
    assert {dn: tuple(stored[dn]._mapping[name] for name in names) for dn in expected} == expected
