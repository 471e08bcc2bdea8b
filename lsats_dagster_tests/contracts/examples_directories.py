"""The same for MCommunity and for units of Active Directory (4.6, 4.7, 4.10): values as the client of directories gives them, and
as others wrote them down.
"""

from decimal import Decimal

from lsats_dagster_tests.contracts.examples import Example, moment
from lsats_dagster_tests.contracts.records_directories import COLLEGE, FOREST, LABS, PEOPLE, UNIVERSITY, WORKSTATIONS
from lsats_dagster_tests.contracts.shapes import ABSENT, LONG

RIVERS = f"uid=jrivers,{PEOPLE}"
SUB_GROUP = "cn=Sub Group,ou=User Groups,ou=Groups,dc=umich,dc=edu"
LAB_STAFF = "cn=Example Lab Staff,ou=User Groups,ou=Groups,dc=umich,dc=edu"
FULL = Decimal("1.00")

MCOMMUNITY_USERS = [
    Example(
        {
            "dn": RIVERS, "uid": ["JRivers "], "gidNumber": 10, "cn": ["Jamie Rivers", " Jamie L Rivers", ""],
            "sn": ["Rivers", "R"], "givenName": ["Jamie"], "displayName": "Jamie Rivers", "mail": ["JRivers@example.edu"],
            "ou": ["Example Biology - Faculty and Staff ", "Alumni"], "umichTitle": ["Lab Manager"],
            "telephoneNumber": ["734-555-0142", "734-555-0143"], "homeDirectory": "/users/jrivers", "loginShell": "/bin/bash",
            "umichPostalAddress": ["Example Biology $ 1234 Example Hall $ Ann Arbor MI 48109"],
            "umichPostalAddressData": ["{addr1=1234 Example Hall}:{city=Ann Arbor}"],
            "objectClass": ["inetOrgPerson", "posixAccount"],
        },
        {
            "uid_number": 900123, "uniqname": "jrivers", "gid_number": 10, "cn": ["Jamie Rivers", "Jamie L Rivers"],
            "cn_aliases": ["Jamie L Rivers"], "first_name": "Jamie", "last_name": "Rivers", "full_name": "Rivers, Jamie",
            "preferred_name": "Jamie Rivers", "primary_email": "jrivers@example.edu", "emails": ["JRivers@example.edu"],
            "ou": ["Example Biology - Faculty and Staff", "Alumni"], "umich_title": "Lab Manager", "job_title": "Lab Manager",
            "work_phone": "734-555-0142", "home_directory": "/users/jrivers", "login_shell": "/bin/bash",
            "umich_postal_address": "Example Biology $ 1234 Example Hall $ Ann Arbor MI 48109",
            "umich_postal_address_data": "{addr1=1234 Example Hall}:{city=Ann Arbor}",
            "object_class": ["inetOrgPerson", "posixAccount"], "source_systems": ["mcommunity_ldap"], "data_quality_score": FULL,
            "distinguished_name": RIVERS, "dn_key": RIVERS.lower(),
        },
        key="900123",
    ),
    # As others stored it: one value as itself, several as a list, nothing as null.
    Example(
        {
            "uid": "person2", "gidNumber": "10.0", "cn": "First2 Last2", "sn": "Last2", "givenName": None, "ou": "Alumni",
            "mail": "person2@example.edu", "umichTitle": None, "objectClass": "posixAccount", "homeDirectory": "/x" * 200,
        },
        {
            "uniqname": "person2", "gid_number": 10, "cn": ["First2 Last2"], "cn_aliases": [], "full_name": "Last2",
            "first_name": None, "ou": ["Alumni"], "umich_title": None, "job_title": None, "object_class": ["posixAccount"],
            "home_directory": "/x" * 200,
        },
    ),
    Example({"uid": ["first", "second"]}, {"uniqname": "first"}),
    Example({"mail": ["One@example.edu", "two@example.edu"]}, {"primary_email": "one@example.edu"}),
    Example({"mail": [LONG]}, {"primary_email": None}, ("missing_email", "bad_code:primary_email")),
    Example({"mail": ABSENT}, {"primary_email": None, "emails": [], "data_quality_score": Decimal("0.70")}, ("missing_email",)),
    Example(
        {"sn": [], "givenName": ABSENT, "displayName": " "}, {"full_name": None, "data_quality_score": Decimal("0.70")},
        ("missing_name",),
    ),
    Example({"sn": [], "givenName": ABSENT}, {"full_name": "First{n} Last{n}"}),
    Example({"ou": ABSENT}, {"ou": [], "data_quality_score": Decimal("0.80")}, ("missing_affiliation",)),
    Example({"uid": ["no name"]}, {"uniqname": None}, ("missing_uniqname", "invalid_uniqname:uniqname")),
    Example({"uid": ABSENT}, {"uniqname": None, "data_quality_score": Decimal("0.80")}, ("missing_uniqname",)),
    Example({"gidNumber": "many"}, {"gid_number": None}, ("bad_integer:gid_number",)),
    Example({"gidNumber": ABSENT}, {"gid_number": None}),
    Example({"displayName": ABSENT}, {"preferred_name": None, "cn_aliases": ["First{n} Last{n}", "First{n} M Last{n}"]}),
    # A login name that two people claim, in two cases.
    Example({"uid": ["shared"]}, {"uniqname": "shared"}, ("uniqname_conflict",)),
    Example({"uid": ["SHARED "]}, {"uniqname": "shared"}, ("uniqname_conflict",)),
]  # fmt: skip

