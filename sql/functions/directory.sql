create or replace function clean.rdns_with_escapes(dn text) returns text[]
language sql immutable parallel safe set plan_cache_mode = force_generic_plan
return (
    select coalesce(array_agg(ltrim(f.found[1]) order by f.place), '{}')
    from regexp_matches($1, '((?:\\.|[^\\,])+)(?:,|$)', 'g') with ordinality f (found, place)
);

comment on function clean.rdns_with_escapes(text) is 'Parts of a DN in which backslashes stand';

-- Names of the parts of a DN, from the object itself to the root, as they stand: split at commas without a backslash before them
-- (silver_source_tables.md 2.3). Two backslashes are one of the name, so pairs are passed over first.
create or replace function clean.rdns(dn text) returns text[]
language sql immutable parallel safe
return case
    when clean.text(dn) is null then '{}'
    -- As directories write it, at a tenth of the cost.
    when dn !~ '\\|\s,|,\s' then string_to_array(clean.trimmed(dn), ',')
    when dn !~ '\\' then regexp_split_to_array(clean.trimmed(dn), '\s*,\s*')
    else clean.rdns_with_escapes(clean.trimmed(dn))
end;

comment on function clean.rdns(text) is 'Parts of a DN from the object to the root, as they stand';

create or replace function clean.unescaped_name(value text) returns text
language plpgsql immutable parallel safe as $$
declare
    piece text;
    bytes bytea := '';
begin
    for piece in select m[1] from regexp_matches(value, '(\\[0-9a-fA-F]{2}|\\.|[^\\]+|\\$)', 'g') m loop
        bytes := bytes || case
            when piece ~ '^\\[0-9a-fA-F]{2}$' then decode(substring(piece from 2), 'hex')
            when piece like '\\_' then convert_to(substring(piece from 2), 'UTF8')
            else convert_to(piece, 'UTF8')
        end;
    end loop;
    return convert_from(bytes, 'UTF8');
exception
    when character_not_in_repertoire or untranslatable_character then
        return value;
end
$$;

comment on function clean.unescaped_name(text) is 'Name from a DN without its escapes';

-- What a part of a DN says, behind its first equals sign. A backslash and two hexadecimal digits are a byte of UTF-8, a backslash
-- and another sign are that sign. Bytes that are no text stay as they stand.
create or replace function clean.rdn_value(rdn text) returns text
language sql immutable parallel safe
return case
    when rdn !~ '\\' then clean.text(substring(rdn from position('=' in rdn) + 1))
    else clean.text(clean.unescaped_name(substring(rdn from position('=' in rdn) + 1)))
end;

comment on function clean.rdn_value(text) is 'What one part of a DN says, without its escapes';

-- DN of an object. Columns made of it are indexed, and no index takes a text beyond some 2,700 bytes; no directory has such.
-- Inlined, it would read the text three times.
create or replace function clean.dn(value jsonb) returns text
language plpgsql immutable parallel safe
as $$
declare
    dn constant text := clean.text(value);
begin
    return case when octet_length(dn) <= 2000 and dn like '%=%' then dn end;
end
$$;

comment on function clean.dn(jsonb) is 'DN of at most 2,000 bytes; anything else becomes NULL';

-- Whom a DN names: people stand below the unit People, and are named by the login name there. A repetition with a bound, and
-- one expression for both ends, would take ten times as long. As both directories write the DN of a person, it is read at an
-- eighth of the cost.
create or replace function clean.dn_uniqname(dn text) returns text
language sql immutable parallel safe
return case
    when
        dn like 'uid=%,ou=People,%' and octet_length(split_part(dn, ',', 1)) between 5 and 54
        and substr(split_part(dn, ',', 1), 5) !~ '^[^a-z]|[^a-z0-9.-]'
        then substr(split_part(dn, ',', 1), 5)
    when
        dn like 'CN=%,OU=People,%' and octet_length(split_part(dn, ',', 1)) between 4 and 53
        and substr(split_part(dn, ',', 1), 4) !~ '^[^a-z]|[^a-z0-9.-]'
        then substr(split_part(dn, ',', 1), 4)
    when
        lower(dn) ~ ',\s*ou\s*=\s*people\s*(?:,|$)'
        and length(substring(lower(dn) from '^(?:uid|cn)\s*=\s*([a-z][a-z0-9.-]*)\s*,')) <= 50
        then substring(lower(dn) from '^(?:uid|cn)\s*=\s*([a-z][a-z0-9.-]*)\s*,')
end;

comment on function clean.dn_uniqname(text) is 'Login name in the DN of a person; of any other DN NULL';

-- A member or owner of a group as it is compared: in lower case. No index takes a text beyond some 2,700 bytes, and no object
-- has a DN beyond 2,000 (clean.dn): of such a text its beginning and its hash stand.
create or replace function clean.listed_name(value text) returns text
language sql immutable parallel safe
return case
    when octet_length(lower(value)) <= 2000 then lower(value)
    else left(lower(value), 100) || '~' || md5(lower(value))
end;

comment on function clean.listed_name(text) is
'Entry of a list of members or owners in lower case; of one that no index takes the beginning and a hash';

-- Rule O: names of the organizational units of a DN, leaf first.
-- A loop: a query takes nearly twice as long.
create or replace function clean.ou_path(dn text) returns text[]
language plpgsql immutable parallel safe as $$
declare
    rdn text;
    name text;
    result text[] := '{}';
