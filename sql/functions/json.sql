-- A JSON list as it is; anything else, JSON null included, becomes the empty list (code J).
create or replace function clean.list(value jsonb) returns jsonb
language sql immutable parallel safe
return case when jsonb_typeof(value) = 'array' then value else '[]'::jsonb end;

comment on function clean.list(jsonb) is 'JSON list; anything else becomes the empty list';

-- A record of a list and its detail in one: what the newer of them lacks is as the older one says. Without a detail the record.
-- Most details repeat the whole record, which is told at a fifth of the cost of putting the two together. The empty objects make
-- Postgres decompress each payload once and not with every use.
create or replace function clean.with_detail(record jsonb, record_seq bigint, detail jsonb, detail_seq bigint) returns jsonb
language plpgsql immutable parallel safe as $$
begin
    if detail is null then
        return record;
    end if;
    record := record || '{}';
    detail := detail || '{}';
    if detail_seq < record_seq then
        return detail || record;
    end if;
    return case when detail @> record then detail else record || detail end;
end
$$;

comment on function clean.with_detail(jsonb, bigint, jsonb, bigint) is
'Fields of a record and of its detail, each as the newer of them that has it says';

-- One field of the same, without putting the whole record together.
create or replace function clean.field_with_detail(
    field jsonb, record_seq bigint, detail_field jsonb, detail_seq bigint
) returns jsonb
language sql immutable parallel safe
return case when detail_seq > record_seq then coalesce(detail_field, field) else coalesce(field, detail_field) end;

comment on function clean.field_with_detail(jsonb, bigint, jsonb, bigint) is
'One field of a record and of its detail, as the newer of them that has it says';

-- Custom attributes of TeamDynamix and their names in lower case, the financial owner, whose name differs, by its number and
-- first. A function: a subquery for each row would keep a refresh from running in parallel.
create or replace function clean.attributes(list jsonb, out names text[], out members jsonb[])
language sql immutable parallel safe set plan_cache_mode = force_generic_plan
begin atomic
    with listed as (
        select
            m.member,
            m.place,
            coalesce(m.member ->> 'ID' = '10896', false) as is_known
        from jsonb_array_elements(clean.list($1)) with ordinality m (member, place)
    ),

    named as (
        select
            l.*,
            case when l.is_known then 'financial owner/responsible' else lower(clean.text(l.member ->> 'Name')) end as name
        from listed l
    )

    select
        array_agg(n.name order by n.is_known desc, n.place asc) as names,
        array_agg(n.member order by n.is_known desc, n.place asc) as members
    from named n;
end;

comment on function clean.attributes(jsonb) is 'Custom attributes of a list and, at the same places, their names in lower case';

create or replace function clean.named(names text[], members jsonb[], name text) returns jsonb
language sql immutable parallel safe
return members[array_position(names, name)];

comment on function clean.named(text[], jsonb[], text) is
'The member at the place where the name first stands; NULL where it does not stand';
