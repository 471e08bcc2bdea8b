/*
row = "One computer in the inventory of KeyConfigure, folded from its network cards."
description = """
From the newest export: machines (bronze.keyconfigure_computers) and how they are used (bronze.keyconfigure_usage), one record of
each for each card. A card stands with one computer, the one that it was in at its latest session; the log in bronze keeps where
else it was. The card with the latest session speaks for its computer. A computer none of whose cards is in the newest export
keeps its last values with is_present = false. Times without a zone are of the campus. source_keys names its cards, the
speaking one first.
"""
kind = "derived"
key = ["computer_id"]
whole = true # some eight thousand cards, and each may change what another one belongs to
indexes = ["computer_name", "oem_serial_number", "mac_addresses"]

[columns]
computer_id = ["text", "Name and serial number in upper case; of what has no serial number the name, of what has neither the MAC"]
computer_name = ["text", "Name"]
oem_serial_number = ["text", "Serial number as it stands; where the speaking card has none, that of another card"]
primary_mac_address = ["text", "MAC address of the speaking card, else the first that can be read"]
mac_addresses = ["text[]", "MAC addresses, each twelve hexadecimal digits, latest session first"]
ip_addresses = ["text[]", "Valid IP addresses, latest session first"]
nic_count = ["integer", "Number of MAC addresses"]
cpu = ["text", "Processor"]
cpu_cores = ["integer", "Cores"]
cpu_sockets = ["integer", "Sockets"]
clock_speed_mhz = ["integer", "Clock of the processor in MHz"]
ram_mb = ["integer", "Memory in MB"]
disk_gb = ["numeric", "Disk in GB"]
disk_free_gb = ["numeric", "What of it is free, in GB"]
os = ["text", "Operating system"]
os_family = ["text", "Its family"]
os_version = ["text", "Its version"]
os_serial_number = ["text", "Its serial number"]
os_install_date = ["timestamp with time zone", "When it was installed"]
last_user = ["text", "Who used it last, as it stands; maybe with a domain"]
last_user_uniqname = ["text", "The same as a login name"]
owner = ["text", "Department or person, free text"]
login_type = ["text", "How that user logged in"]
last_session = ["timestamp with time zone", "Latest session of its cards"]
last_startup = ["timestamp with time zone", "Latest start"]
last_audit = ["timestamp with time zone", "Latest audit"]
base_audit = ["timestamp with time zone", "First audit"]
keyconfigure_client_version = ["text", "Version of the client"]
raw_id = ["uuid", "Bronze row of the speaking card"]
first_seq = ["bigint", "Number of the first version of the first of its cards in bronze"]

[inputs."bronze.keyconfigure_computers"]

[inputs."bronze.keyconfigure_usage"]
*/
with cards as (
    select
        d.external_id,
        u.external_id as usage_id,
        d.raw_id,
        d.first_seq,
        d.first_seen_at,
        d.is_present,
        d.removed_at,
        clean.mac(f."MAC") as mac,
        clean.code(f."Name") as computer_name,
        clean.cell_code(f."OEM SN") as serial_text,
        case
            when upper(clean.cell_code(f."OEM SN")) not in ('N/A', 'NONE', 'UNKNOWN') then upper(clean.cell_code(f."OEM SN"))
        end as serial,
        clean.text(f."CPU") as cpu,
        clean.integer(f."#") as cpu_cores,
        clean.integer(f."Sockets") as cpu_sockets,
        clean.integer(f."Mhz") as clock_speed_mhz,
        clean.integer(f."RAM") as ram_mb,
        clean.decimal(f."Disk") as disk_gb,
        clean.decimal(g."Free") as disk_free_gb,
        clean.text(f."OS") as os,
        clean.text(f."OS Family") as os_family,
        clean.text(f."OS vers") as os_version,
        clean.text(f."OS SN") as os_serial_number,
        clean.local_time(f."OS Install Date") as os_install_date,
        clean.text(g."Last User") as last_user,
        clean.uniqname(to_jsonb(regexp_replace(clean.text(g."Last User"), '^.*\\', ''))) as last_user_uniqname,
        clean.text(f."Owner") as owner,
        clean.text(g."Login") as login_type,
        clean.ips(g."Last Addr") as addresses,
        clean.local_time(g."Last Session") as last_session,
        clean.local_time(g."Last Startup") as last_startup,
        clean.local_time(g."Last Audit") as last_audit,
        clean.local_time(g."Base Audit") as base_audit,
        clean.text(f."Client") as client,
        clean.bad_zoned_time('last_session', g."Last Session") as bad_session,
        clean.bad_zoned_time('last_startup', g."Last Startup") as bad_startup,
        clean.bad_zoned_time('last_audit', g."Last Audit") as bad_audit,
        clean.bad_zoned_time('base_audit', g."Base Audit") as bad_base_audit,
        clean.flags(
            clean.bad_code('computer_name', f."Name"),
            clean.bad_code('oem_serial_number', f."OEM SN"),
            clean.bad_integer('cpu_cores', f."#"),
            clean.bad_integer('cpu_sockets', f."Sockets"),
            clean.bad_integer('clock_speed_mhz', f."Mhz"),
            clean.bad_integer('ram_mb', f."RAM"),
            clean.bad_decimal('disk_gb', f."Disk"),
            clean.bad_decimal('disk_free_gb', g."Free"),
            clean.bad_zoned_time('os_install_date', f."OS Install Date"),
            clean.invalid_uniqname('last_user_uniqname', to_jsonb(regexp_replace(clean.text(g."Last User"), '^.*\\', '')))
        ) as unreadable
    from bronze.keyconfigure_computers d
    -- A card that was removed keeps its last use, which was removed with it.
    left join bronze.keyconfigure_usage u on d.external_id = u.external_id and (u.is_present or not d.is_present)
    cross join lateral jsonb_to_record(d.payload) f (
        "MAC" text,
        "Name" jsonb,
        "OEM SN" jsonb,
        "CPU" jsonb,
        "#" text,
        "Sockets" text,
        "Mhz" text,
        "RAM" text,
        "Disk" text,
        "OS" jsonb,
        "OS Family" jsonb,
        "OS vers" jsonb,
        "OS SN" jsonb,
        "OS Install Date" text,
        "Owner" jsonb,
        "Client" jsonb
    )
    cross join lateral jsonb_to_record(coalesce(u.payload, '{}')) g (
        "Free" text,
        "Last User" jsonb,
        "Login" jsonb,
        "Last Addr" jsonb,
        "Last Session" text,
        "Last Startup" text,
        "Last Audit" text,
        "Base Audit" text
    )
    offset '0' -- each value is cleaned once, however often it is used
),

