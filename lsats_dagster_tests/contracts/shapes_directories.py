"""What records of the directories look like in the table suite; see `shapes`."""

from collections.abc import Mapping
from typing import Any

from lsats_dagster_tests.contracts import records_directories as records
from lsats_dagster_tests.contracts.records_directories import LABS, STANDARD, UNIVERSITY, WORKSTATIONS, guid
from lsats_dagster_tests.contracts.shape import ABSENT, Shape

GUIDS = tuple(map(guid, range(1, 6)))
IN_LAB = f"OU=unit1,OU=Psychology,OU=EHTS,OU=Current,{LABS}"

DIRECTORY_SHAPES: Mapping[str, Shape] = {
    "mcommunity_ldap/user": Shape(
        ("uidNumber",), tuple("12345"), str, records.person,
        {"uid": (["persona"], ["person1"], [" PERSON2 "], ["person1", "x"], "", ABSENT)},
        {
            "displayName": ("Renamed", " ", None), "mail": (["PERSON1@example.edu", "x@y"], [], ABSENT),
            "ou": ([], ["Alumni"], ABSENT), "sn": (["Other"], []), "gidNumber": ("10.0", "many"),
        },
    ),
    "mcommunity_ldap/group": Shape(
        ("gidNumber",), tuple("12345"), str, records.mail_group,
        {"umichGroupEmail": (["example-group-1"], [" EXAMPLE-GROUP-2 "], [], ABSENT)},
        {
            "cn": (["Renamed"], ["Example Group 2", "example-group-1"], [], ABSENT),
            "member": ([], [f"uid=person2,{records.PEOPLE}", f"uid=Nobody,{records.PEOPLE}"], ABSENT),
            "joinable": ("TRUE", "", "maybe"), "umichExpiryTimestamp": ("20260212230252Z", "soon"),
            "owner": ([records.mail_group("2")["dn"]], [], ABSENT),
            "umichDirectGroupMember": ([records.mail_group("4")["dn"]], [records.mail_group("1")["dn"]], []),
            "umichDirectMember": ([], ABSENT),
        },
    ),
    "active_directory/user": Shape(
        ("objectGUID",), GUIDS, guid, records.ad_account,
        {
            "uid": (["person1"], [" PERSON2 "], "", ABSENT), "sAMAccountName": ("person1", "$x", ABSENT),
            "userAccountControl": (512, 514, "512", ABSENT),
            "lastLogonTimestamp": ("2025-05-01T09:00:00Z", "2025-05-02T09:00:00Z", None),
        },
        {
            "cn": ("person1\nCNF:3f1d9c2e", "Renamed"),
            "dn": (f"CN=x,{IN_LAB}", f"CN=Doe\\, Jane,OU=People,{UNIVERSITY}", "x", ABSENT),
            "displayName": ("Renamed", " ", None), "accountExpires": (None, "2026-01-12T08:15:30Z", "0"),
            "pwdLastSet": (None, "soon"), "memberOf": ([], ABSENT),
        },
    ),
    "active_directory/group": Shape(
        ("objectGUID",), GUIDS, guid, records.ad_group,
        {
            "gidNumber": (4, 2, "1", ABSENT),
            "cn": ("Example Group 1", "EX-GROUP-2 ", "Example Group 4", "Example-Group-1", ABSENT),
        },
        {
            "member": (
                [], [f"CN=person2,OU=People,{UNIVERSITY}", records.ad_group(guid(2))["dn"]], [f"CN=BIO-PC1,{STANDARD}"], ABSENT,
            ),
            "groupType": (8, "x"), "name": ("Renamed", ""), "mail": ("EX@example.edu", None),
            "dn": (f"CN=x,OU=MCommADSync,{records.GROUPS}", "x", f"CN=x,{IN_LAB}"),
            "managedBy": (records.ad_group(guid(3))["dn"], ABSENT),
        },
    ),
    "active_directory/organizational_unit": Shape(
        ("objectGUID",), GUIDS, guid, records.ad_unit,
        {
            "dn": (STANDARD, f"OU=Biology,OU=RSN,{WORKSTATIONS}", f"OU=Current,{LABS}", "x"),
            "ou": (["psyc-persona"], ["person"], ["Rivers-Lab"], []),
        },
        {"managedBy": ("", None), "systemFlags": (16.0, "x"), "name": ("Renamed", "")},
    ),
    "active_directory/computer": Shape(
        ("objectGUID",), GUIDS, guid, records.ad_computer,
        {
            "cn": ("BIO-PC1", "bio-pc2", "", ABSENT),
            "lastLogonTimestamp": ("2025-05-01T09:00:00Z", "2025-12-01T09:00:00Z", None),
            "dn": (f"CN=x,{IN_LAB}", f"CN=BIO-PC1,{STANDARD}", "x"),
        },
        {
            "operatingSystem": ("Other", ""), "userAccountControl": (4098, ABSENT), "managedBy": ("", None),
            "userCertificate": ([], ["AAEC", "x"]), "pwdLastSet": (None, "soon"),
        },
    ),
}  # fmt: skip

# Tables made of lists and of names; see `MOVED_BY` of `shapes`.
AS_MEMBER: tuple[str, str, str, tuple[Any, Any]] = (
    "mcommunity_ldap/group", "1", "umichDirectMember", ([f"uid=person1,{records.PEOPLE}"], []),
)  # fmt: skip
DIRECTORIES_MOVED_BY: Mapping[str, tuple[str, str, str, tuple[Any, Any]]] = {
    "directory_objects": ("mcommunity_ldap/user", "3", "uid", (["person3"], ["person9"])),
    "group_members": AS_MEMBER,
    "effective_group_members": AS_MEMBER,
    "group_owners": (
        "mcommunity_ldap/group", "4", "owner",
        ([f"uid=person4,{records.PEOPLE}"], [f"uid=person4,{records.PEOPLE}", records.ad_account(guid(4))["dn"]]),
    ),
}  # fmt: skip
