"""A person who asks for privacy: of everything that the sources say of them, readers see the login name and nothing else.

Every view for readers is looked at, whichever there are, in every column. What is private is told by canaries: values that
stand in all records of this one person, and nowhere else.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from lsats_dagster.database import READER, Database, DatabaseError
from lsats_dagster.demo.postgres import EmbeddedPostgres
from lsats_dagster.transforms.find import find
from lsats_dagster_tests.contracts.forms import SUITE_DEFINITIONS, SUITE_STREAMS, suite_database
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records_directories import PEOPLE, UNIVERSITY, guid
from lsats_dagster_tests.contracts.shapes import SHAPES

UNIQNAME = "quentin"
# Every key, id and number of the person.
NUMBER = 7_340_001
UID, EMPLOYEE, GUID = f"7c1e0a52-33b4-4d0f-9d0e-{NUMBER:012d}", f"{NUMBER:08d}", guid(NUMBER)
AWARD = f"AWD000009-{UNIQNAME}-100001-UM Principal Investigator"
# Every text, and every date.
WORD, YEAR = "canary", "2073-"
CANARIES = (WORD, YEAR, str(NUMBER))
TDX, TDX_DETAIL, HR = "tdx/user", "tdx/user_detail", "umich_api/user"
DIRECTORY, ACCOUNT, UNIT, AWARDS = (
    "mcommunity_ldap/user", "active_directory/user", "active_directory/organizational_unit", "lab_awards/lab_award"
)  # fmt: skip
RECORDS = {
    TDX: UID, TDX_DETAIL: UID, HR: f"{EMPLOYEE}:0", DIRECTORY: str(NUMBER), ACCOUNT: GUID, UNIT: GUID, AWARDS: AWARD,
}  # fmt: skip
# What a record keeps as it is: whose it is, and what decides whether it is read at all.
KEPT: dict[str, dict[str, Any]] = {
    TDX: {"AlternateID": UNIQNAME, "ExternalID": EMPLOYEE, "IsConfidential": False},
    TDX_DETAIL: {"AlternateID": UNIQNAME, "ExternalID": EMPLOYEE, "IsConfidential": False},
    HR: {"UniqName": UNIQNAME},
    DIRECTORY: {"uid": [UNIQNAME], "dn": f"uid={UNIQNAME},{PEOPLE}", "ou": [f"{WORD} unit - Faculty and Staff"]},
    ACCOUNT: {
        "uid": [UNIQNAME], "sAMAccountName": UNIQNAME, "cn": UNIQNAME, "userAccountControl": 512,
        "dn": f"CN={UNIQNAME},OU={WORD} unit,OU=People,{UNIVERSITY}", "umichadHidePersonalInfo": "FALSE",
    },
    UNIT: {"ou": [UNIQNAME], "dn": None},
    AWARDS: {},
}  # fmt: skip
# An award is not its investigator's alone: of its fields only these tell of the person.
OF_THE_PERSON = "Person "


def planted(value: Any, name: str) -> Any:
    """The value as one that nobody else has; what is a key or a switch stays."""
    match value:
        case bool() | None:
            return value
        case int() | float():
            return NUMBER
        case list():
            return [planted(member, name) for member in value]
        case dict():
            return {inner: planted(member, f"{name} {inner}") for inner, member in value.items()}
    if value in RECORDS.values():
        return value
    if len(value) >= len("2025-01-01T00:00:00Z") and value[4] == "-" and value[10] == "T":
        return f"{YEAR}{value[5:]}"
    return f"{WORD}-{name}@example.edu" if "@" in value else f"{WORD} {name}"


def record(stream: str) -> dict[str, Any]:
    """The person's record of a stream, canaries in every field."""
    ordinary = SHAPES[stream].ordinary(RECORDS[stream])
    kept = {name: ordinary[name] if value is None else value for name, value in KEPT[stream].items()}
    told = {name for name in ordinary if stream != AWARDS or name.startswith(OF_THE_PERSON)}
    told -= {*SHAPES[stream].key_fields, *kept}
    return {name: planted(value, name) if name in told else value for name, value in (ordinary | kept).items()}