MCOMMUNITY_GROUPS = [
    Example(
        {
            "dn": LAB_STAFF, "cn": ["Example Lab Staff", "ex-lab"], "umichGroupEmail": ["Example-Lab-Staff"],
            "umichDescription": ["Staff of the example lab"], "description": ["Other"], "umichPrivate": False,
            "Membersonly": "TRUE", "joinable": "FALSE", "umichEntryDisabled": "TRUE",
            "umichDisabledTimestamp": "20250212230252.5Z", "umichExpiryTimestamp": "20260212230252Z", "owner": [RIVERS],
            "member": [RIVERS], "umichDirectMember": [RIVERS], "umichDirectGroupMember": [SUB_GROUP], "groupMember": ABSENT,
            "requestsTo": ABSENT, "rfc822mail": ["x@example.org"], "permittedGroup": [SUB_GROUP],
            "umichPermittedSenders": ["y@example.org"], "umichPermittedSendersDomains": ["example.net"],
            "labeledUri": ["https://example.edu"], "umichPostalAddress": ABSENT, "telephoneNumber": [" "],
            "facsimileTelephoneNumber": ABSENT,
        },
        {
            "gid_number": 70123, "group_email": "example-lab-staff", "group_name": "Example Lab Staff",
            "distinguished_name": LAB_STAFF, "dn_key": LAB_STAFF.lower(), "description": "Staff of the example lab",
            "is_private": False, "is_members_only": True, "is_joinable": False, "is_disabled": True,
            "disabled_at": moment(2025, 2, 12, 23, 2, 52, 500_000), "expiry_timestamp": moment(2026, 2, 12, 23, 2, 52),
            "owners": [RIVERS], "members": [RIVERS], "member_uniqnames": ["jrivers"], "direct_members": [RIVERS],
            "nested_members": [SUB_GROUP], "requests_to": [], "aliases": ["Example Lab Staff", "ex-lab"],
            "external_members": ["x@example.org"], "permitted_senders": [SUB_GROUP, "y@example.org", "example.net"],
            "contact_info": {"labeledUri": "https://example.edu"}, "source_systems": ["mcommunity_ldap"],
            "data_quality_score": FULL,
        },
        key="70123",
    ),
    Example(
        {
            "Membersonly": ABSENT, "membersonly": "TRUE", "umichDescription": " ", "umichPrivate": "", "joinable": "maybe",
            "owner": RIVERS, "member": RIVERS, "cn": "Example Group", "umichGroupEmail": "example-group",
        },
        {
            "is_members_only": True, "description": "Example description", "is_private": None, "is_joinable": None,
            "owners": [RIVERS], "members": [RIVERS], "aliases": ["Example Group"], "group_email": "example-group",
        },
    ),
    Example({"umichGroupEmail": ABSENT}, {"group_email": None, "data_quality_score": Decimal("0.70")}, ("missing_email",)),
    Example({"umichGroupEmail": [LONG]}, {"group_email": None}, ("missing_email", "bad_code:group_email")),
    Example({"owner": []}, {"owners": [], "data_quality_score": Decimal("0.80")}, ("no_owner",)),
    Example({"member": ABSENT}, {"members": [], "member_uniqnames": [], "data_quality_score": FULL}, ("no_members",)),
    Example({"umichExpiryTimestamp": "2026-02-12T23:02:52Z"}, {"expiry_timestamp": moment(2026, 2, 12, 23, 2, 52)}),
    Example({"umichExpiryTimestamp": "soon"}, {"expiry_timestamp": None}, ("bad_date:expiry_timestamp",)),
    Example({"umichDisabledTimestamp": "20260230000000Z"}, {"disabled_at": None}, ("bad_date:disabled_at",)),
    Example(
        {"umichDirectGroupMember": [SUB_GROUP], "groupMember": [SUB_GROUP, LAB_STAFF]},
        {"nested_members": [SUB_GROUP, LAB_STAFF]},
    ),
    Example(
        {"member": ["UID=BLee,OU=People,dc=umich", RIVERS, SUB_GROUP, "uid=no name,ou=People,dc=umich"]},
        {"member_uniqnames": ["blee", "jrivers"]},
    ),
    Example({"umichGroupEmail": ["shared"]}, {"group_email": "shared"}, ("duplicate_email",)),
    Example({"umichGroupEmail": ["Shared"]}, {"group_email": "shared"}, ("duplicate_email",)),
    Example({"cn": ["\u00c9cole", "x"]}, {"group_name": "\u00c9cole"}),
]  # fmt: skip

