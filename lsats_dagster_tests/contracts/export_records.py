"""Whole records of exports, every field filled, by their keys."""

from typing import Any


def award_part(key: str) -> dict[str, Any]:
    award, uniqname, department, role = key.split("-", 3)
    number = int(award.removeprefix("AWD"))
    return {
        "Award Id": award,
        "Project/Grant": f"F{number:06d}",
        "Award Title": f"Examples of kind {number}",
        "Person Role": role,
        "Person Last Name": f"Last{number}",
        "Person First Name": f"First{number}",
        "Person Uniqname": uniqname,
        "Person Appt Department Id": department,
        "Person Appt Department": f"Example Department {int(department) - 100_000}",
        "Person Appt School/College": "College of Examples",
        "Award Admin Department": "Example Department 1",
        "Award Admin School/College": "College of Examples",
        "Award Project Start Date": "9/1/2023",
        "Award Project End Date": "8/31/2027",
        "Pre NCE Project End Date": "8/31/2026",
        "Award Direct Dollars": "$650,000",
        "Award Indirect Dollars": "$350,000",
        "Award Total Dollars": "$1,000,000",
        "Facilities & Admin Rate (%)": "56",
        "Direct Sponsor Name": "Example Science Foundation",
        "Direct Sponsor Award Reference Number (Current Budget Period)": f"EX-{number}",
        "Direct Sponsor Category": "Federal",
        "Direct Sponsor Subcategory": "Example Agency",
        "Prime Sponsor Name": "Example Prime Foundation",
        "Prime Sponsor Award Reference Number": f"EP-{number}",
        "Prime Sponsor Category": "Foundation",
        "Prime Sponsor Subcategory": "Example Trust",
        "Award Publish Date": "10/14/2023",
        "Award Class": "Grant",
    }


def part(number: int, role: str = "UM Principal Investigator") -> str:
    return f"AWD{number:06d}-person{number}-{100_000 + number}-{role}"


def machine(key: str) -> dict[str, Any]:
    number = int(key.replace(":", ""), 16) % 2**32
    return {
        "idnt": f"{4000 + number}",
        "agid": "12",
        "Name": f"EX-PC-{number}",
        "MAC": key.upper(),
        "CPU": "Example Core e7-12700",
        "Mhz": "2100",
        "#": "12",
        "Sockets": "1",
        "RAM": "16128",
        "Disk": "476.3",
        "OEM SN": f"SERIAL{number}",
        "OS Family": "Windows",
        "OS": "Windows 11",
        "OS vers": "10.0.22631",
        "OS SN": f"OS-{number}",
        "OS Install Date": "2024-03-11 09:12:00",
        "Client": "8.0.1.2",
        "Owner": "Example Department 1",
    }


def machine_usage(key: str) -> dict[str, Any]:
    number = int(key.replace(":", ""), 16) % 200 + 1
    return {
        "MAC": key.upper(),
        "Free": "211.7",
        "% Used": "55.6",
        "% Free": "44.4",
        "Last Addr": f"192.0.2.{number}",
        "Last User": f"EXAMPLE\\person{number}",
        "Login": "console",
        "Last Session": "2026-01-09 17:20:11",
        "Last Startup": "2026-01-09 08:00:00",
        "Base Audit": "2023-01-10 09:00:00",
        "Last Audit": "2026-01-09 16:20:11",
    }


def card(number: int) -> str:
    digits = f"02{number:010x}"
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))
