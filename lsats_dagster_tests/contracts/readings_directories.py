"""How values of directories are to be read, once more in Python, and by which columns of their tables; see `readings`."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from lsats_dagster.ingestion.stream import BLANKS
from lsats_dagster_tests.contracts import readings
from lsats_dagster_tests.contracts.readings import plain, text
from lsats_dagster_tests.contracts.shapes import ABSENT

Reading = Callable[[Any], Any]
GENERALIZED = re.compile(
    r"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(?:(\d\d)(?:[.,](\d+))?)?)?(Z|[+-]\d\d(?:\d\d)?)", re.ASCII
)
TICKS = re.compile("[0-9]{17,19}", re.ASCII)
BEGIN = datetime(1601, 1, 1, tzinfo=UTC)
LAST_YEAR = datetime(9999, 1, 1, tzinfo=UTC) - BEGIN
LONGEST_DN = 2000


def texts(value: Any) -> list[str]:
    """Code A."""
    if value is None or value is ABSENT:
        return []
    members = value if isinstance(value, list) else [value]
    return [found for member in members if (found := plain(member).strip(BLANKS))]


def lines(value: Any) -> str | None:
    """Code T, of several values all."""
    return ("\n".join(texts(value)) or None) if isinstance(value, list) else text(value)


def first_code(value: Any) -> str | None:
    """Code T in lower case of what is looked up."""
    found = readings.code(value)
    return None if found is None else found.lower()


def bigint(value: Any) -> int | None:
    """Code I of 64 bits."""
    found = re.fullmatch(r"([+-]?[0-9]{1,19})(?:\.0*)?", plain(value).strip(BLANKS))
    return int(found[1]) if found and -(2**63) <= int(found[1]) < 2**63 else None


def directory_time(value: Any) -> datetime | None:
    """Code DA."""
    said = plain(value).strip(BLANKS)
    if TICKS.fullmatch(said):
        since = timedelta(microseconds=int(said) // 10)
        return BEGIN + since if since < LAST_YEAR else None
    if found := GENERALIZED.fullmatch(said):
        year, month, day, hour, minute, second, fraction, zone = found.groups()
        said = f"{year}-{month}-{day}T{hour}:{minute or '00'}:{second or '00'}.{fraction or 0}{zone}"
    return readings.tdx_time(said) if "1602" <= said[:4] <= "9998" else None


def dn(value: Any) -> str | None:
    """Code T of a DN that is not too long."""
    found = text(value)
    return found if found and "=" in found and len(found.encode()) <= LONGEST_DN else None


def read(reading: Reading, flag: str | None = None, **columns: str) -> dict[str, tuple[str, Reading, str | None]]:
    """column -> (field of the payload, how it is read, flag of what cannot be read), for columns that are read alike."""
    return {column: (field.replace("__", "-"), reading, flag) for column, field in columns.items()}


OBJECT = {
    **read(readings.integer, "bad_integer", instance_type="instanceType"),
    **read(directory_time, "bad_directory_date", when_created="whenCreated", when_changed="whenChanged"),
    **read(bigint, "bad_integer", usn_created="uSNCreated", usn_changed="uSNChanged"),
    **read(text, object_category="objectCategory"),
    **read(texts, object_class="objectClass"),
    **read(dn, distinguished_name="dn"),
}
LOGIN = {
    **read(text, object_sid="objectSid", sam_account_name="sAMAccountName", display_name="displayName"),
    **read(
        readings.integer, "bad_integer", user_account_control="userAccountControl", logon_count="logonCount",
        bad_pwd_count="badPwdCount",
    ),
    **read(
        directory_time, "bad_directory_date", account_expires="accountExpires", pwd_last_set="pwdLastSet",
        last_logon="lastLogon", last_logoff="lastLogoff", last_logon_timestamp="lastLogonTimestamp",
        bad_password_time="badPasswordTime",
    ),
}  # fmt: skip


def without(columns: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: reading for name, reading in columns.items() if name not in names}


DIRECTORY_READINGS: dict[str, dict[str, tuple[str, Reading, str | None]]] = {
    "mcommunity_users": {
        **read(readings.uniqname, "invalid_uniqname", uniqname="uid"),
        **read(
            text, first_name="givenName", last_name="sn", preferred_name="displayName", work_phone="telephoneNumber",
            umich_title="umichTitle", job_title="umichTitle", umich_postal_address="umichPostalAddress",
            umich_postal_address_data="umichPostalAddressData", home_directory="homeDirectory", login_shell="loginShell",
        ),
        **read(texts, cn="cn", ou="ou", emails="mail", object_class="objectClass"),
        **read(first_code, "bad_code", primary_email="mail"),
        **read(bigint, "bad_integer", gid_number="gidNumber"),
    },
    "mcommunity_groups": {
        **read(text, group_name="cn"),
        **read(first_code, "bad_code", group_email="umichGroupEmail"),
        **read(dn, distinguished_name="dn"),
        **read(
            readings.boolean, is_private="umichPrivate", is_members_only="Membersonly", is_joinable="joinable",
            is_disabled="umichEntryDisabled",
        ),
        **read(
            directory_time, "bad_directory_date", disabled_at="umichDisabledTimestamp", expiry_timestamp="umichExpiryTimestamp"
        ),
        **read(
            texts, owners="owner", members="member", direct_members="umichDirectMember", external_members="rfc822mail",
            requests_to="requestsTo", aliases="cn",
        ),
    },
    "ad_users": {
        **OBJECT, **LOGIN,
        **read(
            text, cn="cn", name="name", first_name="givenName", last_name="sn", initials="initials", work_phone="telephoneNumber",
            mobile="mobile", mobile_phone="mobile", facsimile_telephone_number="facsimileTelephoneNumber",
            street_address="streetAddress", title="title", job_title="title", department="department",
            department_name="department", employee_type="employeeType", home_directory="homeDirectory", home_drive="homeDrive",
            login_shell="loginShell",
        ),
        **read(readings.email, primary_email="mail", user_principal_name="userPrincipalName"),
        **read(lines, description="description"),
        **read(
            texts, proxy_addresses="proxyAddresses", other_mobile="otherMobile", umichad_ou="umichadOU",
            umichad_role="umichadRole", member_of="memberOf", sid_history="sIDHistory",
        ),
        **read(readings.privacy, hide_personal_info="umichadHidePersonalInfo"),
        **read(readings.integer, "bad_integer", primary_group_id="primaryGroupID"),
        **read(bigint, "bad_integer", uid_number="uidNumber", gid_number="gidNumber"),
        **read(directory_time, "bad_directory_date", lockout_time="lockoutTime"),
    },
    "ad_groups": {
        **without(OBJECT, "instance_type"),
        **read(
            text, cn="cn", group_name="name", sam_account_name="sAMAccountName", display_name="displayName", info="info",
            description="description", managed_by="managedBy", object_sid="objectSid",
        ),
        **read(readings.email, group_email="mail"),
        **read(readings.integer, "bad_integer", group_type="groupType", sam_account_type="sAMAccountType"),
        **read(bigint, "bad_integer", gid_number="gidNumber"),
        **read(
            texts, members="member", member_of="memberOf", proxy_addresses="proxyAddresses", sid_history="sIDHistory",
        ),
    },
    "ad_organizational_units": {
        **OBJECT,
        **read(
            text, name="name", description="description", managed_by="managedBy", gp_link="gPLink", gp_options="gPOptions",
        ),
        **read(readings.integer, "bad_integer", system_flags="systemFlags"),
        **read(texts, ds_core_propagation_data="dSCorePropagationData"),
    },
    "ad_computers": {
        **without(OBJECT, "instance_type", "object_category", "object_class"), **LOGIN,
        **read(
            text, description="description", managed_by="managedBy", operating_system="operatingSystem",
            operating_system_version="operatingSystemVersion", operating_system_service_pack="operatingSystemServicePack",
        ),
        **read(readings.email, dns_hostname="dNSHostName"),
        **read(readings.boolean, is_critical_system_object="isCriticalSystemObject"),
        **read(readings.integer, "bad_integer", msds_supported_encryption_types="msDS__SupportedEncryptionTypes"),
        **read(
            directory_time, "bad_directory_date", laps_expires_at="msLAPS__PasswordExpirationTime",
            legacy_laps_expires_at="ms__Mcs__AdmPwdExpirationTime",
        ),
        **read(
            texts, service_principal_names="servicePrincipalName", network_addresses="networkAddress",
            member_of_groups="memberOf", ds_core_propagation_data="dSCorePropagationData",
        ),
    },
}  # fmt: skip
