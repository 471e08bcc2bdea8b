"""A private OpenLDAP server with people of an invented MCommunity: what our client meets is not of our making."""

import base64
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme

ROOT = "dc=umich,dc=edu"
PEOPLE = f"ou=People,{ROOT}"
HUB, EVERYTHING = f"uid=svc-hub,{PEOPLE}", f"uid=svc-all,{PEOPLE}"
PASSWORD = "told to nobody"
# Of one search, all of its pages together (sources.md 4.4).
LIMIT = 350
START_SECONDS = 30

# badgeNumber has no order, roomName has one of texts.
CONFIG = """
dn: cn=config
objectClass: olcGlobal
cn: config
olcTLSCertificateFile: {folder}/server.pem
olcTLSCertificateKeyFile: {folder}/server.key

dn: cn=module{{0}},cn=config
objectClass: olcModuleList
cn: module{{0}}
olcModulePath: /usr/lib/ldap
olcModuleLoad: back_mdb

dn: cn=schema,cn=config
objectClass: olcSchemaConfig
cn: schema

include: file:///etc/ldap/schema/core.ldif
include: file:///etc/ldap/schema/cosine.ldif
include: file:///etc/ldap/schema/inetorgperson.ldif
include: file:///etc/ldap/schema/nis.ldif

dn: cn=umich,cn=schema,cn=config
objectClass: olcSchemaConfig
cn: umich
olcAttributeTypes: ( 2.999.1.1 NAME 'umichTitle' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
olcAttributeTypes: ( 2.999.1.2 NAME 'umichPostalAddress' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
olcAttributeTypes: ( 2.999.1.3 NAME 'umichPostalAddressData' EQUALITY caseIgnoreMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
olcAttributeTypes: ( 2.999.1.4 NAME 'badgeNumber' EQUALITY integerMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.27 SINGLE-VALUE )
olcAttributeTypes: ( 2.999.1.5 NAME 'roomName' EQUALITY caseIgnoreMatch ORDERING caseIgnoreOrderingMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
olcAttributeTypes: ( 2.999.1.6 NAME 'objectGUID' EQUALITY octetStringMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE )
olcAttributeTypes: ( 2.999.1.7 NAME 'umichExpiryTimestamp' EQUALITY generalizedTimeMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.24 SINGLE-VALUE )
olcAttributeTypes: ( 2.999.1.8 NAME 'umichPrivate' EQUALITY booleanMatch
  SYNTAX 1.3.6.1.4.1.1466.115.121.1.7 SINGLE-VALUE )
olcObjectClasses: ( 2.999.2.1 NAME 'umichPerson' SUP top AUXILIARY
  MAY ( umichTitle $ umichPostalAddress $ umichPostalAddressData $ badgeNumber $ roomName $ objectGUID $
  umichExpiryTimestamp $ umichPrivate $ uidNumber $ gidNumber $ homeDirectory $ loginShell ) )

dn: olcDatabase={{1}}mdb,cn=config
objectClass: olcMdbConfig
olcDatabase: {{1}}mdb
olcSuffix: {root}
olcDbDirectory: {folder}/data
olcDbMaxSize: 104857600
olcAccess: to attrs=userPassword by anonymous auth by * none
olcAccess: to * by * read
olcLimits: dn.exact="{hub}" size={limit} size.prtotal={limit}
olcLimits: dn.exact="{everything}" size=unlimited size.prtotal=unlimited
"""

Values = Sequence[str | bytes]


@dataclass
class Directory:
    """The people of a directory, in the order in which it stores them."""

    people: list[dict[str, Values]] = field(default_factory=list)

    def add(self, uid: str, uid_number: int | None, **more: Values) -> None:
        """One person; keywords are further attributes."""
        numbers = {} if uid_number is None else {"uidNumber": [str(uid_number)], "badgeNumber": [str(uid_number)]}
        self.people.append(
            {"objectClass": ["inetOrgPerson", "umichPerson"], "uid": [uid], "cn": [uid], "sn": ["Smith"]}
            | numbers
            | more
        )

    def ldif(self) -> str:
        """What `slapadd` loads."""
        entries = [
            ldif_entry(ROOT, {"objectClass": ["domain"], "dc": ["umich"]}),
            ldif_entry(PEOPLE, {"objectClass": ["organizationalUnit"], "ou": ["People"]}),
        ]
        for login in (HUB, EVERYTHING):
            uid = login.partition(",")[0].removeprefix("uid=")
            account = {"objectClass": ["account", "simpleSecurityObject"], "uid": [uid], "userPassword": [PASSWORD]}
            entries.append(ldif_entry(login, account))
        entries += [ldif_entry(f"uid={person['uid'][0]!s},{PEOPLE}", person) for person in self.people]
        return "\n".join(entries)


def ldif_entry(dn: str, attributes: Mapping[str, Values]) -> str:
    lines = [f"dn: {dn}"]
    for name, values in attributes.items():
        octets = [value.encode() if isinstance(value, str) else value for value in values]
        lines += [f"{name}:: {base64.b64encode(value).decode()}" for value in octets]
    return "\n".join(lines) + "\n"


def crowd(count: int, seed: int = 1) -> Directory:
    """So many people with numbers as HR gives them, in no order: most of them close together, some far away."""
    chance = random.Random(seed)
    numbers = chance.sample(range(1_000_000, 1_000_000 + 4 * count), count - 20) + chance.sample(
        range(2**31 - 10**6), 20
    )
    directory = Directory()
    for number in numbers:
        directory.add(f"p{number}", number, ou=["Alumni", "Example Biology"], umichTitle=["Lab Manager"])
    return directory


class Slapd:
    """The server. It listens on loopback over TLS only, with a certificate for localhost."""

    def __init__(self, folder: Path, authority: trustme.CA) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        certificate = authority.issue_cert("localhost", "127.0.0.1")
        certificate.private_key_pem.write_to_path(str(folder / "server.key"))
        for pem in certificate.cert_chain_pems:
            pem.write_to_path(str(folder / "server.pem"), append=True)
        for name in ("config", "data"):
            (folder / name).mkdir()
        names = {"folder": folder, "root": ROOT, "hub": HUB, "everything": EVERYTHING, "limit": LIMIT}
        self._slapadd("0", CONFIG.format(**names))

    def load(self, directory: Directory) -> None:
        """The whole content."""
        self._slapadd("1", directory.ldif())

    def start(self) -> None:
        """Start, and return when it answers."""
        self._process = subprocess.Popen(
            [tool("slapd"), "-d", "0", "-F", str(self.folder / "config"), "-h", f"ldaps://127.0.0.1:{self.port}/"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            assert self._process.poll() is None, "slapd ended while it started"
            assert time.monotonic() < deadline, "slapd does not answer"
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.02)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, whatever it is doing."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(START_SECONDS)
            self._process = None

    def _slapadd(self, number: str, ldif: str) -> None:
        file = self.folder / "input.ldif"
        file.write_text(ldif, encoding="utf-8")
        command = [tool("slapadd"), "-q", "-n", number, "-F", str(self.folder / "config"), "-l", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]


def tool(name: str) -> str:
    """Path of a program of OpenLDAP."""
    path = find(name)
    assert path, f"no {name}: apt-get install slapd"
    return path


def find(name: str) -> str | None:
    """The same, None where it is not installed. Debian has it on the path of root alone."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"]))


@contextmanager
def running(folder: Path, authority: trustme.CA, directory: Directory) -> Iterator[Slapd]:
    """A server with this content."""
    server = Slapd(folder, authority)
    server.load(directory)
    server.start()
    try:
        yield server
    finally:
        server.kill()