-- Serial numbers of each name: of the cards in the newest export, and of all.
serials as (
    select
        upper(c.computer_name) as name,
        count(distinct c.serial) filter (where c.is_present) as present_count,
        min(c.serial) filter (where c.is_present) as present_serial,
        count(distinct c.serial) as any_count,
        min(c.serial) as any_serial
    from cards c
    group by upper(c.computer_name)
),

-- A card without serial number belongs to the only one that its name has; where that has several, it stands apart.
placed as (
    select
        c.external_id,
        c.is_present,
        c.removed_at,
        c.is_present and s.present_count > 1 as has_many_serials,
        coalesce(
            nullif(
                concat_ws(
                    '-',
                    s.name,
                    coalesce(
                        c.serial,
                        case when c.is_present and s.present_count = 1 then s.present_serial end,
                        case when not c.is_present and s.any_count = 1 then s.any_serial end
                    )
                ),
                ''
            ),
            c.external_id collate "default" -- noqa: RF02
        ) as computer_id
    from cards c
    left join serials s on upper(c.computer_name) = s.name
),

-- Cards of the newest export speak for their computer. Where there is none of them, those do that were there last.
ranked as (
    select
        p.computer_id,
        p.external_id,
        p.has_many_serials,
        p.is_present or (
            not bool_or(p.is_present) over (partition by p.computer_id)
            and p.removed_at = max(p.removed_at) over (partition by p.computer_id)
        ) as speaks
    from placed p
),

