"""Ordinary records of the directories, every attribute filled, in the form that their client gives (sources.md 4.7)."""

from typing import Any

FOREST = "DC=adsroot,DC=itcs,DC=umich,DC=edu"
UNIVERSITY = f"OU=UMICH,{FOREST}"
COLLEGE = f"OU=LSA,OU=Organizations,{UNIVERSITY}"
LABS = f"OU=Research and Instrumentation,{COLLEGE}"
WORKSTATIONS = f"OU=Workstations,{COLLEGE}"
STANDARD = f"OU=Standard,OU=Biology,OU=RSN,{WORKSTATIONS}"
GROUPS = f"OU=Users and Groups,{COLLEGE}"
PEOPLE = "ou=People,dc=umich,dc=edu"
MAIL_GROUPS = "ou=User Groups,ou=Groups,dc=umich,dc=edu"


def guid(number: int) -> str:
    return f"3f1d9c2e-7a10-4a5c-8f37-{number:012d}"


def person(key: str) -> dict[str, Any]:
    name = f"person{key}"
    return {
        "dn": f"uid={name},{PEOPLE}",
        "uid": [name],
        "uidNumber": int(key),
        "gidNumber": 10,
        "cn": [f"First{key} Last{key}", f"First{key} M Last{key}"],
        "sn": [f"Last{key}"],
        "givenName": [f"First{key}"],
        "displayName": f"First{key} Last{key}",
        "mail": [f"{name}@example.edu"],
        "ou": ["Example Biology - Faculty and Staff", "Alumni"],
        "umichTitle": ["Lab Manager"],
        "telephoneNumber": ["734-555-0142"],
        "homeDirectory": f"/users/{name}",
        "loginShell": "/bin/bash",
        "umichPostalAddress": ["Example Biology $ 1234 Example Hall"],
        "umichPostalAddressData": ["{addr1=1234 Example Hall}:{city=Ann Arbor}"],
        "objectClass": ["inetOrgPerson", "posixAccount"],
    }


def mail_group(key: str) -> dict[str, Any]:
    return {
        "dn": f"cn=Example Group {key},{MAIL_GROUPS}",
        "cn": [f"Example Group {key}", f"ex-group-{key}"],
        "gidNumber": int(key),
        "umichGroupEmail": [f"example-group-{key}"],
        "description": ["Example description"],
        "umichDescription": ["Staff of the example lab"],
        "umichPrivate": False,
        "Membersonly": True,
        "joinable": False,
        "umichEntryDisabled": False,
        "umichDisabledTimestamp": "2025-02-12T23:02:52Z",
        "umichExpiryTimestamp": "2026-02-12T23:02:52Z",
        "owner": [f"uid=person{key},{PEOPLE}"],
        "member": [f"uid=person{key},{PEOPLE}", f"uid=person1,{PEOPLE}"],
        "groupMember": [f"cn=Sub Group,{MAIL_GROUPS}"],
        "umichDirectMember": [f"uid=person{key},{PEOPLE}"],
        "umichDirectGroupMember": [f"cn=Sub Group,{MAIL_GROUPS}"],
        "rfc822mail": ["someone@example.org"],
        "requestsTo": [f"uid=person{key},{PEOPLE}"],
        "permittedGroup": [f"cn=Sub Group,{MAIL_GROUPS}"],
        "umichPermittedSenders": ["sender@example.org"],
        "umichPermittedSendersDomains": ["example.net"],
        "labeledUri": ["https://group.example.edu"],
        "umichPostalAddress": ["Example Biology $ 1234 Example Hall"],
        "telephoneNumber": ["734-555-0142"],
        "facsimileTelephoneNumber": ["734-555-0143"],
        "objectClass": ["rfc822MailGroup"],
    }


def ad_object(key: str, dn: str, kind: str) -> dict[str, Any]:
    name = dn.partition(",")[0].partition("=")[2]
    return {
        "dn": dn,
        "objectGUID": key,
        "cn": name,
        "name": name,
        "description": [f"Example {kind}"],
        "objectCategory": f"CN={kind},CN=Schema,CN=Configuration,{FOREST}",
        "objectClass": ["top", kind.lower()],
        "instanceType": 4,
        "whenCreated": "2019-08-20T14:30:00Z",
        "whenChanged": "2025-05-02T10:00:00Z",
        "uSNCreated": 1200345,
        "uSNChanged": 99887766,
        "dSCorePropagationData": ["2024-01-01T00:00:00Z"],
    }


def ad_login(number: int) -> dict[str, Any]:
    return {
        "objectSid": f"S-1-5-21-1-2-3-{number}",
        "userAccountControl": 512,
        "primaryGroupID": 513,
        "accountExpires": "2030-01-01T05:00:00Z",
        "pwdLastSet": "2025-04-01T12:00:00Z",
        "lastLogon": "2025-05-01T09:00:00Z",
        "lastLogoff": "2025-05-01T10:00:00Z",
        "lastLogonTimestamp": "2025-05-01T09:00:00Z",
        "logonCount": 1432,
        "badPwdCount": 1,
        "badPasswordTime": "2025-04-30T09:00:00Z",
    }


