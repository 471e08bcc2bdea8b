"""The same for accounts, groups and computers of Active Directory (4.8, 4.9, 4.11), and for where they stand (2.3)."""

from decimal import Decimal
from typing import Any

from lsats_dagster_tests.contracts.examples import Example, moment
from lsats_dagster_tests.contracts.records_directories import (
    FOREST,
    GROUPS,
    LABS,
    STANDARD,
    UNIVERSITY,
)
from lsats_dagster_tests.contracts.shapes import ABSENT, LONG

# How others wrote never, and not set.
NEVER = "9999-12-31T23:59:59.999999+00:00"
UNSET = "1601-01-01T00:00:00+00:00"
FULL = Decimal("1.00")

# Rule O (2.3): a DN, and status, division, department, subdepartment, path and depth.
LAB_PATH = ["Psychology", "EHTS", "Current", "Research and Instrumentation", "LSA", "Organizations", "UMICH"]
WORK_PATH = ["Standard", "Biology", "RSN", "Workstations", "LSA", "Organizations", "UMICH"]


def placed(dn: Any, levels: tuple[str | None, ...], path: list[str]) -> tuple[Any, dict[str, Any]]:
    """A DN, and what its row must hold."""
    names = ("ou_status", "ou_division", "ou_department", "ou_subdepartment")
    expected: dict[str, Any] = dict(zip(names, levels, strict=True)) | {"ou_full_path": path, "ou_depth": len(path)}
    return dn, expected


RULE_O = [
    placed(f"CN=BIO-PC1,{STANDARD}", (None, "RSN", "Biology", "Standard"), WORK_PATH),
    placed(
        f"CN=PSY-PC1,OU=psyc-x,OU=Psychology,OU=EHTS,OU=Current,{LABS}", ("Current", "EHTS", "Psychology", "psyc-x"),
        ["psyc-x", *LAB_PATH],
    ),
    placed(r"CN=Doe\, Jane,OU=People,OU=UMICH", (None,) * 4, ["People", "UMICH"]),
    placed(r"CN=x,OU=A\, B\0A,OU=UMICH", (None,) * 4, ["A, B", "UMICH"]),
    placed("CN=Domain Admins,CN=Users,DC=x", (None,) * 4, []),
    placed("cn=x, ou=Lab, ou=UMICH", (None,) * 4, ["Lab", "UMICH"]),
    placed("CN=pc1,DC=adsroot,DC=edu", (None,) * 4, []),
]  # fmt: skip
_, MISSING_DN = placed(ABSENT, (None,) * 4, [])

