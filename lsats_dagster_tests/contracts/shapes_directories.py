"""What records of the directories look like in the table suite; see `shapes`."""

from collections.abc import Mapping

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
            "cn": (["Renamed"], [], ABSENT), "member": ([], [f"uid=person2,{records.PEOPLE}"], ABSENT),
            "joinable": ("TRUE", "", "maybe"), "umichExpiryTimestamp": ("20260212230252Z", "soon"),
            "owner": ([], ABSENT),
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
        ("objectGUID",), GUIDS, guid, records.ad_group, {},
        {
            "member": ([], [f"CN=person2,OU=People,{UNIVERSITY}"], ABSENT), "groupType": (8, "x"), "name": ("Renamed", ""),
            "dn": (f"CN=x,{IN_LAB}", f"CN=x,OU=MCommADSync,{records.GROUPS}", "x"), "mail": ("EX@example.edu", None),
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
