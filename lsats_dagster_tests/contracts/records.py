"""An ordinary record of each stream of the table suite, whole: every field of it that a table reads is filled."""

from typing import Any


def account(key: str) -> dict[str, Any]:
    number = int(key)
    return {
        "ID": number,
        "Name": f"Example Department {number}",
        "Code": f"{100_000 + number}",
        "IsActive": True,
        "Notes": f"Note {number}",
        "ParentID": 1 if number != 1 else 2,
        "ManagerUID": f"7c1e0a52-33b4-4d0f-9d0e-{number:012d}",
        "CreatedDate": "2019-03-04T15:20:00Z",
        "ModifiedDate": "2025-06-01T08:00:00.1234567Z",
        "Address1": "1 Example Street",
        "Address2": "Floor 2",
        "Address3": "Room 3",
        "Address4": "Box 4",
        "City": "Sampleton",
        "StateAbbr": "MI",
        "StateName": "Michigan",
        "PostalCode": "00000",
        "Country": "US",
        "Phone": "555-0100",
        "Fax": "555-0101",
        "Url": "https://department.example",
    }


def account_detail(key: str) -> dict[str, Any]:
    return account(key) | {"Attributes": [{"ID": 501, "Name": "Region", "Value": "2", "Choices": [{"ID": 2}]}]}


def department(key: str) -> dict[str, Any]:
    return {
        "DeptId": key,
        "DeptDescription": f"Example Department {int(key) - 100_000}",
        "DeptGroup": "EXAMPLE_COLLEGE",
        "DeptGroupDescription": "College of Examples",
        "DeptGroupCampus": "EX_CAMPUS",
        "DeptGroupCampusDescr": "Example Campus",
        "DeptGroupVPArea": "EX_VP_AREA",
        "DeptGroupVPAreaDescr": "Example Executive Area",
    }


def user(key: str) -> dict[str, Any]:
    number = int(key[-12:])
    return {
        "UID": key,
        "AlternateID": f"person{number}",
        "ExternalID": f"{number:08d}",
        "UserName": f"person{number}@example.edu",
        "FirstName": f"First{number}",
        "MiddleName": "Middle",
        "LastName": f"Last{number}",
        "FullName": f"First{number} Last{number}",
        "Nickname": "Example",
        "PrimaryEmail": f"person{number}@example.edu",
        "AlternateEmail": f"person{number}@example.org",
        "AlertEmail": f"person{number}@example.net",
        "WorkPhone": "555-0100",
        "MobilePhone": "555-0101",
        "HomePhone": "555-0102",
        "Fax": "555-0103",
        "OtherPhone": "555-0104",
        "Pager": "555-0105",
        "IMProvider": "Example Messenger",
        "IMHandle": f"person{number}",
        "WorkAddress": "1 Example Street",
        "WorkCity": "Sampleton",
        "WorkState": "MI",
        "WorkZip": "00000",
        "WorkCountry": "US",
        "Title": "Example Keeper",
        "Company": "Example University",
        "DefaultAccountID": number,
        "DefaultAccountName": f"Example Department {number}",
        "ReportsToUID": uid(1),
        "ReportsToFullName": "First1 Last1",
        "IsActive": True,
        "IsEmployee": True,
        "IsConfidential": False,
        "AuthenticationProviderID": 31,
        "AuthenticationUserName": f"person{number}",
        "SecurityRoleID": uid(901),
        "SecurityRoleName": "Client",
        "BEID": uid(902),
        "BEIDInt": 120,
        "DefaultPriorityID": 21,
        "DefaultPriorityName": "Low",
        "ShouldReportTime": False,
        "IsCapacityManaged": False,
        "DefaultRate": 0.0,
        "CostRate": 12.5,
        "PrimaryClientPortalApplicationID": 48,
        "TechnicianSignature": "<p>Example</p>",
        "ProfileImageFileName": "example.png",
        "ApplyTechnicianSignatureToReplies": False,
        "ApplyTechnicianSignatureToUpdatesAndComments": True,
        "EndDate": "2030-01-01T05:00:00Z",
        "ReportTimeAfterDate": "2020-01-01T05:00:00Z",
    }


