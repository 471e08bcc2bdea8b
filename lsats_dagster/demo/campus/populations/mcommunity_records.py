"""How MCommunity writes what it shows of people and groups: each attribute as its standard has it, one value or several."""

from collections.abc import Callable, Iterable

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import Payload, mixed, subject_of
from lsats_dagster.demo.campus.truth import MailGroup, Person, Somebody

ROOT = "dc=umich,dc=edu"
PEOPLE = f"ou=People,{ROOT}"
GROUPS = f"ou=User Groups,ou=Groups,{ROOT}"


def uid_number(somebody: Somebody) -> int:
    """The number of a person, the same in both directories."""
    return 1_000_000 + somebody.number if isinstance(somebody, Person) else 4_000_000 + 3 * somebody.number


def gid_number(group: MailGroup) -> int:
    """The number of a group, the same in both directories."""
    return 70_000 + group.number


def affiliations(somebody: Somebody) -> list[str]:
    """What somebody is to the university. Most of those in the directory are its alumni and nothing else."""
    number = somebody.number
    if not isinstance(somebody, Person):
        quality, field = words.QUALITIES[number % len(words.QUALITIES)], words.FIELDS[number % len(words.FIELDS)]
        return ["Alumni", f"{quality} {field} - Alumni"] if mixed(number, 41) < 300 else ["Alumni"]
    if not somebody.active or somebody.unit is None:
        return ["Alumni"]
    paying = dict.fromkeys(appointment.unit.name for appointment in somebody.appointments)
    found = [f"{name} - Faculty and Staff" for name in paying] or [f"{somebody.unit.name} - Student"]
    return [*found, "Alumni"] if mixed(number, 42) < 200 else found


def escaped(value: str) -> str:
    """A value as it stands in a DN (RFC 4514 2.4)."""
    text = "".join(f"\\{sign}" if sign in ',+"\\<>;=' else "\\0A" if sign == "\n" else sign for sign in value)
    return f"\\{text}" if text.startswith("#") else text


class McommunityRecords:
    """Makes the records of people and groups. entity_of: the entity of a person or group, None where it is not present."""

    def __init__(self, entity_of: Callable[[Somebody | MailGroup], Payload | None]) -> None:
        self._entity_of = entity_of

    def names(self, subjects: Iterable[Somebody | MailGroup]) -> list[str]:
        """The DNs of those who are present."""
        return [dn_of(entity) for entity in map(self._entity_of, subjects) if entity is not None]

    def person(self, entity: Payload) -> Payload:
        somebody: Somebody = subject_of(entity)
        number, uniqname = somebody.number, somebody.uniqname
        middle = somebody.middle if isinstance(somebody, Person) else ""
        variants = [somebody.name, f"{somebody.first} {middle} {somebody.last}" if middle else ""]
        if mixed(number, 43) < 250:
            variants.append(f"{somebody.first[0]} {somebody.last}")
        record: Payload = {
            "dn": dn_of(entity),
            "uid": [uniqname],
            "uidNumber": uid_number(somebody),
            "gidNumber": 10,
            "cn": list(filter(None, variants)),
            "sn": [somebody.last],
            "givenName": [somebody.first],
            "displayName": somebody.name if mixed(number, 44) < 983 else None,
            "mail": [f"{uniqname}@campus.example"],
            "ou": affiliations(somebody),
            "homeDirectory": f"/users/{uniqname}",
            "loginShell": ("/bin/csh" if number % 5 else "/bin/bash") if mixed(number, 45) < 999 else None,
            "objectClass": ["person", "inetOrgPerson", "umichPerson", "posixAccount"],
        }
        if isinstance(somebody, Person) and somebody.active and somebody.unit is not None and somebody.appointments:
            title, room = somebody.appointments[0].local_title, f"{somebody.room} {words.BUILDINGS[somebody.building]}"
            record["umichTitle"] = [title] if title else None
            record["telephoneNumber"] = [somebody.phone] if somebody.phone else None
            if number % 3 == 0:
                record["umichPostalAddress"] = [f"{somebody.unit.name} $ {room} $ Inkwell MI 00001"]
                record["umichPostalAddressData"] = [f"{{addr1={room}}}:{{city=Inkwell}}:{{state=MI}}"]
        return held(record | entity)

    def group(self, entity: Payload) -> Payload:
        group: MailGroup = subject_of(entity)
        number, mail = group.number, group.name.lower().replace(" ", ".")
        inner = self.names(group.groups)
        record: Payload = {
            "dn": dn_of(entity),
            "cn": [group.name, *group.aliases],
            "gidNumber": gid_number(group),
            "umichGroupEmail": [mail] if mixed(number, 51) < 950 else None,
            "description": [f"Mail for {group.name}"] if number % 4 == 0 else None,
            "umichDescription": [f"Those of {group.name}"] if mixed(number, 52) < 600 else None,
            "umichPrivate": number % 7 == 0,
            "Membersonly": number % 3 == 0,
            "joinable": number % 5 == 0,
            "umichEntryDisabled": True if number % 31 == 9 else None,
            "umichDisabledTimestamp": "2025-11-03T04:00:11Z" if number % 31 == 9 else None,
            "umichExpiryTimestamp": f"202{7 + number % 3}-0{1 + number % 9}-12T23:02:52Z" if number % 6 else None,
            "RealtimeBlockList": True if number % 11 == 3 else None,
            "supressNoEmailError": False if number % 11 == 4 else None,
            "member": self.names(group.everybody()),
            "umichDirectMember": self.names(group.people),
            "groupMember": inner,
            "umichDirectGroupMember": inner,
            "owner": self.names(group.owners),
            "requestsTo": self.names(group.owners[:1]) if number % 4 == 1 else None,
            "errorsTo": self.names(group.owners[:1]) if number % 8 == 1 else None,
            "permittedGroup": inner[:1] if number % 3 == 1 else None,
            "rfc822mail": list(group.outside),
            "rfc822RequestsTo": ["desk@elsewhere.example"] if number % 13 == 5 else None,
            "umichAutoReply": ["Away until the kiln is cold."] if number % 17 == 6 else None,
            "umichAutoReplyStart": "2025-12-20T05:00:00Z" if number % 17 == 6 else None,
            "umichAutoReplyEnd": "2026-02-02T05:00:00Z" if number % 17 == 6 else None,
            "umichPermittedSenders": ["news@elsewhere.example"] if number % 9 == 2 else None,
            "umichPermittedSendersDomains": ["elsewhere.example"] if number % 18 == 2 else None,
            "labeledUri": [f"https://campus.example/{mail}"] if number % 10 == 7 else None,
            "umichPostalAddress": ["Lantern Hall $ Inkwell MI 00001"] if number % 14 == 8 else None,
            "telephoneNumber": ["555/555-0142"] if number % 14 == 8 else None,
            "objectClass": ["rfc822MailGroup", "umichGroup"],
        }
        return held(record | entity)


def dn_of(entity: Payload) -> str:
    """The name of an entity of MCommunity, without making its record."""
    subject = subject_of(entity)
    if "dn" in entity:
        return str(entity["dn"])
    return (
        f"cn={escaped(subject.name)},{GROUPS}" if isinstance(subject, MailGroup) else f"uid={subject.uniqname},{PEOPLE}"
    )


def held(record: Payload, *kept: str) -> Payload:
    """What an entry has: an attribute without a value is none, but for those `kept`."""
    return {name: value for name, value in record.items() if name in kept or (value is not None and value != [])}