@pytest.fixture(scope="module")
def world(server: EmbeddedPostgres) -> Iterator[World]:
    """The rich world, and in it this person, whom other people and a department name."""
    world = World(suite_database(server), SUITE_DEFINITIONS, SUITE_STREAMS).reset()
    world.fill()
    for stream, key in RECORDS.items():
        world.apply(Change(stream, key), *(Change(stream, key, name, value) for name, value in record(stream).items()))
    person = SHAPES[TDX].keys[0]
    world.apply(Change(TDX, person, "AlternateID", "person1"), Change(TDX, person, "ReportsToUID", UID))
    for appointment in ("00000001:0", "00000001:1"):
        world.apply(Change(HR, appointment, "UniqName", "person1"), Change(HR, appointment, "SupervisorId", EMPLOYEE))
    world.apply(
        Change("tdx/department", "1", "ManagerUID", UID), Change("tdx/department_detail", "1", "ManagerUID", UID)
    )
    world.read_all()
    world.refresh_all()
    yield world
    world.reset().dispose()


def learn(world: World, *changes: Change) -> None:
    """Something happens at the sources, and arrives in silver, as far as it reaches."""
    world.apply(*changes)
    moved = set()
    for stream in dict.fromkeys(change.stream for change in changes):
        world.read(stream)
        moved.add(f"{world.streams[stream].layer}.{world.streams[stream].table}")
    for definition in world.definitions:
        if moved.intersection(definition.inputs):
            world.refresh(definition.table)
            moved.add(definition.name)


def asking_for_privacy(asks: bool) -> Change:
    return Change(ACCOUNT, GUID, "umichadHidePersonalInfo", "TRUE" if asks else "FALSE")


def shown(world: World) -> dict[str, list[str]]:
    """view -> its rows as texts, as a reader gets them."""
    reader = Database(world.url, role=READER, read_only=True)
    try:
        with reader.transaction() as connection:
            views = (
                connection.exec_driver_sql("select viewname from pg_views where schemaname = 'silver'").scalars().all()
            )
            return {
                view: list(connection.exec_driver_sql(f"select to_jsonb(v)::text from silver.{view} v").scalars())
                for view in views
            }
    finally:
        reader.dispose()


def telling(world: World) -> dict[str, list[str]]:
    """view -> its rows that hold a canary."""
    found = {view: [row for row in rows if any(c in row for c in CANARIES)] for view, rows in shown(world).items()}
    return {view: rows for view, rows in found.items() if rows}


@pytest.fixture
def open_world(world: World) -> World:
    """The person asks for nothing."""
    learn(world, asking_for_privacy(False), Change(TDX, UID, "IsConfidential", False))
    return world


def test_of_somebody_who_asks_for_nothing_every_view_of_people_tells(open_world: World) -> None:
    """Otherwise the tests below prove nothing: the canaries reach the views."""
    found = telling(open_world)
    assert {"v_people", "v_appointments", "v_departments", "v_findable"} <= found.keys()
    # The person, and the one who reports to them.
    assert len(found["v_people"]) == 2


@pytest.mark.parametrize(
    "change",
    [
        asking_for_privacy(True),
        Change(ACCOUNT, GUID, "umichadHidePersonalInfo", "perhaps"),
        Change(TDX, UID, "IsConfidential", True),
    ],
    ids=["asked for in Active Directory", "not readable there", "asked for in TeamDynamix"],
)
def test_of_somebody_private_the_login_name_is_all(open_world: World, change: Change) -> None:
    learn(open_world, change)
    assert telling(open_world) == {}
    (row,) = open_world.rows(
        "select jsonb_strip_nulls(to_jsonb(p)) as told from silver.v_people p where uniqname = :name", name=UNIQNAME
    )
    assert row.told == {"uniqname": UNIQNAME}
    # Others still say to whom they report: by the login name.
    (row,) = open_world.rows("select * from silver.v_people where uniqname = 'person1'")
    assert (row.primary_supervisor_uniqname, row.primary_supervisor_id, row.reports_to_uid) == (UNIQNAME, None, None)
    named = [sorted(item) for item in row.supervisor_ids if item["uniqname"] == UNIQNAME]
    assert named == [["empl_rcd", "uniqname"]] * 2