BIOLOGY_GROUP = f"CN=Example-Lab-Staff,OU=Biology,OU=RSN,{GROUPS}"
AD_GROUPS = [
    Example(
        {
            "dn": BIOLOGY_GROUP, "cn": "Example-Lab-Staff", "name": "Example-Lab-Staff", "sAMAccountName": "Example-Lab-Staff",
            "description": ["Staff of the example lab"], "groupType": -2147483646, "sAMAccountType": 268435456,
            "objectClass": ["group", "top"], "member": [f"CN=jrivers,OU=People,{UNIVERSITY}"], "memberOf": ABSENT,
            "whenCreated": "2018-01-09T16:00:00Z", "whenChanged": "2025-04-30T02:00:00Z", "displayName": "Example Lab Staff",
            "info": ABSENT, "managedBy": f"CN=jrivers,OU=People,{UNIVERSITY}", "proxyAddresses": ABSENT, "uSNCreated": 500100,
            "uSNChanged": 99887001, "objectSid": "S-1-5-21-1-2-3-9001", "sIDHistory": ABSENT,
            "mail": "Example-Lab-Staff@example.edu", "gidNumber": ABSENT,
        },
        {
            "cn": "Example-Lab-Staff", "group_name": "Example-Lab-Staff", "sam_account_name": "Example-Lab-Staff",
            "distinguished_name": BIOLOGY_GROUP, "dn_key": BIOLOGY_GROUP.lower(), "description": "Staff of the example lab",
            "group_type": -2147483646, "group_scope": "global", "is_security_group": True, "is_mcommunity_sync": False,
            "sam_account_type": 268435456, "object_category": f"CN=Group,CN=Schema,CN=Configuration,{FOREST}",
            "object_class": ["group", "top"], "members": [f"CN=jrivers,OU=People,{UNIVERSITY}"], "member_uniqnames": ["jrivers"],
            "member_group_dns": [], "member_of": [], "when_created": moment(2018, 1, 9, 16),
            "when_changed": moment(2025, 4, 30, 2), "display_name": "Example Lab Staff", "info": None,
            "managed_by": f"CN=jrivers,OU=People,{UNIVERSITY}", "proxy_addresses": [], "usn_created": 500100,
            "usn_changed": 99887001, "object_sid": "S-1-5-21-1-2-3-9001", "sid_history": [], "gid_number": None,
            "group_email": "example-lab-staff@example.edu", "ou_root": "UMICH", "ou_organization_type": "Organizations",
            "ou_organization": "LSA", "ou_category": "Users and Groups", "ou_status": None, "ou_division": "RSN",
            "ou_department": "Biology", "ou_subdepartment": None, "ou_immediate_parent": "Biology",
            "ou_full_path": ["Biology", "RSN", "Users and Groups", "LSA", "Organizations", "UMICH"], "ou_depth": 6,
            "parent_ou_dn": f"OU=Biology,OU=RSN,{GROUPS}", "source_systems": ["active_directory"], "data_quality_score": FULL,
        },
    ),
    # As others stored it: everything a text, blank for nothing.
    Example(
        {
            "objectGUID": "{3F1D9C2E-7A10-4A5C-8F37-000000000002}", "distinguishedName": f"CN=x,OU=Chem,{GROUPS}", "dn": ABSENT,
            "groupType": "-2147483640", "member": "", "memberOf": f"CN=y,{GROUPS}", "whenCreated": UNSET, "whenChanged": NEVER,
            "uSNChanged": "99887001", "mail": "", "managedBy": "", "objectClass": ["group", "top"],
        },
        {
            "distinguished_name": f"CN=x,OU=Chem,{GROUPS}", "group_scope": "universal", "members": [],
            "member_of": [f"CN=y,{GROUPS}"], "when_created": None, "when_changed": None, "usn_changed": 99887001,
            "group_email": None, "managed_by": None,
        },
        ("empty_group",),
    ),
    Example({"groupType": 4}, {"group_scope": "domain_local", "is_security_group": False}),
    Example({"groupType": ABSENT}, {"group_type": None, "group_scope": None, "is_security_group": None}),
    Example({"groupType": "x"}, {"group_type": None}, ("bad_integer:group_type",)),
    Example({"name": ABSENT}, {"group_name": None, "data_quality_score": Decimal("0.50")}, ("missing_name",)),
    Example({"dn": f"CN=chem,OU=MCommADSync,{GROUPS}"}, {"is_mcommunity_sync": True, "gid_number": 77007}),
    Example({"dn": "CN=Domain Admins,CN=Users,DC=x"}, {"ou_full_path": [], "ou_depth": 0, "ou_root": None}),
    Example({"dn": ABSENT}, {"ou_full_path": [], "is_mcommunity_sync": False, "parent_ou_dn": None}, ("bad_dn",)),
    Example(
        {"member": [f"CN=B,OU=People,{UNIVERSITY}", f"CN=PC1,{STANDARD}", BIOLOGY_GROUP, f"cn=a,ou=people,{UNIVERSITY}"]},
        {"member_uniqnames": ["a", "b"], "member_group_dns": [BIOLOGY_GROUP.lower()]},
    ),
    Example({"sIDHistory": ["S-1-5-21-1", "S-1-5-21-2"]}, {"sid_history": ["S-1-5-21-1", "S-1-5-21-2"]}),
    Example({"uSNCreated": "x", "whenChanged": "soon"}, {}, ("bad_integer:usn_created", "bad_date:when_changed")),
]  # fmt: skip