def user_detail(key: str) -> dict[str, Any]:
    return user(key) | {
        "LocationID": 77,
        "LocationName": "Example Hall",
        "LocationRoomID": 910,
        "LocationRoomName": "0123B",
        "Attributes": [attribute(9101, "Institutional Role", "3", "Keeper")],
        "Applications": ["TDAssets"],
        "GroupIDs": [401, 402],
        "OrgApplications": [{"ID": 48, "Name": "Assets"}],
        "Permissions": ["Example"],
    }


def asset(key: str) -> dict[str, Any]:
    number = int(key)
    return {
        "ID": number,
        "Tag": f"EX-{number}",
        "Name": f"EX-PC-{number}",
        "Uri": f"api/48/assets/{number}",
        "ExternalID": f"host{number}.example.edu",
        "SerialNumber": f"SERIAL{number}",
        "AppID": 48,
        "AppName": "Example Assets",
        "FormID": 2448,
        "FormName": "Computer Form",
        "StatusID": 38,
        "StatusName": "Active",
        "ParentID": 1,
        "ParentTag": "EX-1",
        "ParentName": "EX-PC-1",
        "ParentSerialNumber": "SERIAL1",
        "ConfigurationItemID": 1000 + number,
        "LocationID": 77,
        "LocationName": "Example Hall",
        "LocationRoomID": 910,
        "LocationRoomName": "0123B",
        "OwningCustomerID": uid(number),
        "OwningCustomerName": f"First{number} Last{number}",
        "OwningDepartmentID": number,
        "OwningDepartmentName": f"Example Department {number}",
        "RequestingCustomerID": uid(1),
        "RequestingCustomerName": "First1 Last1",
        "RequestingDepartmentID": 1,
        "RequestingDepartmentName": "Example Department 1",
        "PurchaseCost": 1249.5,
        "AcquisitionDate": "2022-08-15T04:00:00Z",
        "ExpectedReplacementDate": "2027-08-15T04:00:00Z",
        "ManufacturerID": 15,
        "ManufacturerName": "ExampleCorp",
        "ProductModelID": 220,
        "ProductModelName": "EC-9000",
        "SupplierID": 16,
        "SupplierName": "Example Supplier",
        "MaintenanceScheduleID": 17,
        "MaintenanceScheduleName": "Example Schedule",
        "ExternalSourceID": 18,
        "ExternalSourceName": "Example Source",
        "CreatedUid": uid(903),
        "CreatedFullName": "Example Maker",
        "CreatedDate": "2022-08-16T13:00:00Z",
        "ModifiedUid": uid(903),
        "ModifiedFullName": "Example Maker",
        "ModifiedDate": "2025-06-01T08:00:00.1234567Z",
    }


def asset_detail(key: str) -> dict[str, Any]:
    number = int(key)
    return asset(key) | {
        "Attributes": [
            attribute(3380, "MAC Address(es)", f"02:00:00:00:{number // 256 % 256:02x}:{number % 256:02x}"),
            attribute(3381, "Reserved IP Address(es)", "192.0.2.10"),
            attribute(3390, "Operating System", "251", "Example System 11"),
            attribute(3391, "Function", "3301", "Research"),
            attribute(3392, "Support Group(s)", "2301,2302", "Example Desktop, Example Servers"),
            attribute(10896, "Financial Owner/Responsible", uid(number), f"First{number} Last{number}"),
            attribute(3394, "Last Inventoried Date", "2025-01-20T05:00:00Z"),
            attribute(3513, "Purchase Shortcode", "123456"),
            attribute(3396, "Memory", "16 GB"),
            attribute(3397, "Storage", "1 TB"),
            attribute(3398, "Processor(s)", "Example Core"),
        ],
        "Attachments": [{"ID": 5, "Name": "invoice.pdf"}],
    }


def attribute(identifier: int, name: str, value: Any, text: Any = None) -> dict[str, Any]:
    """A custom attribute of TeamDynamix, with its list of choices."""
    return {"ID": identifier, "Name": name, "Value": value, "ValueText": value if text is None else text, "Choices": []}