begin
    foreach rdn in array clean.rdns(dn) loop
        if rdn ~* '^ou\s*=' then
            name := clean.rdn_value(rdn);
            if name is not null then
                result := result || name;
            end if;
        end if;
    end loop;
    return result;
end
$$;

comment on function clean.ou_path(text) is 'Names of the organizational units of a DN, from the leaf to the root';

create or replace function clean.from_root(path text[], level integer) returns text
language sql immutable parallel safe
return path[cardinality(path) - level + 1];

comment on function clean.from_root(text[], integer) is 'The unit on a level of a path, the root being level 1';

-- Branches whose fifth level says how things stand (Current, Legacy, Staging): what follows is one level lower there.
create or replace function clean.status_levels(path text[]) returns integer
language sql immutable parallel safe
return case when clean.from_root(path, 4) in ('Research and Instrumentation') then 1 else 0 end;

comment on function clean.status_levels(text[]) is
'How many levels of a path say a status: 1 in the branches that have it, else 0';

create or replace function clean.parent_dn(dn text) returns text
language sql immutable parallel safe
return clean.text(substring(clean.trimmed(dn) from '^(?:\\.|[^\\,])*,(.*)$'));

comment on function clean.parent_dn(text) is 'DN of what contains the object; NULL at the top';

-- Rule UAC: bits of userAccountControl.
create or replace function clean.has_bit(mask integer, wanted integer) returns boolean
language sql immutable parallel safe
return mask & wanted <> 0;

comment on function clean.has_bit(integer, integer) is 'Whether a bit of userAccountControl is set; NULL without a mask';

create or replace function clean.account_kind(mask integer) returns text
language sql immutable parallel safe
return case
    when mask & 8192 <> 0 then 'domain_controller'
    when mask & 4096 <> 0 then 'workstation'
    when mask & 512 <> 0 then 'user'
end;

comment on function clean.account_kind(integer) is 'user, workstation or domain_controller, by userAccountControl';

-- ISO text of the years in which directories have times: 1601 and 9999 stand for none.
create or replace function clean.iso_time(value text) returns timestamptz
language sql stable parallel safe
return case when left(clean.trimmed(value), 4) between '1602' and '9998' then clean.tdx_time(value) end;

comment on function clean.iso_time(text) is 'ISO time from 1602 to 9998; anything else becomes NULL';

-- GeneralizedTime as ISO text: minutes and seconds may be missing, a fraction begins with a point or a comma.
create or replace function clean.generalized_time(value text) returns text
language sql immutable parallel safe
return case
    when value ~ '^[0-9]{10}([0-9]{2}([0-9]{2}([.,][0-9]+)?)?)?(Z|[+-][0-9]{2}([0-9]{2})?)$' then regexp_replace(
        regexp_replace(
            regexp_replace(replace(value, ',', '.'), '^([0-9]{12})([Z+-])', '\100\2'), '^([0-9]{10})([Z+-])', '\10000\2'
        ),
        '^(....)(..)(..)(..)(..)(..)', '\1-\2-\3T\4:\5:\6'
    )
end;

comment on function clean.generalized_time(text) is 'ISO text of a GeneralizedTime; anything else becomes NULL';

-- Directory time (code DA), told by its shape: FILETIME (100 ns since 1601), GeneralizedTime, or ISO text. Never and not set,
-- which are written as 0, the greatest number, 1601 and 9999, become NULL.
create or replace function clean.directory_time(value text) returns timestamptz
language sql stable parallel safe
return case
    -- As clients write it, and of this century: half the cost.
    when value like '20__-__-__T__:__:__Z' then clean.tdx_time(value)
    -- Before the year 9999, as in ISO text.
    when clean.trimmed(value) ~ '^[0-9]{17,19}$' then case
        when clean.trimmed(value)::numeric < 2650152384000000000
            then to_timestamp((clean.trimmed(value)::numeric / 10000000 - 11644473600)::double precision)
    end
    else clean.iso_time(coalesce(clean.generalized_time(clean.trimmed(value)), value))
end;

comment on function clean.directory_time(text) is
'Time of a directory: FILETIME, GeneralizedTime or ISO text; never, not set and anything else become NULL';

-- A FILETIME from the last day of the year 9999 on says never.
create or replace function clean.is_no_directory_time(value text) returns boolean
language sql immutable parallel safe
return case
    when clean.text(value) is null or clean.trimmed(value) ~ '^(0+(\.0+)?|1601-?01-?01.*|9999-?12-?31.*)$' then true
    when clean.trimmed(value) ~ '^[0-9]{19}$' then clean.trimmed(value)::numeric >= 2650466880000000000
    else false
end;

comment on function clean.is_no_directory_time(text) is 'Whether a text is blank or how a directory writes never and not set';

-- Bronze holds null for such a time; where the directory said nothing of it, the field is not there.
create or replace function clean.says_no_time(value jsonb) returns boolean
language sql immutable parallel safe
return case
    when value is null then false
    when jsonb_typeof(value) = 'null' then true
    else clean.text(value) is not null and clean.is_no_directory_time(clean.text(value))
end;

comment on function clean.says_no_time(jsonb) is 'Whether a directory said of a time that it is never, or not set';

-- The ticks of a FILETIME, which a client may have made a time.
create or replace function clean.ticks(value text) returns bigint
language sql stable parallel safe
return coalesce(
    clean.bigint(value), (extract(epoch from clean.directory_time(value)) * 10000000 + 116444736000000000)::bigint
);

comment on function clean.ticks(text) is 'Ticks of 100 ns since 1601 of a directory time, or as they stand';