PEOPLE_UNIT = f"OU=People,{UNIVERSITY}"
JRIVERS = f"CN=jrivers,{PEOPLE_UNIT}"
AD_USERS = [
    Example(
        {
            "dn": JRIVERS, "cn": "jrivers", "name": "jrivers", "sAMAccountName": "jrivers", "uid": ["jrivers"],
            "userPrincipalName": "JRivers@example.edu", "displayName": "Rivers, Jamie", "givenName": "Jamie", "sn": "Rivers",
            "initials": "JLR", "title": "Lab Manager", "description": ABSENT, "mobile": ABSENT, "otherMobile": ABSENT,
            "facsimileTelephoneNumber": ABSENT, "streetAddress": "1234 Example Hall",
            "proxyAddresses": ["SMTP:jrivers@example.edu"], "department": "Example Biology",
            "umichadOU": ["Example Biology - Faculty and Staff"], "umichadRole": ["FacultyAD", "StaffAD"],
            "userAccountControl": 512, "accountExpires": None, "pwdLastSet": "2025-04-01T12:00:00Z",
            "lastLogon": "2025-05-01T09:00:00Z", "lastLogonTimestamp": "2025-05-01T09:00:00Z", "lastLogoff": None,
            "badPwdCount": 0, "logonCount": 1432, "badPasswordTime": None, "lockoutTime": None,
            "objectSid": "S-1-5-21-1-2-3-4567", "sIDHistory": ABSENT, "whenCreated": "2019-08-20T14:30:00Z",
            "whenChanged": "2025-05-02T10:00:00Z", "uSNCreated": 1200345, "uSNChanged": 99887766,
            "objectClass": ["organizationalPerson", "person", "top", "user"], "instanceType": 4,
            "memberOf": ["CN=Example Group,OU=Groups,DC=ad,DC=example,DC=edu"], "primaryGroupID": 513, "uidNumber": 900123,
            "gidNumber": 10, "homeDirectory": ABSENT, "homeDrive": ABSENT, "loginShell": ABSENT, "employeeType": ABSENT,
            "mail": "JRivers@example.edu", "telephoneNumber": "734-555-0142", "umichadHidePersonalInfo": ABSENT,
        },
        {
            "uniqname": "jrivers", "account_type": "person", "is_primary_account": True, "cn": "jrivers", "name": "jrivers",
            "sam_account_name": "jrivers", "distinguished_name": JRIVERS, "dn_key": JRIVERS.lower(),
            "user_principal_name": "jrivers@example.edu", "display_name": "Rivers, Jamie", "full_name": "Rivers, Jamie",
            "preferred_name": "Jamie Rivers", "first_name": "Jamie", "last_name": "Rivers", "initials": "JLR",
            "title": "Lab Manager", "job_title": "Lab Manager", "description": None, "mobile": None, "mobile_phone": None,
            "other_mobile": [], "facsimile_telephone_number": None, "street_address": "1234 Example Hall",
            "proxy_addresses": ["SMTP:jrivers@example.edu"], "department": "Example Biology",
            "department_name": "Example Biology", "umichad_ou": ["Example Biology - Faculty and Staff"],
            "umichad_role": ["FacultyAD", "StaffAD"], "hide_personal_info": None, "user_account_control": 512,
            "is_enabled": True, "account_kind": "user", "password_not_required": False, "password_never_expires": False,
            "password_expired": False, "smartcard_required": False, "account_expires": None, "account_never_expires": True,
            "pwd_last_set": moment(2025, 4, 1, 12), "last_logon": moment(2025, 5, 1, 9),
            "last_logon_timestamp": moment(2025, 5, 1, 9), "last_logoff": None, "bad_pwd_count": 0, "logon_count": 1432,
            "bad_password_time": None, "lockout_time": None, "is_locked": False, "object_sid": "S-1-5-21-1-2-3-4567",
            "sid_history": [], "when_created": moment(2019, 8, 20, 14, 30), "when_changed": moment(2025, 5, 2, 10),
            "usn_created": 1200345, "usn_changed": 99887766,
            "object_class": ["organizationalPerson", "person", "top", "user"],
            "object_category": f"CN=Person,CN=Schema,CN=Configuration,{FOREST}", "instance_type": 4,
            "member_of": ["CN=Example Group,OU=Groups,DC=ad,DC=example,DC=edu"], "primary_group_id": 513, "uid_number": 900123,
            "gid_number": 10, "home_directory": None, "home_drive": None, "login_shell": None, "employee_type": None,
            "primary_email": "jrivers@example.edu", "work_phone": "734-555-0142", "ou_root": "UMICH",
            "ou_organization_type": "People", "ou_organization": None, "ou_category": None, "ou_status": None,
            "ou_division": None, "ou_department": None, "ou_subdepartment": None, "ou_immediate_parent": "People",
            "ou_full_path": ["People", "UMICH"], "ou_depth": 2, "parent_ou_dn": PEOPLE_UNIT,
            "source_systems": ["active_directory"], "data_quality_score": FULL,
        },
    ),
    # As others stored it: everything a text, blank for nothing, a list where there were several.
    Example(
        {
            "distinguishedName": f"CN=x,{PEOPLE_UNIT}", "dn": ABSENT, "uid": "X2", "userAccountControl": "66050",
            "accountExpires": NEVER, "pwdLastSet": "2025-04-01T12:00:00+00:00", "lastLogoff": UNSET, "lockoutTime": UNSET,
            "logonCount": "41", "otherMobile": "", "memberOf": "", "mobile": "", "description": ["One", " ", "Two"],
            "uSNChanged": "882301144",
        },
        {
            "uniqname": "x2", "distinguished_name": f"CN=x,{PEOPLE_UNIT}", "is_enabled": False, "password_never_expires": True,
            "account_expires": None, "account_never_expires": True, "pwd_last_set": moment(2025, 4, 1, 12), "last_logoff": None,
            "lockout_time": None, "is_locked": False, "logon_count": 41, "other_mobile": [], "member_of": [], "mobile": None,
            "description": "One\nTwo", "usn_changed": 882301144,
        },
    ),
    Example({"uid": ABSENT}, {"uniqname": "person{n}", "account_type": "service"}),
    Example({"uid": "", "sAMAccountName": "$X"}, {"uniqname": "person{n}", "account_type": "service"}),
    Example(
        {"uid": ["no name"], "sAMAccountName": "1x", "cn": "Example Service"},
        {"uniqname": None, "is_primary_account": False, "data_quality_score": Decimal("0.60")}, ("missing_uniqname",),
    ),
    Example(
        {
            "uid": ["jrivers"], "cn": "jrivers\nCNF:3f1d9c2e-7a10-4a5c-8f37-0c2b9f6e1a55",
            "dn": f"CN=jrivers\\0ACNF:3f1d9c2e-7a10-4a5c-8f37-0c2b9f6e1a55,{PEOPLE_UNIT}",
        },
        {"uniqname": None, "account_type": "conflict", "is_primary_account": False, "ou_full_path": ["People", "UMICH"]},
        ("missing_uniqname", "conflict_object"),
    ),
    Example({"mail": ""}, {"primary_email": None, "data_quality_score": Decimal("0.80")}, ("missing_email",)),
    Example({"mail": ["A@example.edu", "b@example.edu"]}, {"primary_email": "a@example.edu"}),
    Example({"displayName": ABSENT}, {"full_name": "Last{n}, First{n}", "preferred_name": "First{n} Last{n}"}),
    Example({"displayName": ABSENT, "sn": ABSENT, "givenName": ""}, {"full_name": None, "preferred_name": None}),
    Example({"userAccountControl": ABSENT}, {"is_enabled": None, "account_kind": None, "password_never_expires": None}),
    Example(
        {"userAccountControl": 8650784 + 512},
        {"is_enabled": True, "password_not_required": True, "password_expired": True, "smartcard_required": True},
    ),
    Example({"userAccountControl": "x"}, {"user_account_control": None}, ("bad_integer:user_account_control",)),
    # Not set means: to be changed at the next login.
    Example({"pwdLastSet": None}, {"pwd_last_set": None, "data_quality_score": FULL}, ("must_change_password",)),
    Example({"pwdLastSet": UNSET}, {"pwd_last_set": None}, ("must_change_password",)),
    Example({"pwdLastSet": "0"}, {"pwd_last_set": None}, ("must_change_password",)),
    Example({"pwdLastSet": ABSENT}, {"pwd_last_set": None}),
    Example({"pwdLastSet": "soon"}, {"pwd_last_set": None}, ("bad_date:pwd_last_set",)),
    Example({"accountExpires": "0"}, {"account_expires": None, "account_never_expires": True}),
    Example({"accountExpires": "9223372036854775807"}, {"account_expires": None, "account_never_expires": True}),
    Example({"accountExpires": 2650467743990000000}, {"account_expires": None, "account_never_expires": True}),
    Example({"accountExpires": "-1"}, {"account_expires": None, "account_never_expires": False}, ("bad_date:account_expires",)),
    Example(
        {"accountExpires": "134126793300000000"},
        {"account_expires": moment(2026, 1, 12, 8, 15, 30), "account_never_expires": False},
    ),
    Example({"lockoutTime": "2025-04-30T09:05:00Z"}, {"lockout_time": moment(2025, 4, 30, 9, 5), "is_locked": True}),
    Example({"umichadHidePersonalInfo": "TRUE"}, {"hide_personal_info": True}),
    Example({"umichadHidePersonalInfo": "who knows"}, {"hide_personal_info": True}),
    Example({"umichadHidePersonalInfo": "FALSE"}, {"hide_personal_info": False}),
    Example({"telephoneNumber": ["1", "2"], "otherMobile": ["3", "4"]}, {"work_phone": "1", "other_mobile": ["3", "4"]}),
    *(Example({"dn": dn}, expected) for dn, expected in RULE_O),
    Example({"dn": ABSENT}, MISSING_DN, ("bad_dn",)),
    Example({"dn": "CN=" + LONG}, {"distinguished_name": None, "data_quality_score": Decimal("0.50")}, ("bad_dn",)),
    # Three accounts of one person: enabled before disabled, then the last login; one that never logged in comes last.
    Example(
        {"uid": ["shared"], "lastLogonTimestamp": "2025-05-01T09:00:00Z"}, {"is_primary_account": False}, ("several_accounts",),
    ),
    Example(
        {"uid": ["Shared"], "lastLogonTimestamp": "2025-05-02T09:00:00Z"}, {"is_primary_account": True}, ("several_accounts",),
    ),
    Example(
        {"uid": ABSENT, "sAMAccountName": "SHARED", "lastLogonTimestamp": "2025-05-03T09:00:00Z", "userAccountControl": 514},
        {"is_primary_account": False, "account_type": "service"}, ("several_accounts",),
    ),
    Example({"uid": ["shared"], "lastLogonTimestamp": None}, {"is_primary_account": False}, ("several_accounts",)),
]  # fmt: skip