def ad_account(key: str) -> dict[str, Any]:
    number = int(key[-12:])
    name = f"person{number}"
    return {
        **ad_object(key, f"CN={name},OU=People,{UNIVERSITY}", "Person"),
        **ad_login(number),
        "objectClass": ["top", "person", "organizationalPerson", "user"],
        "uid": [name],
        "sAMAccountName": name,
        "userPrincipalName": f"{name}@example.edu",
        "givenName": f"First{number}",
        "sn": f"Last{number}",
        "initials": "FML",
        "displayName": f"Last{number}, First{number}",
        "mail": f"{name}@example.edu",
        "proxyAddresses": [f"SMTP:{name}@example.edu"],
        "telephoneNumber": "734-555-0142",
        "mobile": "734-555-0143",
        "otherMobile": ["734-555-0144"],
        "facsimileTelephoneNumber": "734-555-0145",
        "streetAddress": "1234 Example Hall",
        "title": "Lab Manager",
        "department": "Example Biology",
        "employeeType": "staff",
        "umichadOU": ["Example Biology - Faculty and Staff"],
        "umichadRole": ["FacultyAD", "StaffAD"],
        "umichadHidePersonalInfo": "FALSE",
        "lockoutTime": "2025-04-30T09:05:00Z",
        "memberOf": [f"CN=Example Group,{GROUPS}"],
        "sIDHistory": [f"S-1-5-21-9-9-9-{number}"],
        "uidNumber": 900000 + number,
        "gidNumber": 10,
        "homeDirectory": rf"\\files\{name}",
        "homeDrive": "H:",
        "loginShell": "/bin/bash",
    }


def ad_group(key: str) -> dict[str, Any]:
    number = int(key[-12:])
    name = f"Example-Group-{number}"
    return {
        **ad_object(key, f"CN={name},OU=Biology,OU=RSN,{GROUPS}", "Group"),
        "sAMAccountName": name,
        "sAMAccountType": 268435456,
        "displayName": f"Example Group {number}",
        "objectSid": f"S-1-5-21-1-2-3-9{number}",
        "sIDHistory": [f"S-1-5-21-9-9-9-9{number}"],
        "groupType": -2147483646,
        "gidNumber": 77000 + number,
        "mail": f"{name}@example.edu",
        "proxyAddresses": [f"SMTP:{name}@example.edu"],
        "info": "Example notes",
        "managedBy": f"CN=person1,OU=People,{UNIVERSITY}",
        "member": [f"CN=person{number},OU=People,{UNIVERSITY}", f"CN=Example-Group-1,OU=Biology,OU=RSN,{GROUPS}"],
        "memberOf": [f"CN=Example Group,{GROUPS}"],
    }


def ad_unit(key: str) -> dict[str, Any]:
    number = int(key[-12:])
    return {
        **ad_object(key, f"OU=unit{number},OU=Psychology,OU=EHTS,OU=Current,{LABS}", "Organizational-Unit"),
        "objectClass": ["top", "organizationalUnit"],
        "ou": [f"unit{number}"],
        "managedBy": f"CN=person1,OU=People,{UNIVERSITY}",
        "gPLink": "[LDAP://cn={0000};0]",
        "gPOptions": 0,
        "systemFlags": 16,
    }


def ad_computer(key: str) -> dict[str, Any]:
    number = int(key[-12:])
    name = f"BIO-PC{number}"
    return {
        **ad_object(key, f"CN={name},{STANDARD}", "Computer"),
        **ad_login(number),
        "objectClass": ["top", "person", "organizationalPerson", "user", "computer"],
        "sAMAccountName": f"{name}$",
        "displayName": f"{name}$",
        "dNSHostName": f"{name}.ad.example.edu",
        "userAccountControl": 4096,
        "operatingSystem": "Windows 11 Enterprise",
        "operatingSystemVersion": "10.0 (22631)",
        "operatingSystemServicePack": "Service Pack 1",
        "isCriticalSystemObject": False,
        "servicePrincipalName": [f"HOST/{name}"],
        "networkAddress": ["192.0.2.1"],
        "memberOf": [f"CN=Example-Workstations,{GROUPS}"],
        "managedBy": f"CN=person1,OU=People,{UNIVERSITY}",
        "msLAPS-PasswordExpirationTime": "133900000000000000",
        "ms-Mcs-AdmPwdExpirationTime": "133900000000000000",
        "msDS-SupportedEncryptionTypes": 28,
        "msDS-KeyCredentialLink": ["B:4:0000:CN=x"],
        "userCertificate": ["AAEC"],
        "pager": "x",
        "msDFSR-ComputerReferenceBL": ["CN=x"],
        "netbootSCPBL": ["CN=y"],
    }
