"""What the campus tells tests of the truth: whom or what each record is of."""

from collections import Counter

from lsats_dagster.demo.campus.world import World


def test_records_of_one_and_the_same_have_one_identity() -> None:
    world = World(1, "tiny")
    people, employees = world.stream("mcommunity_ldap/user").truth(), world.stream("umich_api/user").truth()
    named = {world.identity("mcommunity_ldap/user", key): record["uid"] for key, record in people.items()}
    for key, record in employees.items():
        known = (record["UniqName"] or "").strip().lower()
        assert named[world.identity("umich_api/user", key)] == [known] or not known
    accounts = Counter(world.identity("tdx/department", key) for key in world.stream("tdx/department").truth())
    assert sorted(accounts.values())[-3:] == [1, 2, 2]
    codes = world.stream("umich_api/department").truth()
    assert len(accounts.keys() & {world.identity("umich_api/department", key) for key in codes}) == 98
    mirrors = {world.identity("active_directory/group", key) for key in world.stream("active_directory/group").truth()}
    assert mirrors & {
        world.identity("mcommunity_ldap/group", key) for key in world.stream("mcommunity_ldap/group").truth()
    }
    machines = {world.identity("active_directory/computer", key) for key in world.active_directory.computers.present}
    assert machines & {world.identity("tdx/asset", key) for key in world.stream("tdx/asset").truth()}
