"""OpenLDAP servers for the tests of this folder, which `make test-servers` runs: they need Debian's slapd."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from lsats_dagster.clients.http import Timeouts
from lsats_dagster.clients.ldap import LdapClient
from lsats_dagster_tests.servers.slapd import HUB, PASSWORD, Slapd, crowd, running

PEOPLE_COUNT = 2_000
# A frozen server is noticed after a second, a slow one is waited for.
TIMEOUTS = Timeouts(connect=10.0, read=1.0, answer=60.0)

ClientFactory = Callable[..., LdapClient]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture(scope="session")
def people(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    """A server with people that no test changes or ends."""
    with running(tmp_path_factory.mktemp("people"), authority, crowd(PEOPLE_COUNT)) as server:
        yield server


@pytest.fixture
def client(ca_file: Path) -> Iterator[ClientFactory]:
    """Makes clients of a server, with the login of the hub."""
    made: list[LdapClient] = []

    def make(server: Slapd, **terms: Any) -> LdapClient:
        known = {"host": "localhost", "user": HUB, "password": PASSWORD, "ca_file": ca_file, "timeouts": TIMEOUTS}
        made.append(LdapClient(title="The directory", port=server.port, **known | terms))
        return made[-1]

    yield make
    for one in made:
        one.close()
