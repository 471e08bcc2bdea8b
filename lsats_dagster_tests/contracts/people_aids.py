"""What the tests of people share: what sources say of personN, and the rows that are made of it."""

from typing import Any

from lsats_dagster_tests.contracts import links_oracle, users_oracle
from lsats_dagster_tests.contracts.histories import Change, World, reached_from
from lsats_dagster_tests.contracts.records import uid
from lsats_dagster_tests.contracts.records_directories import LABS, guid

ACCOUNT, USER, APPOINTMENT, AWARD = "tdx/department", "tdx/user", "umich_api/user", "lab_awards/lab_award"
DEPARTMENT, PERSON = "umich_api/department", "mcommunity_ldap/user"
AD_ACCOUNT, UNIT = "active_directory/user", "active_directory/organizational_unit"
DEEP = f"OU=PSYC,OU=Psychology,OU=EHTS,OU=Current,{LABS}"


def live(world: World, *changes: list[Change]) -> None:
    """Something happens, its streams are read, the tables are refreshed; the oracles agree."""
    happening = [change for some in changes for change in some]
    world.apply(*happening)
    for stream in dict.fromkeys(change.stream for change in happening):
        world.read(stream)
    refresh(world)


def refresh(world: World, *, full: bool = False) -> None:
    """Every table that people are made from, and their own; the oracles agree."""
    tables = [
        table for last in ("users", "unlinked_records") for table in reached_from(world, world.definition(last))[0]
    ]
    for table in dict.fromkeys(tables):
        world.refresh(table, full=full)
    links_oracle.check_links(world)
    links_oracle.check_records(world)
    users_oracle.check(world)


def decide(world: World, table: str, key: str, uniqname: str | None) -> None:
    """Somebody decides whose a record is."""
    name = "null" if uniqname is None else f"'{uniqname}'"
    world.administer(
        "insert into curated.person_links (source_table, record_key, uniqname, author, reason) "
        f"values ('{table}', '{key}', {name}, 'keeper', 'Asked the person')"
    )


def said(stream: str, key: str, fields: dict[str, Any]) -> list[Change]:
    return [Change(stream, key), *(Change(stream, key, name, value) for name, value in fields.items())]


def gone(stream: str, key: str) -> list[Change]:
    return [Change(stream, key, None)]


def account(number: int, **fields: Any) -> list[Change]:
    return said(ACCOUNT, str(number), fields)


def department(code: str, **fields: Any) -> list[Change]:
    return said(DEPARTMENT, code, fields)


def tdx_user(number: int, **fields: Any) -> list[Change]:
    """personN of TeamDynamix with employee ID N."""
    return said(USER, uid(number), fields)


def appointment(number: int, record: int = 0, **fields: Any) -> list[Change]:
    return said(APPOINTMENT, f"{number:08d}:{record}", fields)


def person(number: int, **fields: Any) -> list[Change]:
    """personN of MCommunity."""
    return said(PERSON, str(number), fields)


def ad_account(number: int, **fields: Any) -> list[Change]:
    """personN of Active Directory."""
    return said(AD_ACCOUNT, guid(number), fields)


def user(world: World, uniqname: str) -> Any:
    (found,) = world.rows("select * from silver.users where uniqname = :uniqname", uniqname=uniqname)
    return found


def record(world: World, table: str, key: str) -> Any:
    (found,) = world.rows(
        "select * from silver.person_records where source_table = :table and record_key = :key", table=table, key=key
    )
    return found


def unlinked(world: World) -> list[tuple[str, str, str]]:
    rows = world.rows(
        "select source_table, record_key, reason from silver.unlinked_records where is_present order by 1, 2"
    )
    return [tuple(row) for row in rows]
