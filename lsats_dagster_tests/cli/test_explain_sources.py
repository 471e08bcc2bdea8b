"""`lsats explain` of the tables of one source: every row leads to what its source said."""

import json
from pathlib import Path

from lsats_dagster_tests.cli.aids import environment, in_process
from lsats_dagster_tests.contracts.histories import Change, World
from lsats_dagster_tests.contracts.records import mac, uid
from lsats_dagster_tests.contracts.records_directories import guid

AWARD = "AWD000001-person1-100001-UM Principal Investigator"
# Table, as people may write it, and key -> the records that the row is made of.
EXPLAINED = {
    ("tdx_user", uid(1)): {("bronze/tdx_users", uid(1)), ("enriched/tdx_user_details", uid(1))},
    ("silver/tdx_assets", "1"): {("bronze/tdx_assets", "1"), ("enriched/tdx_asset_details", "1")},
    ("umapi_employees", "00000001:1"): {("bronze/umapi_employees", "00000001:1")},
    ("keyconfigure_computer", "EX-PC-1-SERIAL1"): {
        (f"bronze/keyconfigure_{table}", mac(number)) for table in ("computers", "usage") for number in (1, 2)
    },
    ("silver.lab_awards", AWARD): {("bronze/lab_awards", AWARD)},
    ("mcommunity_user", "1"): {("bronze/mcommunity_users", "1")},
    ("mcommunity_groups", "1"): {("bronze/mcommunity_groups", "1")},
    **{
        (f"ad_{table}", guid(1)): {(f"bronze/ad_{table}", guid(1))}
        for table in ("users", "groups", "organizational_units", "computers")
    },
}
STREAMS = {
    "tdx/department": ["1"], "tdx/user": [uid(1)], "tdx/user_detail": [uid(1)], "tdx/asset": ["1"], "tdx/asset_detail": ["1"],
    "umich_api/user": ["00000001:0", "00000001:1"], "key_client/computer": [mac(1), mac(2)],
    "key_client/computer_usage": [mac(1), mac(2)], "lab_awards/lab_award": [AWARD],
    "mcommunity_ldap/user": ["1"], "mcommunity_ldap/group": ["1"],
    **{f"active_directory/{kind}": [guid(1)] for kind in ("user", "group", "organizational_unit", "computer")},
}  # fmt: skip


def test_every_row_of_a_source_leads_to_its_records(url: str, tmp_path: Path) -> None:
    world = World(url)
    world.apply(*(Change(stream, key) for stream, keys in STREAMS.items() for key in keys))
    world.apply(
        Change("key_client/computer", mac(2), "Name", "ex-pc-1"), Change("key_client/computer", mac(2), "OEM SN", "")
    )
    for stream in STREAMS:
        world.read(stream)
    world.refresh_all()
    world.dispose()
    for (table, key), records in EXPLAINED.items():
        variables = environment(tmp_path, DATABASE_URL=url)
        done = in_process("explain", table, key, "--json", folder=tmp_path, variables=variables)
        assert done.returncode == 0, done.stdout + done.stderr
        found = json.loads(done.stdout)
        assert {(row["stream"], row["key"]) for row in found["bronze"]} == records
        assert all(field["bronze"] for field in found["fields"])
        assert in_process("explain", table, key, folder=tmp_path, variables=variables).stdout.count(key) > 1