ordered as (
    select
        r.computer_id,
        r.external_id,
        r.has_many_serials,
        r.speaks,
        row_number() over (
            partition by r.computer_id
            order by r.speaks desc, c.last_session desc nulls last, c.last_audit desc nulls last, r.external_id asc
        ) as place
    from ranked r
    inner join cards c on r.external_id = c.external_id
),

addresses as (
    select
        a.computer_id,
        array_agg(a.address order by a.place) as ip_addresses
    from (
        select
            o.computer_id,
            n.address,
            min(array[o.place, n.number]) as place
        from ordered o
        inner join cards c on o.external_id = c.external_id
        cross join lateral unnest(c.addresses) with ordinality n (address, number)
        where o.speaks
        group by o.computer_id, n.address
    ) a
    group by a.computer_id
),

computers as (
    select
        o.computer_id,
        min(o.external_id) filter (where o.place = 1) as speaker,
        bool_or(o.has_many_serials) as has_many_serials,
        (array_agg(c.serial_text order by o.place) filter (where o.speaks and c.serial is not null))[1] as serial_text,
        coalesce(array_agg(c.mac order by o.place) filter (where o.speaks and c.mac is not null), '{}') as mac_addresses,
        max(c.last_session) filter (where o.speaks) as last_session,
        max(c.last_startup) filter (where o.speaks) as last_startup,
        max(c.last_audit) filter (where o.speaks) as last_audit,
        min(c.base_audit) filter (where o.speaks) as base_audit,
        max(c.bad_session) filter (where o.speaks) as bad_session,
        max(c.bad_startup) filter (where o.speaks) as bad_startup,
        max(c.bad_audit) filter (where o.speaks) as bad_audit,
        max(c.bad_base_audit) filter (where o.speaks) as bad_base_audit,
        jsonb_agg(o.external_id order by o.place) as card_keys,
        jsonb_agg(c.usage_id order by o.place) filter (where c.usage_id is not null) as usage_keys,
        min(c.first_seq) as first_seq,
        min(c.first_seen_at) as first_seen_at
    from ordered o
    inner join cards c on o.external_id = c.external_id
    group by o.computer_id
),

newest as (
    select max(c.last_session) as last_session from cards c
    where c.is_present
)

select
    k.computer_id,
    c.computer_name,
    coalesce(k.serial_text, c.serial_text) as oem_serial_number,
    k.mac_addresses[1] as primary_mac_address,
    k.mac_addresses,
    coalesce(a.ip_addresses, '{}') as ip_addresses,
    cardinality(k.mac_addresses) as nic_count,
    c.cpu,
    c.cpu_cores,
    c.cpu_sockets,
    c.clock_speed_mhz,
    c.ram_mb,
    c.disk_gb,
    c.disk_free_gb,
    c.os,
    c.os_family,
    c.os_version,
    c.os_serial_number,
    c.os_install_date,
    c.last_user,
    c.last_user_uniqname,
    c.owner,
    c.login_type,
    k.last_session,
    k.last_startup,
    k.last_audit,
    k.base_audit,
    c.client as keyconfigure_client_version,
    c.raw_id,
    k.first_seq,
    jsonb_strip_nulls(
        jsonb_build_object('bronze.keyconfigure_computers', k.card_keys, 'bronze.keyconfigure_usage', k.usage_keys)
    ) as source_keys,
    array['key_client'] as source_systems,
    clean.flags(
        case when c.computer_name is null then 'missing_name' end,
        case when clean.serial(coalesce(k.serial_text, c.serial_text)) is null then 'missing_serial' end,
        case when k.mac_addresses = '{}' then 'no_valid_mac' end,
        case when c.is_present and k.last_session < n.last_session - interval '90 days' then 'stale_session' end,
        case when k.has_many_serials then 'name_on_many_serials' end,
        k.bad_session,
        k.bad_startup,
        k.bad_audit,
        k.bad_base_audit
    ) || c.unreadable as quality_flags,
    k.first_seen_at,
    c.is_present,
    c.removed_at
from computers k
inner join cards c on k.speaker = c.external_id
left join addresses a on k.computer_id = a.computer_id
cross join newest n
