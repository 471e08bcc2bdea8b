"""How Active Directory writes what it shows of accounts, groups, units and computers (sources.md 4.5, 15 to 18).

Values are those that a reader has who knows the syntax of each attribute: text for identifiers, ISO times, numbers; None for a
time that is unset or never.
"""

import base64
import hashlib
from datetime import datetime, timedelta
from typing import Any, Protocol

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import EPOCH, Payload, iso_date, mixed, subject_of
from lsats_dagster.demo.campus.populations.active_directory_objects import (
    DOMAIN,
    FOREST,
    Account,
    Computer,
    Group,
    OrganizationalUnit,
    Service,
    guid_of,
    serial_of,
)
from lsats_dagster.demo.campus.populations.mcommunity_records import affiliations, gid_number, held, uid_number
from lsats_dagster.demo.campus.truth import Person

# Times that an object has also where they are unset (sources.md 4.5).
FILETIMES = (
    "accountExpires", "pwdLastSet", "lastLogon", "lastLogoff", "lastLogonTimestamp", "badPasswordTime", "lockoutTime",
)  # fmt: skip
LAPS, LEGACY_LAPS = "msLAPS-PasswordExpirationTime", "ms-Mcs-AdmPwdExpirationTime"
# As the truth numbers them in words.SYSTEMS; nothing is known of the last one.
SYSTEMS = (
    ("Windows 10 Enterprise", "10.0 (19045)"), ("Windows 11 Enterprise", "10.0 (22631)"), ("macOS", "14.7.2"),
    ("macOS", "15.2"), ("Ubuntu", "22.04"), ("Ubuntu", "24.04"), ("Rocky Linux", "9.5"), None,
)  # fmt: skip
SERVICES = ("HOST", "RestrictedKrbHost", "TERMSRV", "WSMAN", "CmRcService")
TICKS = 10_000_000
BEGIN_OF_TICKS = datetime(1601, 1, 1, tzinfo=EPOCH.tzinfo)
KEYS = f"CN={{}},CN=Schema,CN=Configuration,{FOREST}"


class Directory(Protocol):
    """Where objects are, and what names them."""

    def dn_of(self, entity: Payload) -> str: ...

    def members(self, guid: str) -> list[str]: ...

    def member_of(self, guid: str) -> list[str]: ...

    def manager(self, guid: str) -> str | None: ...

    def managed(self, guid: str) -> list[str]: ...


