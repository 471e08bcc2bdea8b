"""A visitor of the campus: plain HTTP, and the fixtures of the campus tests."""

import base64
import json
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
import requests
from requests.adapters import HTTPAdapter

from lsats_dagster.demo.campus import Campus, running_campus
from lsats_dagster.demo.postgres import embedded_postgres
from lsats_dagster_tests.demo.postgres_aids import folder

STREAMS = (
    "tdx/department", "tdx/department_detail", "umich_api/department", "tdx/user", "tdx/user_detail", "umich_api/user",
    "tdx/asset", "tdx/asset_detail",
)  # fmt: skip
ACCOUNTS, DETAILS, DEPARTMENTS, USERS, USER_DETAILS, APPOINTMENTS, ASSETS, ASSET_DETAILS = STREAMS
REPOSITORY = Path(__file__).resolve().parents[2]
# Seconds for an answer that must come, on a machine that has other work too.
PATIENCE = 60.0


class Visitor:
    """A client without any cleverness: every answer of the campus comes back as it is."""

    def __init__(self, campus: Campus, address: str = "127.0.0.1") -> None:
        self.environment = campus.environment
        self.tdx = campus.environment["TDX_BASE_URL"]
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount("http://", FromAddress(address))
        self.token = campus.api_token()
        self.gateway_token = ""

    def login(self, path: str = "/auth/loginadmin", **body: str) -> requests.Response:
        body = body or {
            "BEID": self.environment["TDX_BEID"],
            "WebServicesKey": self.environment["TDX_WEB_SERVICES_KEY"],
        }
        return self.session.post(self.tdx + path, json=body, timeout=PATIENCE)

    def get(self, path: str, token: str | None = None, timeout: float = PATIENCE) -> requests.Response:
        return self.session.get(self.tdx + path, headers=bearer(token or self.token), timeout=timeout)

    def post(self, path: str, timeout: float = PATIENCE, **body: Any) -> requests.Response:
        return self.session.post(self.tdx + path, json=body, headers=bearer(self.token), timeout=timeout)

    def search(self, **criteria: Any) -> requests.Response:
        return self.post("/accounts/search", **criteria)

    def found(self, **criteria: Any) -> set[str]:
        return {str(account["ID"]) for account in self.search(**criteria).json()}

    def gateway_login(self, **changes: str) -> requests.Response:
        form = {
            "grant_type": "client_credentials",
            "client_id": self.environment["UM_CLIENT_KEY"],
            "client_secret": self.environment["UM_CLIENT_SECRET"],
            "scope": "department",
        }
        return self.session.post(self.environment["UM_TOKEN_URL"], data=form | changes, timeout=PATIENCE)

    def page(
        self, prefix: str = "", timeout: float = PATIENCE, data: str = "DeptData", **query: Any
    ) -> requests.Response:
        if not self.gateway_token:
            self.gateway_token = self.gateway_login().json()["access_token"]
        url = f"{self.environment['UM_BASE_URL']}{prefix}/bf/Department/v2/{data}"
        paging = {f"${name}" if name in ("start_index", "count") else name: query[name] for name in query}
        return self.session.get(url, params=paging, headers=bearer(self.gateway_token), timeout=timeout)

    def rows(self, **query: Any) -> Any:
        return self.page(**query).json()["DepartmentList"]["DeptData"]

    def call(self, route: str, timeout: float = PATIENCE) -> requests.Response:
        """One call of a route that would be served."""
        match route:
            case "tdx/auth":
                return self.login(
                    "/auth",
                    username=self.environment["TDX_USERNAME"],
                    password=self.environment["TDX_PASSWORD"],
                )
            case "tdx/loginadmin":
                return self.login()
            case "tdx/applications":
                return self.get("/applications", timeout=timeout)
            case "tdx/accounts":
                return self.get("/accounts", timeout=timeout)
            case "tdx/accounts/search":
                return self.search(IsActive=None)
            case "tdx/accounts/{id}":
                return self.get("/accounts/" + str(min(self.found())), timeout=timeout)
            case "tdx/people/search" | "tdx/assets/search":
                return self.post(route.removeprefix("tdx").replace("/assets", "/48/assets"), timeout)
            case "tdx/assets/{id}":
                return self.get("/48/assets/150001", timeout=timeout)
            case "gateway/token":
                return self.gateway_login()
            case _:
                return self.page(timeout=timeout)


class FromAddress(HTTPAdapter):
    """Connections from a certain loopback address, so that two clients can have two."""

    def __init__(self, address: str) -> None:
        self._address = address
        super().__init__()

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs, source_address=(self._address, 0))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def moment(answer: requests.Response, header: str) -> float:
    return parsedate_to_datetime(answer.headers[header]).timestamp()


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """LSATS_HOME of a cluster that holds one row with n = 1."""
    with folder(0o755) as path:
        with (
            embedded_postgres(path / "home") as server,
            psycopg.connect(server.url("lsats"), autocommit=True) as connection,
        ):
            connection.execute("create table kept (n integer not null)")
            connection.execute("insert into kept values (1)")
        yield path / "home"


@pytest.fixture(scope="module")
def running() -> Iterator[Campus]:
    with running_campus() as campus:
        yield campus


@pytest.fixture
def campus(running: Campus) -> Campus:
    running.reset()
    return running


@pytest.fixture
def visitor(campus: Campus) -> Visitor:
    return Visitor(campus)
