"""How TDX and the payroll write what they show of people."""

from lsats_dagster.demo.campus import words
from lsats_dagster.demo.campus.entities import NO_DATE, NO_GUID, Payload, subject_of
from lsats_dagster.demo.campus.populations.departments import Departments
from lsats_dagster.demo.campus.truth import Appointment, Person, Truth

BEID = "c1d20000-0000-4000-8000-000000000120"


class PeopleRecords:
    """Makes the records of users and appointments from their subjects."""

    def __init__(self, truth: Truth, departments: Departments) -> None:
        self._truth = truth
        self._departments = departments

    def account_of(self, user: Payload) -> int:
        """The identifier of a user's account, 0 for none, without making the whole record."""
        own = user.get("DefaultAccountID")
        if own is not None:
            return int(own)
        unit = subject_of(user).unit
        return int(unit.account) if unit and unit.account else 0

    def user(self, user: Payload) -> Payload:
        person: Person = subject_of(user)
        account = self.account_of(user)
        address = f"{person.uniqname}@campus.example"
        manager = self._truth.people[person.number % 10]
        return {
            "UID": person.uid,
            "ReferenceID": 145_000 + person.number,
            "BEID": BEID,
            "BEIDInt": 120,
            "IsActive": person.active,
            "IsConfidential": person.number % 97 == 5,
            "FullName": person.name,
            "FirstName": person.first,
            "LastName": person.last,
            "MiddleName": person.middle or None,
            "Salutation": None,
            "Nickname": None,
            "DefaultAccountID": account,
            "DefaultAccountName": self._departments.account_name(str(account)) if account else "None",
            "UserName": address,
            "PrimaryEmail": address,
            "AlternateEmail": f"{person.uniqname}@home.example" if person.number % 5 == 0 else None,
            "AlertEmail": address if person.number % 3 else "",
            "AuthenticationUserName": address,
            "ExternalID": person.umid,
            "AlternateID": person.uniqname,
            "SecurityRoleID": "5f0d1a4e-0000-4000-8000-00000000000b" if person.technician else "",
            "SecurityRoleName": "Technician" if person.technician else "Client",
            "AuthenticationProviderID": 31 if person.number % 4 else 0,
            "TypeID": 1 if person.technician else 2,
            "ReportsToUID": manager.uid if person.technician and manager is not person else NO_GUID,
            "ReportsToFullName": manager.name if person.technician and manager is not person else "",
            "Title": person.appointments[0].title if person.appointments else None,
            "Company": "Example University" if person.number % 2 else "",
            "WorkPhone": person.phone or None,
            "MobilePhone": None,
            "HomePhone": None,
            "OtherPhone": None,
            "Fax": "",
            "Pager": None,
            "WorkAddress": f"{person.room} {words.BUILDINGS[person.building]}",
            "WorkCity": "Inkwell",
            "WorkState": "MI",
            "WorkZip": "00001",
            "WorkCountry": "US",
            "HomeAddress": None,
            "HomeCity": None,
            "HomeState": None,
            "HomeZip": None,
            "HomeCountry": None,
            "LocationID": 8800 + person.building,
            "LocationName": words.BUILDINGS[person.building],
            "LocationRoomID": 51_000 + person.number % 900,
            "LocationRoomName": person.room,
            "DefaultPriorityID": 0,
            "DefaultPriorityName": "None",
            "IsEmployee": bool(person.appointments),
            "ShouldReportTime": False,
            "IsCapacityManaged": False,
            "DefaultRate": 0.0,
            "CostRate": 24.75 if person.technician else 0.0,
            "ResourcePoolID": 0,
            "TZID": 9,
            "ReportTimeAfterDate": NO_DATE,
            "EndDate": NO_DATE,
            "IMProvider": None,
            "IMHandle": None,
            "AboutMe": None,
            "Gender": None,
            "PrimaryClientPortalApplicationID": None,
            "ProfileImageFileName": None,
            "TechnicianSignature": "<p>Yours, the desk</p>" if person.technician else None,
            "ApplyTechnicianSignatureToReplies": person.technician,
            "ApplyTechnicianSignatureToUpdatesAndComments": False,
            "Applications": [],
            "Attributes": [],
            "GroupIDs": [],
            "OrgApplications": [],
            "Permissions": [],
        } | user

    def appointment(self, row: Payload) -> Payload:
        appointment: Appointment = subject_of(row)
        person = self._truth.people[appointment.person]
        supervisor = None if appointment.supervisor is None else self._truth.people[appointment.supervisor].umid
        return {
            "EmplId": person.umid,
            "EmplRcd": appointment.number,
            "UniqName": person.uniqname.upper() if person.number % 8 else person.uniqname,
            "Name": f"{person.last},{person.first}{f' {person.middle}' if person.middle else ''}",
            "FirstName": person.first,
            "LastName": person.last,
            "DepartmentId": appointment.unit.code,
            "Dept_Description": appointment.unit.name,
            "UniversityJobTitle": appointment.title.upper(),
            "DepartmentJobTitle": appointment.local_title or None,
            "Jobcode": appointment.jobcode,
            "SupervisorId": supervisor,
            "Work_Address1": f"{person.room} {words.BUILDINGS[person.building]}",
            "Work_Address2": "",
            "Work_Address3": None,
            "Work_City": "Inkwell",
            "Work_State": "MI",
            "Work_Postal": "00001-0001",
            "Work_Country": "USA",
            "Work_Phone": person.phone.replace("-", "") or None,
            "Work_Phone_Extension": "",
        } | row


def org_application(number: int) -> Payload:
    return {
        "SecurityRoleId": "5f0d1a4e-0000-4000-8000-00000000000c",
        "SecurityRoleName": "Technician",
        "IsAdministrator": number % 20 == 0,
        "ID": 48,
        "Name": "Example Assets/CIs",
        "Description": None,
        "SystemClass": "TDAssets",
        "IsDefault": False,
        "IsActive": True,
    }