class ActiveDirectoryRecords:
    """Makes the records of objects."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory

    def account(self, entity: Payload) -> Payload:
        subject: Account = subject_of(entity)
        key, number = guid_of(subject), subject.number
        name = subject.name if isinstance(subject, Service) else subject.uniqname
        record = self._object(entity, key, name, "Person", ["top", "person", "organizationalPerson", "user"])
        record |= self._principal(subject, name, 805_306_368) | _login(number, 512, 513)
        record |= {"memberOf": self._directory.member_of(key), "managedObjects": self._directory.managed(key)}
        if isinstance(subject, Service):
            record |= {
                "displayName": f"{name} service",
                "description": [f"Runs {name}"],
                "userAccountControl": 66_048,
                "userPrincipalName": f"{name}@ad.campus.example",
            }
            return held(record | entity, *FILETIMES)
        mail = f"{name}@campus.example" if mixed(number, 61) < 990 else None
        record |= {
            "uid": [name],
            "displayName": f"{subject.last}, {subject.first}",
            "givenName": subject.first,
            "sn": subject.last,
            "initials": f"{subject.first[0]}{subject.last[0]}",
            "userPrincipalName": f"{name}@campus.example",
            "mail": mail,
            "mailNickname": name if mail and number % 2 == 0 else None,
            "targetAddress": f"SMTP:{name}@mail.campus.example" if mail and number % 2 == 0 else None,
            "legacyExchangeDN": f"/o=Example/cn=Recipients/cn={name}" if number % 9 == 4 else None,
            "proxyAddresses": [f"SMTP:{mail}", f"smtp:{name}@old.campus.example"][: 1 + number % 2] if mail else None,
            "employeeType": "Alumni",
            "umichDirectoryID": f"{serial_of(subject) * 7}",
            "umichadOU": affiliations(subject),
            "umichadRole": ["AlumniAD"],
            # Three spellings of one thing, as those who wrote them had it.
            "umichadHidePersonalInfo": ("TRUE", "true", "Yes")[number % 3] if mixed(number, 62) < 30 else "FALSE",
            "umichadNoBatchUpdates": "TRUE" if mixed(number, 63) < 5 else None,
            "umichadUMDirToADSyncFlag": "1" if number % 2 else "TRUE",
            "uidNumber": uid_number(subject),
            "gidNumber": 10,
            "msExchRecipientTypeDetails": 2_147_483_648 if mail and number % 2 == 0 else None,
            "extensionAttribute5": f"x{number}" if number % 40 == 7 else None,
            "sIDHistory": [f"S-1-5-21-776561741-308236825-1417001333-{4000 + number}"] if number % 50 == 3 else None,
            "lockoutTime": None if number % 80 else iso_date(EPOCH - timedelta(hours=1 + number % 9)),
        }
        if isinstance(subject, Person):
            record |= self._of_the_campus(subject)
        return held(record | entity, *FILETIMES)

    def _of_the_campus(self, person: Person) -> Payload:
        """What an account has of somebody who is here."""
        number, name = person.number, person.uniqname
        paid = person.appointments[0] if person.appointments and person.active else None
        known: Payload = {
            "middleName": person.middle or None,
            "initials": f"{person.first[0]}{person.middle[:1]}{person.last[0]}",
            "homeDirectory": rf"\\files.campus.example\{name}" if number % 3 == 0 else None,
            "homeDrive": ("H:", "h:")[number % 2] if number % 3 == 0 else None,
            "loginShell": "/bin/bash" if number % 4 else None,
            "telephoneNumber": person.phone or None,
            "mobile": f"555/555-{100 + number % 100:04d}" if mixed(number, 64) < 40 else None,
            "otherMobile": ["555/555-0199"] if number % 60 == 11 else None,
            "facsimileTelephoneNumber": "555/555-0198" if number % 45 == 13 else None,
            "streetAddress": f"{person.room} {words.BUILDINGS[person.building]}",
        }
        if person.active and person.unit is not None:
            staff = ("Staff", "staff", "RegularStaff")[number % 3]
            known |= {
                "department": person.unit.name,
                "employeeType": staff if paid else "Student",
                "umichadRole": [f"{staff}AD", "EmployeeAD"] if paid else ["StudentAD"],
                "title": (paid.local_title or paid.title) if paid else None,
            }
        return known

    def group(self, entity: Payload) -> Payload:
        group: Group = subject_of(entity)
        key, number = guid_of(group), group.number
        mail = f"{_login_name(group.name).lower()}@campus.example" if mixed(number, 71) < 130 else None
        record = self._object(entity, key, group.name, "Group", ["top", "group"])
        record |= self._principal(group, _login_name(group.name), 268_435_456)
        record |= {
            "displayName": group.name if number % 3 else None,
            "description": [f"Members of {group.name}"] if number % 4 == 0 else None,
            "groupType": (-2_147_483_646, -2_147_483_640, -2_147_483_644, 8)[number % 4],
            "sAMAccountType": (268_435_456, 268_435_456, 536_870_912, 268_435_457)[number % 4],
            "mail": mail,
            "proxyAddresses": [f"SMTP:{mail}"] if mail else None,
            "info": "Ask the desk first." if number % 20 == 5 else None,
            "gidNumber": gid_number(group.mirrors) if group.mirrors else None,
            "managedBy": self._directory.manager(key),
            "member": self._directory.members(key),
            "memberOf": self._directory.member_of(key),
            "sIDHistory": [f"S-1-5-21-776561741-308236825-1417001333-{9000 + number}"] if number % 30 == 17 else None,
        }
        return held(record | entity)

    def unit(self, entity: Payload) -> Payload:
        unit: OrganizationalUnit = subject_of(entity)
        key, number = guid_of(unit), unit.number
        record = self._object(entity, key, unit.name, "Organizational-Unit", ["top", "organizationalUnit"])
        policies = f"cn=policies,cn=system,{FOREST}"
        links = [
            f"[LDAP://cn={{{guid_of(OrganizationalUnit(number * 9 + n, '', ''))}}},{policies};{n}]" for n in range(3)
        ]
        # Units have no cn.
        del record["cn"]
        record |= {
            "ou": [unit.name],
            "description": [f"Machines of {unit.name}"] if mixed(number, 81) < 20 else None,
            "managedBy": self._directory.manager(key),
            "gPLink": "".join(links[: 1 + number % 3]) if number % 2 == 0 else None,
            "gPOptions": number % 8 // 4 if number % 4 == 0 else None,
            "street": "9 Paper Lane" if number % 40 == 21 else None,
            "l": "Inkwell" if number % 40 == 21 else None,
            "postalCode": "00001" if number % 40 == 21 else None,
        }
        return held(record | entity)

    def computer(self, entity: Payload) -> Payload:
        computer: Computer = subject_of(entity)
        key, number, name = guid_of(computer), computer.number, computer.name
        host = f"{name.lower()}.ad.campus.example" if mixed(number, 91) < 997 else None
        classes = ["top", "person", "organizationalPerson", "user", "computer"]
        record = self._object(entity, key, name, "Computer", classes)
        record |= self._principal(computer, f"{name}$", 805_306_369) | _login(number, 4096, 515)
        services = [f"{service}/{at}" for service in SERVICES for at in (name, host) if at]
        place = words.SYSTEMS.index("Other") if computer.device is None else computer.device.system
        system = SYSTEMS[place % len(SYSTEMS)]
        record |= {
            "displayName": f"{name}$",
            "dNSHostName": host,
            "operatingSystem": system[0] if system else None,
            "operatingSystemVersion": system[1] if system else None,
            "operatingSystemServicePack": "Service Pack 1" if number % 70 == 19 else None,
            "description": [f"Bench of {name}"] if mixed(number, 92) < 87 else None,
            "servicePrincipalName": services[: 7 + number % 4],
            "managedBy": self._directory.manager(key),
            "memberOf": self._directory.member_of(key),
            "userCertificate": [_octets(f"{key}/{n}", 760) for n in range(1 + number % 2)] if number % 4 else None,
            "msDS-KeyCredentialLink": [_credential(key, record["dn"])] if mixed(number, 93) < 264 else None,
            "msDS-SupportedEncryptionTypes": 28,
            LEGACY_LAPS: ticks(EPOCH + timedelta(days=mixed(number, 94) % 30)) if mixed(number, 95) < 813 else None,
            LAPS: ticks(EPOCH + timedelta(days=mixed(number, 96) % 30)) if mixed(number, 97) < 573 else None,
            "isCriticalSystemObject": False,
            "countryCode": 0,
            "codePage": 0,
            "localPolicyFlags": 0,
            "networkAddress": [f"192.0.2.{number % 250}"] if number % 90 == 29 else None,
        }
        return held(record | entity, *FILETIMES)

    def _object(self, entity: Payload, key: str, name: str, category: str, classes: list[str]) -> Payload:
        """What every object has."""
        serial = serial_of(subject_of(entity))
        created = EPOCH - timedelta(days=400 + mixed(serial, 31) * 4, seconds=mixed(serial, 32) * 80)
        changed = EPOCH - timedelta(days=1 + mixed(serial, 33) // 3, seconds=mixed(serial, 34) * 80)
        return {
            "dn": self._directory.dn_of(entity),
            "objectGUID": key,
            "cn": name,
            "name": name,
            "objectCategory": KEYS.format(category),
            "objectClass": classes,
            "instanceType": 4,
            "whenCreated": iso_date(created),
            "whenChanged": iso_date(changed),
            "uSNCreated": serial,
            "uSNChanged": 10_000_000 + serial * 3,
            "dSCorePropagationData": [iso_date(created), iso_date(BEGIN_OF_TICKS)] if serial % 3 == 0 else None,
        }

    def _principal(self, subject: Any, login: str, kind: int) -> Payload:
        """What accounts, groups and computers have."""
        return {"objectSid": f"{DOMAIN}-{serial_of(subject)}", "sAMAccountName": login, "sAMAccountType": kind}


def _login(number: int, control: int, primary: int) -> Payload:
    """What has a password. Some never logged in, most never expire."""
    seen = EPOCH - timedelta(hours=mixed(number, 35), minutes=number % 60)
    never = mixed(number, 36) < 30
    return {
        "userAccountControl": control,
        "primaryGroupID": primary,
        "accountExpires": iso_date(EPOCH + timedelta(days=30 + number % 900)) if number % 10 == 7 else None,
        "pwdLastSet": iso_date(EPOCH - timedelta(days=mixed(number, 37) // 4)) if mixed(number, 38) < 990 else None,
        "lastLogon": None if never else iso_date(seen),
        "lastLogoff": None,
        "lastLogonTimestamp": None if never else iso_date(seen - timedelta(days=number % 10)),
        "badPasswordTime": iso_date(seen - timedelta(days=2)) if number % 5 == 1 else None,
        "logonCount": 0 if never else 1 + mixed(number, 39),
        "badPwdCount": number % 5 % 2,
    }


def ticks(moment: datetime) -> str:
    """A FILETIME. It is a greater number than JSON holds exactly, and so a text."""
    return str(int((moment - BEGIN_OF_TICKS).total_seconds()) * TICKS)


def _octets(seed: str, count: int) -> str:
    return base64.b64encode(b"\x30\x82" + hashlib.shake_128(seed.encode()).digest(count)).decode()


def _credential(key: str, dn: str) -> str:
    digits = hashlib.shake_128(key.encode()).hexdigest(120).upper()
    return f"B:{len(digits)}:{digits}:{dn}"


def _login_name(name: str) -> str:
    """Some signs cannot be in a login name."""
    return "".join("_" if sign in '"/\\[]:;|=,+*?<>' else sign for sign in name)