PC = f"CN=BIO-5CG0000XY,{STANDARD}"
AD_COMPUTERS = [
    Example(
        {
            "dn": PC, "cn": "BIO-5CG0000XY", "sAMAccountName": "BIO-5CG0000XY$", "dNSHostName": "BIO-5CG0000XY.ad.example.edu",
            "objectSid": "S-1-5-21-1-2-3-7788", "operatingSystemServicePack": ABSENT, "networkAddress": ABSENT,
            "servicePrincipalName": ["HOST/BIO-5CG0000XY"], "description": ["Example lab bench PC"], "displayName": ABSENT,
            "memberOf": ["CN=Example-Workstations,OU=Groups,DC=ad,DC=example,DC=edu"],
            "managedBy": f"CN=jrivers,OU=People,{UNIVERSITY}", "pwdLastSet": "2025-04-28T03:00:00Z", "accountExpires": None,
            "badPasswordTime": None, "badPwdCount": 0, "ms-Mcs-AdmPwdExpirationTime": ABSENT,
            "lastLogon": "2025-05-01T11:00:00Z", "lastLogonTimestamp": "2025-04-29T11:00:00Z", "lastLogoff": None,
            "logonCount": 812, "whenCreated": "2022-09-01T18:00:00Z", "whenChanged": "2025-05-01T11:05:00Z",
            "uSNCreated": 600300, "uSNChanged": 99112233, "dSCorePropagationData": ABSENT,
            "msDFSR-ComputerReferenceBL": ABSENT, "netbootSCPBL": ABSENT,
        },
        {
            "computer_name": "BIO-5CG0000XY", "sam_account_name": "BIO-5CG0000XY$",
            "dns_hostname": "bio-5cg0000xy.ad.example.edu", "distinguished_name": PC, "dn_key": PC.lower(),
            "object_sid": "S-1-5-21-1-2-3-7788", "ou_root": "UMICH", "ou_organization_type": "Organizations",
            "ou_organization": "LSA", "ou_category": "Workstations", "ou_status": None, "ou_division": "RSN",
            "ou_department": "Biology", "ou_subdepartment": "Standard", "ou_immediate_parent": "Standard",
            "ou_full_path": WORK_PATH, "ou_depth": 7, "parent_ou_dn": STANDARD, "operating_system": "Windows 11 Enterprise",
            "operating_system_version": "10.0 (22631)", "operating_system_service_pack": None, "is_enabled": True,
            "account_kind": "workstation", "user_account_control": 4096, "is_critical_system_object": False,
            "service_principal_names": ["HOST/BIO-5CG0000XY"], "network_addresses": [],
            "member_of_groups": ["CN=Example-Workstations,OU=Groups,DC=ad,DC=example,DC=edu"],
            "managed_by": f"CN=jrivers,OU=People,{UNIVERSITY}", "description": "Example lab bench PC", "display_name": None,
            "pwd_last_set": moment(2025, 4, 28, 3), "account_expires": None, "bad_password_time": None, "bad_pwd_count": 0,
            "ms_laps_password_expiration_time": 133900000000000000, "laps_expires_at": moment(2025, 4, 24, 20, 26, 40),
            "ms_mcs_adm_pwd_expiration_time": None, "legacy_laps_expires_at": None, "msds_supported_encryption_types": 28,
            "msds_key_credential_link": 1, "user_certificate": 1,
            "certificate_thumbprints": ["ae4b3280e56e2faf83f414a6e3dabe9d5fbe18976544c05fed121accb85b53fc"],
            "last_logon": moment(2025, 5, 1, 11), "last_logon_timestamp": moment(2025, 4, 29, 11), "last_logoff": None,
            "logon_count": 812, "when_created": moment(2022, 9, 1, 18), "when_changed": moment(2025, 5, 1, 11, 5),
            "usn_created": 600300, "usn_changed": 99112233, "ds_core_propagation_data": [],
            "additional_attributes": {"pager": "x"}, "source_systems": ["active_directory"], "data_quality_score": FULL,
        },
    ),
    # As others stored it: everything a text, blank for nothing.
    Example(
        {
            "distinguishedName": f"CN=x,{STANDARD}", "dn": ABSENT, "userAccountControl": "4098", "pwdLastSet": UNSET,
            "accountExpires": NEVER, "isCriticalSystemObject": "True", "memberOf": "CN=y", "networkAddress": "192.0.2.9",
            "msLAPS-PasswordExpirationTime": "133900000000000000", "ms-Mcs-AdmPwdExpirationTime": "2025-04-24T20:26:40+00:00",
            "badPwdCount": "", "uSNCreated": "600300", "description": "",
        },
        {
            "distinguished_name": f"CN=x,{STANDARD}", "is_enabled": False, "pwd_last_set": None, "account_expires": None,
            "is_critical_system_object": True, "member_of_groups": ["CN=y"], "network_addresses": ["192.0.2.9"],
            "laps_expires_at": moment(2025, 4, 24, 20, 26, 40), "legacy_laps_expires_at": moment(2025, 4, 24, 20, 26, 40),
            "ms_mcs_adm_pwd_expiration_time": 133900000000000000, "bad_pwd_count": None, "usn_created": 600300,
            "description": None,
        },
    ),
    Example({"cn": ABSENT, "name": "FROM-NAME"}, {"computer_name": "FROM-NAME"}),
    Example({"cn": LONG, "name": ABSENT}, {"computer_name": None}, ("bad_code:computer_name",)),
    Example({"userAccountControl": ABSENT}, {"is_enabled": None, "user_account_control": None}),
    Example({"isCriticalSystemObject": ABSENT}, {"is_critical_system_object": None}),
    Example({"operatingSystem": ""}, {"operating_system": None, "data_quality_score": Decimal("0.90")}, ("missing_os",)),
    Example({"managedBy": ABSENT}, {"managed_by": None, "data_quality_score": FULL}, ("unmanaged",)),
    Example({"pwdLastSet": None}, {"pwd_last_set": None}),
    Example({"msLAPS-PasswordExpirationTime": "soon"}, {"ms_laps_password_expiration_time": None}, ("bad_date:laps_expires_at",)),
    Example({"msLAPS-PasswordExpirationTime": 0}, {"ms_laps_password_expiration_time": 0, "laps_expires_at": None}),
    Example(
        {"userCertificate": ["AAEC", "BAUG"], "msDS-KeyCredentialLink": ABSENT, "pager": ABSENT},
        {
            "user_certificate": 2, "msds_key_credential_link": 0,
            "additional_attributes": {"msDFSR-ComputerReferenceBL": "CN=x", "netbootSCPBL": "CN=y"},
        },
    ),
    Example({"pager": " ", "msDFSR-ComputerReferenceBL": [], "netbootSCPBL": ABSENT}, {"additional_attributes": None}),
    Example({"operatingSystemVersion": "10.0 (22631) with a tail"}, {"operating_system_version": "10.0 (22631) with a tail"}),
    # The newest login of all is that of the first row, or of the 1st of May.
    Example({"lastLogonTimestamp": "2025-01-31T08:59:59Z"}, {}, ("stale",)),
    Example({"lastLogonTimestamp": "2025-01-31T09:00:00Z"}, {}),
    Example({"lastLogonTimestamp": ABSENT}, {"last_logon_timestamp": None}),
    *(Example({"dn": dn}, expected) for dn, expected in RULE_O),
    Example({"dn": ABSENT}, {**MISSING_DN, "data_quality_score": Decimal("0.50")}, ("bad_dn",)),
    Example({"cn": "TWIN"}, {"computer_name": "TWIN"}, ("duplicate_name",)),
    Example({"cn": "twin"}, {"computer_name": "twin"}, ("duplicate_name",)),
]  # fmt: skip