LAB = f"OU=psyc-jrivers,OU=Psychology,OU=EHTS,OU=Current,{LABS}"
PATTERNS = ("dept_uniqname", "uniqname_only", "lab_suffix", "has_hyphen")
OTHER = f"OU=Servers,{COLLEGE}"


def named(name: str, candidate: str | None, extracted: str | None, *patterns: str) -> Example:
    """A unit of this name: whom it may be named after, whom it is, and the forms that its name has."""
    expected = {
        "ou_name": name, "uniqname_candidate": candidate, "extracted_uniqname": extracted,
        "name_patterns": {pattern: pattern in patterns for pattern in PATTERNS},
    }  # fmt: skip
    return Example({"ou": [name]}, expected, () if candidate == extracted else ("candidate_not_a_person",))


def deep(dn: str, category: str) -> Example:
    """A unit with this DN, and its category by depth and branch."""
    in_branch = dn.endswith((LABS, WORKSTATIONS))
    return Example({"dn": dn}, {"depth_category": category}, () if in_branch else ("unknown_branch",))


AD_UNITS = [
    Example(
        {
            "dn": LAB, "ou": ["psyc-jrivers"], "name": "psyc-jrivers", "description": ABSENT, "managedBy": ABSENT,
            "gPLink": "[LDAP://cn={0000};0]", "gPOptions": 0, "systemFlags": ABSENT,
            "objectClass": ["organizationalUnit", "top"], "whenCreated": "2021-02-03T15:00:00Z",
            "whenChanged": "2025-03-01T10:00:00Z", "uSNCreated": 700200, "uSNChanged": 99001122,
            "dSCorePropagationData": ["2024-01-01T00:00:00+00:00"],
        },
        {
            "distinguished_name": LAB, "dn_key": LAB.lower(), "ou_name": "psyc-jrivers", "name": "psyc-jrivers",
            "description": None, "managed_by": None, "gp_link": "[LDAP://cn={0000};0]", "gp_options": "0",
            "object_category": f"CN=Organizational-Unit,CN=Schema,CN=Configuration,{FOREST}",
            "object_class": ["organizationalUnit", "top"], "instance_type": 4, "system_flags": None, "ou_root": "UMICH",
            "ou_organization_type": "Organizations", "ou_organization": "LSA", "ou_category": "Research and Instrumentation",
            "ou_status": "Current", "ou_division": "EHTS", "ou_department": "Psychology", "ou_subdepartment": "psyc-jrivers",
            "ou_immediate_parent": "Psychology",
            "ou_full_path": [
                "psyc-jrivers", "Psychology", "EHTS", "Current", "Research and Instrumentation", "LSA", "Organizations", "UMICH",
            ],
            "ou_depth": 8, "parent_ou_dn": LAB.partition(",")[2], "parent_dn_key": LAB.partition(",")[2].lower(),
            "direct_computer_count": 3, "has_computer_children": True, "child_ou_count": 0, "has_child_ous": False,
            "depth_category": "potential_lab", "uniqname_candidate": "jrivers", "extracted_uniqname": "jrivers",
            "name_patterns": {"dept_uniqname": True, "uniqname_only": False, "lab_suffix": False, "has_hyphen": True},
            "when_created": moment(2021, 2, 3, 15), "when_changed": moment(2025, 3, 1, 10), "usn_created": 700200,
            "usn_changed": 99001122, "ds_core_propagation_data": ["2024-01-01T00:00:00+00:00"],
            "source_systems": ["active_directory"], "data_quality_score": Decimal("1.00"),
        },
    ),
    # As others stored it: everything a text, blank for nothing; no ou, no dn.
    Example(
        {
            "ou": "", "name": "Rivers-Lab", "dn": ABSENT, "distinguishedName": f"OU=Rivers-Lab,OU=x,{WORKSTATIONS}",
            "instanceType": "4", "systemFlags": "", "description": "", "managedBy": f"CN=jrivers,OU=People,{UNIVERSITY}",
        },
        {
            "ou_name": "Rivers-Lab", "distinguished_name": f"OU=Rivers-Lab,OU=x,{WORKSTATIONS}", "instance_type": 4,
            "system_flags": None, "description": None, "ou_status": None, "ou_division": "x", "ou_department": "Rivers-Lab",
            "extracted_uniqname": "rivers", "managed_by": f"CN=jrivers,OU=People,{UNIVERSITY}",
        },
    ),
    # The one example that others place one level too low.
    Example(
        {"dn": f"OU=Standard,OU=Biology,OU=RSN,{WORKSTATIONS}"},
        {"ou_status": None, "ou_division": "RSN", "ou_department": "Biology", "ou_subdepartment": "Standard"},
    ),
    Example(
        {"dn": f"OU=Smith\\, Ann,OU=RSN,{WORKSTATIONS}"},
        {"ou_division": "RSN", "ou_department": "Smith, Ann", "ou_immediate_parent": "RSN"},
    ),
    named("Rivers-Lab", "rivers", "rivers", "lab_suffix", "has_hyphen", "dept_uniqname"),
    named("psyc-jrivers", "jrivers", "jrivers", "dept_uniqname", "has_hyphen"),
    named("PSYC-JRivers", "jrivers", "jrivers", "dept_uniqname", "has_hyphen"),
    named("jrivers", "jrivers", "jrivers", "uniqname_only"),
    named("employee", "employee", "employee", "uniqname_only"),
    named("tdxuser", "tdxuser", "tdxuser", "uniqname_only"),
    named("Example Core Facility", None, None),
    named("Biology", "biology", None, "uniqname_only"),
    named("Standard", "standard", None, "uniqname_only"),
    named("psyc-standard", "standard", "standard", "dept_uniqname", "has_hyphen"),
    named("ab-lab", None, None, "dept_uniqname", "lab_suffix", "has_hyphen"),
    named("jrivers2", None, None),
    Example({"ou": [], "name": ABSENT}, {"ou_name": None, "name": None, "uniqname_candidate": None}, ("missing_name",)),
    deep(LABS, "high_level"), deep(f"OU=Current,{LABS}", "high_level"), deep(f"OU=EHTS,OU=Current,{LABS}", "region"),
    deep(LAB.partition(",")[2], "department"), deep(f"OU=x,OU=y,OU=Psychology,OU=EHTS,OU=Current,{LABS}", "potential_lab"),
    deep(WORKSTATIONS, "high_level"), deep(f"OU=RSN,{WORKSTATIONS}", "region"), deep(f"OU=y,OU=RSN,{WORKSTATIONS}", "department"),
    deep(f"OU=x,OU=y,OU=RSN,{WORKSTATIONS}", "lab_grouping"), deep(f"OU=z,OU=x,OU=y,OU=RSN,{WORKSTATIONS}", "potential_lab"),
    deep(OTHER, "high_level"), deep(f"OU=a,{OTHER}", "high_level"), deep(f"OU=b,OU=a,{OTHER}", "department"),
    deep(f"OU=c,OU=b,OU=a,{OTHER}", "department"), deep(f"OU=d,OU=c,OU=b,OU=a,{OTHER}", "potential_lab"),
    Example({"dn": ABSENT}, {"ou_depth": 0, "parent_ou_dn": None, "depth_category": "high_level"}, ("bad_dn", "unknown_branch")),
    Example({"instanceType": "x", "uSNChanged": "y", "whenCreated": "soon"}, {"instance_type": None}, (
        "bad_integer:instance_type", "bad_integer:usn_changed", "bad_date:when_created",
    )),
    # Two that are there at once with one DN, in two cases.
    Example({"dn": f"OU=Twin,OU=RSN,{WORKSTATIONS}"}, {}, ("duplicate_dn",)),
    Example({"dn": f"OU=twin,OU=RSN,{WORKSTATIONS}"}, {}, ("duplicate_dn",)),
]  # fmt: skip
