"""The same for appointments, awards and the inventory (4.5, 4.12, 4.13)."""

from datetime import date
from decimal import Decimal

from lsats_dagster_tests.contracts.examples_tdx import Example, moment
from lsats_dagster_tests.contracts.records import mac
from lsats_dagster_tests.contracts.shapes import LONG, SHAPES

PI, PERSONNEL = "UM Principal Investigator", "UM Key Personnel"
LOCATION = {
    "address1": "1234 Example Hall", "address2": None, "address3": None, "city": "Ann Arbor", "state": "MI",
    "postal": "48109", "country": "USA", "phone": "734-555-0142", "phone_extension": None,
}  # fmt: skip
EMPLOYEES = [
    Example(
        {
            "UniqName": "JRIVERS", "FirstName": "Jamie", "LastName": " Rivers", "Name": "Rivers,Jamie Lee",
            "DepartmentId": "175000", "Dept_Description": "Example Biology", "SupervisorId": "10111222", "Jobcode": "102945",
            "DepartmentJobTitle": "Lab Manager", "UniversityJobTitle": "Research Lab Specialist",
            "Work_Address1": "1234 Example Hall", "Work_Address2": " ", "Work_Address3": None, "Work_City": "Ann Arbor",
            "Work_State": "MI", "Work_Postal": "48109", "Work_Country": "USA", "Work_Phone": "734-555-0142",
            "Work_Phone_Extension": "",
        },
        {
            "empl_id": "10234567", "empl_rcd": 0, "uniqname": "jrivers", "first_name": "Jamie", "last_name": "Rivers",
            "full_name": "Rivers,Jamie Lee", "preferred_name": "Jamie Rivers", "department_id": "175000",
            "dept_description": "Example Biology", "supervisor_id": "10111222", "jobcode": "102945",
            "department_job_title": "Lab Manager", "dept_job_title": "Lab Manager",
            "university_job_title": "Research Lab Specialist", "job_title": "Research Lab Specialist",
            "work_location": LOCATION, "work_phone": "734-555-0142", "work_city": "Ann Arbor", "work_state": "MI",
            "work_postal_code": "48109", "work_country": "USA", "work_address_line1": "1234 Example Hall",
            "work_address_line2": None, "is_primary": True, "source_systems": ["umich_api"],
            "data_quality_score": Decimal("1.00"),
        },
        key="10234567:0",
    ),
    Example(
        {}, {"empl_id": "10234567", "empl_rcd": 511, "is_primary": False}, ("uniqname_on_two_employee_ids",),
        key="10234567:511",
    ),
    Example(
        {"EmplRcd": " 2.0 ", "UniqName": None}, {"empl_rcd": 2, "is_primary": True}, ("missing_uniqname",), key="04512987:2",
    ),
    Example({"UniqName": " "}, {"uniqname": None, "data_quality_score": Decimal("0.70")}, ("missing_uniqname",)),
    Example({"UniqName": "averylonguniqname"}, {"uniqname": "averylonguniqname"}),
    Example({"UniqName": "no name"}, {"uniqname": None}, ("missing_uniqname", "invalid_uniqname:uniqname")),
    Example({"SupervisorId": ""}, {"supervisor_id": None, "data_quality_score": Decimal("0.85")}, ("missing_supervisor",)),
    Example({"Work_Phone": None}, {"work_phone": None, "data_quality_score": Decimal("0.85")}, ("missing_work_phone",)),
    Example({"Work_Postal": ""}, {"data_quality_score": Decimal("0.80")}, ("incomplete_work_location",)),
    Example({"Work_Country": ""}, {"work_country": None, "data_quality_score": Decimal("1.00")}),
    Example({"Jobcode": None}, {"data_quality_score": Decimal("0.90")}, ("missing_jobcode",)),
    Example({"Jobcode": "001234"}, {"jobcode": "001234"}),
    Example({"UniversityJobTitle": "x" * 611}, {"university_job_title": "x" * 611}),
    Example(
        {"UniversityJobTitle": ""}, {"job_title": None, "data_quality_score": Decimal("0.90")},
        ("missing_university_job_title",),
    ),
    Example({"FirstName": None}, {"preferred_name": "Last{n}", "data_quality_score": Decimal("1.00")}, ("missing_first_name",)),
    Example({"FirstName": "", "LastName": None}, {"preferred_name": "Last{n},First{n}"}, ("missing_first_name",)),
    Example({"DepartmentId": None}, {"department_id": None}, ("missing_department",)),
    Example({"DepartmentId": 4100}, {"department_id": "004100"}),
    Example(
        dict.fromkeys(SHAPES["umich_api/user"].fields), {"data_quality_score": Decimal("0.00"), "full_name": None},
        ("missing_uniqname", "missing_supervisor", "missing_work_phone", "incomplete_work_location", "missing_jobcode",
         "missing_university_job_title", "missing_first_name", "missing_department"),
    ),
    Example({"UniqName": "SHARED"}, {"is_primary": True}, ("uniqname_on_two_employee_ids",)),
    Example({"UniqName": "shared "}, {"is_primary": True}, ("uniqname_on_two_employee_ids",)),
]  # fmt: skip
# Its ordinary login name is that of another employee ID.
EMPLOYEES.append(Example({"UniqName": "PERSON10234567"}, {}, ("uniqname_on_two_employee_ids",)))
AWARDS = [
    Example(
        {
            "Person Uniqname": " JRivers ", "Project/Grant": "F012345", "Award Title": "Example structures in example cells",
            "Award Class": "Grant", "Award Total Dollars": "$60,000", "Award Direct Dollars": "40000.00",
            "Award Indirect Dollars": " $20,000.00 ", "Facilities & Admin Rate (%)": "56%",
            "Award Project Start Date": "9/22/2023", "Award Project End Date": "8/31/2026 12:00:00 AM",
            "Pre NCE Project End Date": "", "Award Publish Date": "2023-10-01", "Prime Sponsor Name": " ",
            "Prime Sponsor Category": "", "Prime Sponsor Subcategory": "", "Prime Sponsor Award Reference Number": "",
            "Person First Name": "Jamie", "Person Last Name": "Rivers", "Person Appt Department Id": "175000.0",
        },
        {
            "award_id": "AWD000123", "person_uniqname": "jrivers", "person_role": PI, "is_pi_role": True,
            "project_grant_id": "F012345", "award_title": "Example structures in example cells", "award_class": "Grant",
            "award_total_dollars": Decimal("60000.00"), "award_direct_dollars": Decimal("40000.00"),
            "award_indirect_dollars": Decimal("20000.00"), "facilities_admin_rate": Decimal("56"),
            "award_start_date": date(2023, 9, 22), "award_end_date": date(2026, 8, 31), "pre_nce_end_date": None,
            "award_publish_date": date(2023, 10, 1), "direct_sponsor_name": "Example Science Foundation",
            "direct_sponsor_category": "Federal", "direct_sponsor_subcategory": "Example Agency",
            "direct_sponsor_reference": "ESF-99-0001", "prime_sponsor_name": None, "prime_sponsor_category": None,
            "prime_sponsor_subcategory": None, "prime_sponsor_reference": None, "award_admin_department": "Example Biology",
            "award_admin_school_college": "College of Examples", "person_first_name": "Jamie", "person_last_name": "Rivers",
            "person_appt_department": "Example Biology", "person_appt_department_id": "175000",
            "person_appt_school_college": "College of Examples", "source_systems": ["lab_awards"],
            "data_quality_score": Decimal("1.00"),
        },
        key=f"AWD000123-jrivers-175000-{PI}",
    ),
    Example({}, {"person_role": PERSONNEL, "is_pi_role": False}, key=f"AWD000123-jrivers-175000-{PERSONNEL}"),
    Example({}, {"person_appt_department_id": "175001"}, key=f"AWD000123-jrivers-175001-{PI}"),
    Example(
        {"Person Appt Department Id": "4100.0"}, {"person_appt_department_id": "004100"},
        key=f"AWD000124-jrivers-004100-{PI}",
    ),
    Example({"Person Appt Department Id": "0"}, {"person_appt_department_id": "000000"}, key=f"AWD000125-jrivers-000000-{PI}"),
    Example({"Person Role": " "}, {"person_role": None, "is_pi_role": False}, key="AWD000126-jrivers-175000-"),
    Example(
        {"Person Uniqname": "j_rivers"}, {"person_uniqname": None}, ("invalid_uniqname:person_uniqname",),
        key=f"AWD000127-j_rivers-175000-{PI}",
    ),
    Example({"Award Total Dollars": "($1,234)"}, {"award_total_dollars": Decimal("-1234.00")}),
    Example({"Award Total Dollars": "-1234.5"}, {"award_total_dollars": Decimal("-1234.50")}),
    Example(
        {"Award Total Dollars": "about 5"}, {"award_total_dollars": None, "data_quality_score": Decimal("0.75")},
        ("missing_amount", "unparsed_amount:award_total_dollars"),
    ),
    Example(
        {"Award Total Dollars": ""}, {"award_total_dollars": None, "data_quality_score": Decimal("0.80")}, ("missing_amount",),
    ),
    Example({"Award Project End Date": "8/31/68"}, {"award_end_date": date(2068, 8, 31)}),
    Example({"Award Project Start Date": "9/22/69"}, {"award_start_date": date(1969, 9, 22)}),
    Example({"Award Project End Date": ""}, {"award_end_date": None, "data_quality_score": Decimal("0.80")}, ("missing_dates",)),
    Example(
        {"Award Project Start Date": "2/30/2023"}, {"award_start_date": None},
        ("missing_dates", "bad_date:award_start_date"),
    ),
    Example(
        {"Award Project End Date": "8/31/2020"}, {"award_end_date": date(2020, 8, 31), "data_quality_score": Decimal("0.70")},
        ("end_before_start",),
    ),
    Example({"Facilities & Admin Rate (%)": "0.56"}, {"facilities_admin_rate": Decimal("0.56")}, ("rate_below_one",)),
    Example({"Facilities & Admin Rate (%)": "0"}, {"facilities_admin_rate": Decimal(0)}),
    Example({"Facilities & Admin Rate (%)": "half"}, {"facilities_admin_rate": None}, ("bad_decimal:facilities_admin_rate",)),
    Example({"Award Title": LONG}, {"award_title": LONG}),
    Example({"Award Title": ""}, {"award_title": None}),
    Example({"Award Direct Dollars": "1"}, {}, ("amounts_differ",), key=f"AWD000200-one-175000-{PI}"),
    Example({}, {}, ("amounts_differ",), key=f"AWD000200-two-175000-{PI}"),
]  # fmt: skip
COMPUTERS = [
    Example(
        {
            "Name": " bio-pc-017", "OEM SN": "5cg0000xyz ", "CPU": "Example i7", "#": "8", "Sockets": "1", "Mhz": "2600",
            "RAM": "16384", "Disk": "476.94", "OS": "Windows 11", "OS Family": "Windows", "OS vers": "10.0.22631", "OS SN": "",
            "OS Install Date": "2024-07-18T14:14:17Z", "Owner": "Example Biology", "Client": "7.9.1",
        },
        {
            "computer_id": "BIO-PC-017-5CG0000XYZ", "computer_name": "bio-pc-017", "oem_serial_number": "5cg0000xyz",
            "primary_mac_address": "020000000001", "mac_addresses": ["020000000001", "020000000002"],
            "ip_addresses": ["192.0.2.10", "192.0.2.11"], "nic_count": 2, "cpu": "Example i7", "cpu_cores": 8,
            "cpu_sockets": 1, "clock_speed_mhz": 2600, "ram_mb": 16384, "disk_gb": Decimal("476.94"),
            "disk_free_gb": Decimal("210.50"), "os": "Windows 11", "os_family": "Windows", "os_version": "10.0.22631",
            "os_serial_number": None, "os_install_date": moment(2024, 7, 18, 14, 14, 17), "last_user": "jrivers",
            "last_user_uniqname": "jrivers", "owner": "Example Biology", "login_type": "console",
            "last_session": moment(2025, 4, 23, 0, 1, 21), "last_startup": moment(2025, 4, 22, 12),
            "last_audit": moment(2025, 4, 23, 1), "base_audit": moment(2023, 1, 10, 9),
            "keyconfigure_client_version": "7.9.1", "source_systems": ["key_client"], "data_quality_score": Decimal("1.00"),
            "source_keys": {"bronze.keyconfigure_computers": [mac(1), mac(2)], "bronze.keyconfigure_usage": [mac(1), mac(2)]},
        },
        more={
            "Free": "210.50", "Last Addr": "192.0.2.10", "Last User": "jrivers", "Login": "console",
            "Last Session": "2025-04-22 20:01:21", "Last Startup": "4/22/2025 8:00 AM", "Last Audit": "2025-04-22 21:00:00",
            "Base Audit": "2023-01-11 04:00:00",
        },
    ),
    # Its second card: an earlier session, no serial number, another spelling.
    Example(
        {"Name": "BIO-PC-017", "OEM SN": "", "CPU": "Other", "Owner": "Other"}, {"cpu": "Example i7", "nic_count": 2},
        more={
            "Last Session": "4/21/2025", "Last Addr": "192.0.2.11/24, 192.0.2.10, 192.0.2.300", "Last User": "other",
            "Base Audit": "1/10/2023 4:00 AM", "Last Startup": "",
        },
    ),
    Example({"OEM SN": "N/A"}, {"computer_id": "EX-PC-{n}", "oem_serial_number": "N/A"}, ("missing_serial",)),
    Example(
        {"OEM SN": " unknown"}, {"computer_id": "EX-PC-{n}", "data_quality_score": Decimal("0.80")}, ("missing_serial",),
    ),
    Example({"OEM SN": "0000"}, {"computer_id": "EX-PC-{n}-0000"}, ("missing_serial",)),
    Example({"OEM SN": "12345.0"}, {"computer_id": "EX-PC-{n}-12345", "oem_serial_number": "12345"}),
    Example({"Name": ""}, {"computer_id": "SERIAL{n}", "computer_name": None}, ("missing_name",)),
    Example({"Name": "", "OEM SN": ""}, {"computer_id": mac(8)}, ("missing_name", "missing_serial")),
    Example({"Name": LONG}, {"computer_id": "SERIAL{n}", "computer_name": None}, ("missing_name", "bad_code:computer_name")),
    # Two machines of one name, and a card that may be of either.
    Example({"Name": "TWIN", "OEM SN": "FIRST1"}, {"computer_id": "TWIN-FIRST1"}, ("name_on_many_serials",)),
    Example({"Name": "twin", "OEM SN": "SECOND1"}, {"computer_id": "TWIN-SECOND1"}, ("name_on_many_serials",)),
    Example({"Name": "TWIN", "OEM SN": None}, {"computer_id": "TWIN"}, ("name_on_many_serials", "missing_serial")),
    Example({"#": "8.0", "Sockets": " ", "RAM": ""}, {"cpu_cores": 8, "cpu_sockets": None, "ram_mb": None}),
    Example(
        {"#": "many", "Disk": "big", "OS Install Date": "8"}, {"cpu_cores": None, "disk_gb": None, "os_install_date": None},
        ("bad_integer:cpu_cores", "bad_decimal:disk_gb", "bad_date:os_install_date"),
    ),
    Example({}, {"last_session": None, "last_audit": None}, ("bad_date:last_session",), {"Last Session": "8", "Last Audit": ""}),
    Example({}, {"last_user": "EXAMPLE\\JRivers", "last_user_uniqname": "jrivers"}, more={"Last User": "EXAMPLE\\JRivers"}),
    Example(
        {}, {"last_user": "Jamie Rivers", "last_user_uniqname": None}, ("invalid_uniqname:last_user_uniqname",),
        {"Last User": "Jamie Rivers"},
    ),
    Example({}, {"last_session": moment(2025, 1, 1, 5)}, ("stale_session",), {"Last Session": "1/1/2025"}),
    Example({}, {"last_user": None, "ip_addresses": [], "last_session": None, "nic_count": 1}, more=None),
    Example(
        {}, {"primary_mac_address": None, "mac_addresses": [], "nic_count": 0, "data_quality_score": Decimal("0.70")},
        ("no_valid_mac",), key="00:00:00:00:00:00",
    ),
    # The first card that means one card is the primary one.
    Example(
        {"Name": "DOCKED", "OEM SN": "DOCKED1"}, {"primary_mac_address": "020000000016", "nic_count": 1},
        key="ff:ff:ff:ff:ff:ff",
    ),
    Example({"Name": "DOCKED", "OEM SN": "DOCKED1"}, {"nic_count": 1}),
]  # fmt: skip
