"""The entities whose joining is measured: of which records, by which rules, and where the hub says what it joined.

An entity that the hub does not have is not measured.
"""

from collections.abc import Callable
from dataclasses import dataclass

from lsats_dagster_tests.conftest import DEFINITIONS
from lsats_dagster_tests.truth import peer, rules
from lsats_dagster_tests.truth.records import Known, Links

TABLES = {definition.table for definition in DEFINITIONS}


@dataclass(frozen=True)
class Entity:
    """One silver table of merged rows.

    tables: the source tables whose records it joins. links: what joins them by the rules. stored: SQL for what the hub joined,
    a line for each record of a row (entity_key, is_present, source_table, record_key). peer: the same by the peer's rules.
    """

    table: str
    tables: tuple[str, ...]
    links: Callable[[Known], Links]
    stored: str
    peer: Callable[[], peer.Peer]


DEPARTMENTS = ("umapi_departments", "tdx_departments")
PEOPLE = ("tdx_users", "umapi_employees", "mcommunity_users", "ad_users")
GROUPS = ("ad_groups", "mcommunity_groups")

ALL = (
    Entity(
        "departments", DEPARTMENTS, rules.departments,
        """
        select d.dept_id as entity_key, d.is_present, split_part(i.name, '.', 2) as source_table, k.key as record_key
        from silver.departments d
        cross join lateral jsonb_each(d.source_keys) i (name, keys)
        cross join lateral jsonb_array_elements_text(i.keys) k (key)
        """,
        lambda: peer.Peer(DEPARTMENTS, peer.department_key, peer.department_key),
    ),
    # What else influenced a row, as supervisors do, stands in source_keys too.
    Entity(
        "users", PEOPLE, rules.people,
        """
        select u.uniqname as entity_key, u.is_present, r.source_table, r.record_key
        from silver.users u
        left join silver.person_records r
            on u.uniqname = r.uniqname and u.source_keys -> ('silver.' || r.source_table) ? r.record_key
        """,
        lambda: peer.Peer(PEOPLE, peer.person_key, peer.person_key, changed_only=False),
    ),
    Entity(
        "groups", GROUPS, rules.groups,
        """
        select g.group_id as entity_key, g.is_present, r.source_table, r.record_key
        from silver.groups g
        cross join lateral (
            values ('ad_groups', g.ad_group_guid::text), ('mcommunity_groups', g.mcommunity_gid_number::text)
        ) r (source_table, record_key)
        """,
        lambda: peer.Peer(GROUPS, peer.group_key, peer.group_name),
    ),
)  # fmt: skip
ENTITIES = tuple(entity for entity in ALL if entity.table in TABLES)
# Where the records stand that belong to no row, by reason.
UNLINKED = "unlinked_records" in TABLES
# These, and what is made beside them of the same records.
BESIDE = ("unlinked_records", "group_members", "group_owners", "effective_group_members")
MEASURED = [table for table in (*(entity.table for entity in ALL), *BESIDE) if table in TABLES]
