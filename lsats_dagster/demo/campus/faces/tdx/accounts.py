"""Accounts: how TDX calls departments (sources.md 5, 6)."""

from typing import Any

from starlette.responses import Response

from lsats_dagster.demo.campus.entities import Payload
from lsats_dagster.demo.campus.faces.tdx.common import flag, listed, number, one, texts
from lsats_dagster.demo.campus.gate import Call
from lsats_dagster.demo.campus.simulation import Simulation

LIST, DETAIL = "tdx/department", "tdx/department_detail"


class Accounts:
    """The handlers: what each method answers to a call that may be served."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def active(self, call: Call) -> Response:
        """Active accounts, without Attributes."""
        accounts = self._simulation.world.stream(LIST).listed()
        return listed((a for a in accounts if a["IsActive"] is True), self._simulation.behaviour.poison_of(LIST))

    def search(self, call: Call) -> Response:
        """Accounts that meet the criteria of the body, without Attributes; poison comes whatever was asked for."""
        wanted = Criteria(call.fields())
        accounts = filter(wanted.met_by, self._simulation.world.stream(LIST).listed())
        return listed(accounts, self._simulation.behaviour.poison_of(LIST), wanted.most)

    def one(self, call: Call) -> Response:
        """One account with its Attributes; 404 if it is gone."""
        return one(self._simulation, DETAIL, call.request.path_params["id"])


class Criteria:
    """The body of an account search. Absent and null mean no restriction; unknown properties are ignored."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._text = str(fields.get("searchtext") or "").strip().lower()
        self._active = flag(fields.get("isactive"))
        self._parent = number(fields.get("parentaccountid"))
        self._parent_name = str(fields.get("parentaccountname") or "").strip().lower()
        self._managers = texts(fields.get("manageruids"))
        self.most = max(0, number(fields.get("maxresults")) or 0)

    def met_by(self, account: Payload) -> bool:
        """Whether the account is asked for."""
        named = f"{account['Name']}\n{account['Code']}".lower()
        return (
            self._text in named
            and self._active in (None, account["IsActive"])
            and self._parent in (None, 0, account["ParentID"])
            and self._parent_name in ("", str(account["ParentName"]).lower())
            and (not self._managers or str(account["ManagerUID"]).lower() in self._managers)
        )
