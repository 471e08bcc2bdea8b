"""Assets: searches, single ones, and the lists of what an asset may be (sources.md 9, 10)."""

from collections.abc import Callable
from typing import Any

from starlette.responses import PlainTextResponse, Response

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import Payload
from lsats_dagster.demo.campus.faces.tdx.common import flag, listed, number, numbers, one, texts
from lsats_dagster.demo.campus.gate import Call
from lsats_dagster.demo.campus.populations.asset_records import (
    APP_ID,
    APP_NAME,
    FORMS,
    MANUFACTURERS,
    STATUSES,
    status_of,
)
from lsats_dagster.demo.campus.simulation import Simulation

LIST, DETAIL = "tdx/asset", "tdx/asset_detail"
RETIRED = (41, 202)


class Assets:
    """The handlers: what each method answers to a call that may be served."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation

    def search(self, call: Call) -> Response:
        """Assets that meet the criteria of the body, without their collections; poison has the first status."""
        wanted = Criteria(call.fields())
        stream = self._simulation.world.stream(LIST)
        shown = (
            stream.shown(stream.table[key]) | fields
            for key, fields in stream.table.ordered()
            if not wanted.statuses or status_of(stream.table[key]) in wanted.statuses
        )
        poisoned = not wanted.statuses or min(STATUSES) in wanted.statuses
        poison = self._simulation.behaviour.poison_of(LIST) if poisoned else ()
        return listed(filter(wanted.met_by, shown), poison, wanted.most)

    def one(self, call: Call) -> Response:
        """One asset with its collections; 404 if it is gone."""
        return one(self._simulation, DETAIL, call.request.path_params["id"])

    def statuses(self, call: Call) -> Response:
        """What the status of an asset may be."""
        return listed(
            _kept(place, identifier, name) | {"Order": place, "IsOutOfService": identifier in RETIRED}
            for place, (identifier, name) in enumerate(STATUSES.items())
        )

    def models(self, call: Call) -> Response:
        """Product models."""
        return listed(
            _kept(place, 5500 + place, name)
            | {"ManufacturerID": 300 + MANUFACTURERS.index(maker), "ManufacturerName": maker}
            | {"ProductTypeID": 90 + list(FORMS).index(kind), "ProductTypeName": kind.title(), "PartNumber": ""}
            for place, (maker, name, kind) in enumerate(words.MODELS)
            if name != "None"
        )

    def types(self, call: Call) -> Response:
        """Product types."""
        return listed(_kept(place, 90 + place, kind.title()) for place, kind in enumerate(FORMS))

    def vendors(self, call: Call) -> Response:
        """Manufacturers and suppliers."""
        return listed(
            _kept(place, 300 + place, name) | {"IsManufacturer": True, "IsSupplier": False, "AccountNumber": ""}
            for place, name in enumerate(MANUFACTURERS)
            if name != "None"
        )

    def forms(self, call: Call) -> Response:
        """Forms, which say of what kind an asset is."""
        return listed(_kept(place, *form) | {"ComponentID": 27} for place, form in enumerate(FORMS.values()))


def in_the_application(handler: Callable[[Call], Response]) -> Callable[[Call], Response]:
    """The handler for calls that name the application of assets; others get a 404."""

    def handle(call: Call) -> Response:
        if call.request.path_params["app"] != str(APP_ID):
            return PlainTextResponse("The application could not be found.", 404)
        return handler(call)

    return handle


class Criteria:
    """The body of an asset search. Absent, null and empty mean no restriction; unknown properties are ignored."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self._text = str(fields.get("searchtext") or "").strip().lower()
        self._serial = str(fields.get("seriallike") or "").strip().lower()
        self.statuses = numbers(fields.get("statusids"))
        self._numbers = {
            field: wanted
            for name, field in (
                ("manufacturerids", "ManufacturerID"), ("supplierids", "SupplierID"), ("locationids", "LocationID"),
                ("owningdepartmentids", "OwningDepartmentID"), ("formids", "FormID"),
                ("productmodelids", "ProductModelID"),
            )
            if (wanted := numbers(fields.get(name)))
        }  # fmt: skip
        self._owners = texts(fields.get("owningcustomerids"))
        self._external = texts(fields.get("externalids"))
        self._in_service = flag(fields.get("isinservice"))
        self._only_parents = bool(flag(fields.get("onlyparentassets")))
        self.most = max(0, number(fields.get("maxresults")) or 0)

    def met_by(self, asset: Payload) -> bool:
        """Whether the asset is asked for, its status aside."""
        named = f"{asset['Name']}\n{asset['Tag']}\n{asset['SerialNumber']}".lower()
        return (
            self._text in named
            and self._serial in str(asset["SerialNumber"]).lower()
            and all(asset[name] in wanted for name, wanted in self._numbers.items())
            and (not self._owners or str(asset["OwningCustomerID"]).lower() in self._owners)
            and (not self._external or str(asset["ExternalID"]).lower() in self._external)
            and self._in_service in (None, asset["StatusID"] not in RETIRED)
            and not (self._only_parents and asset["ParentID"])
        )


def _kept(place: int, identifier: int, name: str) -> Payload:
    """One entry of a list that belongs to the application."""
    return {
        "ID": identifier,
        "AppID": APP_ID,
        "AppName": APP_NAME,
        "Name": name,
        "Description": None,
        "IsActive": True,
        "Order": place,
    }