def test_privacy_outlives_the_source_that_asked_for_it(open_world: World) -> None:
    learn(open_world, asking_for_privacy(True))
    learn(open_world, Change(ACCOUNT, GUID, None))
    assert telling(open_world) == {}
    learn(open_world, Change(ACCOUNT, GUID))


# Cheap, so that Postgres asks it before anything else; strict, so that it is asked of the rows themselves.
LOOK = f"""
create function pg_temp.look(value text) returns boolean language plpgsql strict cost 0.0001 as
$$ begin if value like '{WORD}%' then raise exception 'seen'; end if; return true; end $$
"""


def look(world: World, view: str, column: str) -> None:
    """A reader's own function looks at each value of a column that Postgres shows it."""
    reader = Database(world.url, role=READER)
    try:
        with reader.transaction() as connection:
            connection.execute(text(LOOK))
            connection.execute(text(f"select count(*) from silver.{view} where pg_temp.look({column})")).scalar_one()
    finally:
        reader.dispose()


def test_no_function_of_a_reader_is_asked_about_rows_that_are_hidden(open_world: World) -> None:
    columns = {"v_people": "last_name", "v_appointments": "university_job_title", "v_findable": "name"}
    for view, column in columns.items():
        with pytest.raises(DatabaseError, match="seen"):
            look(open_world, view, column)
    learn(open_world, asking_for_privacy(True))
    seen = []
    for view, column in columns.items():
        try:
            look(open_world, view, column)
        except DatabaseError:
            seen.append(view)
    assert seen == []


def test_somebody_private_is_found_by_the_whole_login_name_alone(open_world: World) -> None:
    def found(wanted: str) -> list[tuple[Any, ...]]:
        reader = Database(open_world.url, role=READER, read_only=True)
        try:
            with reader.transaction() as connection:
                return [(h.key, h.name, h.found_by, h.match, h.is_present) for h in find(connection, wanted, 9)[0]]
        finally:
            reader.dispose()

    name = f"{WORD} LastName, {WORD} FirstName"
    assert found(UNIQNAME) == [(UNIQNAME, name, "uniqname", "exact", True)]
    assert found(UNIQNAME[:4]) == [(UNIQNAME, name, "uniqname", "prefix", True)]
    assert found(f"{WORD}-primary") == [(UNIQNAME, name, "mail", "prefix", True)]
    assert found("no such thing") == []
    assert found(f"{WORD}-PrimaryEmail@example.edu") == [(UNIQNAME, name, "mail", "exact", True)]
    assert found(f"{WORD.upper()} lastname") == [(UNIQNAME, name, "name", "prefix", True)]
    learn(open_world, asking_for_privacy(True))
    assert found(UNIQNAME.upper()) == [(UNIQNAME, None, "uniqname", "exact", True)]
    assert found(UNIQNAME[:4]) == found(UNIQNAME[2:]) == found(WORD) == found(str(NUMBER)) == []
    # Gone from everywhere: the same.
    streams = (TDX, HR, DIRECTORY, ACCOUNT)
    learn(open_world, *(Change(stream, RECORDS[stream], None) for stream in streams))
    assert found(UNIQNAME) == [(UNIQNAME, None, "uniqname", "exact", False)]
    assert found(UNIQNAME[:4]) == []
    learn(open_world, *(Change(stream, RECORDS[stream]) for stream in streams))