def appointment(key: str) -> dict[str, Any]:
    employee, _, number = key.partition(":")
    return {
        "EmplId": employee,
        "EmplRcd": int(number),
        "UniqName": f"PERSON{int(employee)}",
        "Name": f"Last{int(employee)},First{int(employee)}",
        "FirstName": f"First{int(employee)}",
        "LastName": f"Last{int(employee)}",
        "DepartmentId": "100001",
        "Dept_Description": "Example Department 1",
        "SupervisorId": "00000001",
        "Jobcode": "102945",
        "UniversityJobTitle": "EXAMPLE KEEPER",
        "DepartmentJobTitle": "Keeper of Examples",
        "Work_Address1": "1 Example Street",
        "Work_Address2": "Floor 2",
        "Work_Address3": "Room 3",
        "Work_City": "Sampleton",
        "Work_State": "MI",
        "Work_Postal": "00000",
        "Work_Country": "USA",
        "Work_Phone": "555/5550100",
        "Work_Phone_Extension": "12",
    }


def award(key: str) -> dict[str, Any]:
    number, uniqname, code, role = key.split("-", 3)
    return {
        "Award Id": number,
        "Person Uniqname": uniqname,
        "Person Appt Department Id": code,
        "Person Role": role,
        "Project/Grant": "F012345",
        "Award Title": "Examples in cells",
        "Award Class": "Grant",
        "Award Total Dollars": "$60,000",
        "Award Direct Dollars": "$40,000",
        "Award Indirect Dollars": "$20,000",
        "Facilities & Admin Rate (%)": "56",
        "Award Project Start Date": "9/22/2023",
        "Award Project End Date": "8/31/2026",
        "Pre NCE Project End Date": "8/31/2025",
        "Award Publish Date": "10/1/2023",
        "Direct Sponsor Name": "Example Science Foundation",
        "Direct Sponsor Category": "Federal",
        "Direct Sponsor Subcategory": "Example Agency",
        "Direct Sponsor Award Reference Number (Current Budget Period)": "ESF-99-0001",
        "Prime Sponsor Name": "Example Prime",
        "Prime Sponsor Category": "Federal",
        "Prime Sponsor Subcategory": "Example Prime Agency",
        "Prime Sponsor Award Reference Number": "EP-1",
        "Award Admin Department": "Example Biology",
        "Award Admin School/College": "College of Examples",
        "Person First Name": f"First {uniqname}",
        "Person Last Name": f"Last {uniqname}",
        "Person Appt Department": "Example Biology",
        "Person Appt School/College": "College of Examples",
    }


def card(key: str) -> dict[str, Any]:
    number = mac_number(key)
    return {
        "MAC": key.upper(),
        "idnt": str(4000 + number),
        "agid": "12",
        "Name": f"EX-PC-{number}",
        "OEM SN": f"SERIAL{number}",
        "CPU": "Example Core",
        "Mhz": "2600",
        "#": "8",
        "Sockets": "1",
        "RAM": "16384",
        "Disk": "476.94",
        "OS Family": "Example System",
        "OS": "Example System 11",
        "OS vers": "10.0.22631",
        "OS SN": "00000-1",
        "OS Install Date": "2024-07-18 10:14:17",
        "Client": "8.0.1.2",
        "Owner": "Example Biology",
    }


def card_usage(key: str) -> dict[str, Any]:
    number = mac_number(key)
    return {
        "MAC": key.upper(),
        "Free": "210.5",
        "% Used": "55.9",
        "% Free": "44.1",
        "Last Addr": f"192.0.2.{number % 250 + 1}",
        "Last User": f"person{number}",
        "Login": "console",
        "Last Session": "2025-04-22 20:01:21",
        "Last Startup": "2025-04-22 08:00:00",
        "Base Audit": "2023-01-10 04:00:00",
        "Last Audit": "2025-04-22 21:00:00",
    }


def mac(number: int) -> str:
    digits = f"02{number:010x}"
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))


def mac_number(key: str) -> int:
    return int(key.replace(":", "")[2:], 16)


def uid(number: int) -> str:
    return f"7c1e0a52-33b4-4d0f-9d0e-{number:012d}"


def login(key: str) -> dict[str, Any]:
    return {"Key": key, "EmplId": f"e{key[1:]}", "Alias": f"alias{key[1:]}", "Name": f"Example Person {key[1:]}"}


def job(key: str) -> dict[str, Any]:
    number = int(key[1:].partition(":")[0])
    return {"Key": key, "Name": f"Person {number}, Example", "Title": f"Team {number}", "Approver": "l1"}


def group(key: str) -> dict[str, Any]:
    number = int(key[1:])
    return {"Key": key, "Title": f"Example Group {number}", "Members": [f"l{number}", f"g{number % 4 + 1}"]}
