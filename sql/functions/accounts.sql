-- An object that a domain controller renamed because another had its name: a line feed, CNF: and a GUID stand behind the name.
create or replace function clean.is_conflict(name text) returns boolean
language sql immutable parallel safe
return coalesce(name ~ '(\n|\\0[Aa])CNF:', false);

comment on function clean.is_conflict(text) is 'Whether the name or DN of an object of Active Directory is that of a conflict';

-- The first of these that has the form of a login name. A conflict is a second object of somebody who has one already.
create or replace function clean.account_uniqname(uid jsonb, sam_account_name jsonb, cn jsonb) returns text
language sql immutable parallel safe
return case
    when not clean.is_conflict(clean.text(cn))
        then coalesce(clean.uniqname(uid), clean.uniqname(sam_account_name), clean.uniqname(cn))
end;

comment on function clean.account_uniqname(jsonb, jsonb, jsonb) is
'Login name of an account: uid, else account name, else common name, if it has the form of one; of a conflict NULL';

create or replace function clean.group_scope(mask integer) returns text
language sql immutable parallel safe
return case
    when mask & 2 <> 0 then 'global'
    when mask & 4 <> 0 then 'domain_local'
    when mask & 8 <> 0 then 'universal'
end;

comment on function clean.group_scope(integer) is 'global, domain_local or universal, by groupType';

-- Of members of a group, a cleaned list, those whose DN is that of a person.
create or replace function clean.people_among(dns jsonb) returns jsonb
language sql immutable parallel safe set plan_cache_mode = force_generic_plan
return (
    select coalesce(jsonb_agg(p.uniqname order by p.uniqname collate "C"), '[]') -- noqa: RF03
    from (
        select distinct d.uniqname
        from (
            select clean.dn_uniqname(m.dn) as uniqname
            from jsonb_array_elements_text(clean.list($1)) m (dn)
            offset '0' -- each DN is read once
        ) d
        where d.uniqname is not null
    ) p
);

comment on function clean.people_among(jsonb) is 'Login names of the people among DNs, each once, sorted';

-- The same of groups, which stand below units that are named so.
create or replace function clean.groups_among(dns jsonb) returns jsonb
language sql immutable parallel safe set plan_cache_mode = force_generic_plan
return (
    select coalesce(jsonb_agg(g.dn order by g.dn collate "C"), '[]') -- noqa: RF03
    from (select distinct lower(m.dn) as dn from jsonb_array_elements_text(clean.list($1)) m (dn)) g
    -- Most are people, whom the first condition tells at a fraction of the cost.
    where g.dn like '%groups%' and g.dn ~ ',\s*ou\s*=\s*(users? (and )?)?groups\s*(,|$)'
);

comment on function clean.groups_among(jsonb) is 'DNs of the groups among DNs, in lower case, each once, sorted';

-- A long list comes in pieces, `member;range=0-1499`, which clients put together. What one left in pieces is put together here.
create or replace function clean.ranged(payload jsonb, name text) returns jsonb
language sql immutable parallel safe set plan_cache_mode = force_generic_plan
return (
    select jsonb_agg(m.member order by clean.bigint(substring(p.key from ';range=([0-9]+)')), m.place)
    from jsonb_each($1) p (key, value)
    cross join lateral jsonb_array_elements(clean.texts(p.value)) with ordinality m (member, place)
    where starts_with(lower(p.key), lower($2) || ';range=')
);

comment on function clean.ranged(jsonb, text) is 'Values of an attribute that stand in pieces in a payload; NULL where none do';

-- SHA-256 of certificates, which themselves are not kept. What is not in base64 has none.
create or replace function clean.thumbprints(value jsonb) returns text[]
language plpgsql immutable parallel safe as $$
declare
    certificate text;
    result text[] := '{}';
begin
    for certificate in select jsonb_array_elements_text(clean.texts(value)) loop
        if certificate ~ '^[A-Za-z0-9+/]+={0,2}$' and length(certificate) % 4 = 0 then
            result := result || encode(sha256(decode(certificate, 'base64')), 'hex');
        end if;
    end loop;
    return result;
end
$$;

comment on function clean.thumbprints(jsonb) is 'SHA-256 of certificates in base64, as hexadecimal digits';

-- Login name that a unit may be named after (silver_source_tables.md 4.10): rivers-lab, psyc-jrivers, jrivers.
create or replace function clean.uniqname_candidate(name text) returns text
language sql immutable parallel safe
return case
    when name ~ '^[A-Za-z]{3,8}-[Ll][Aa][Bb]$' then lower(split_part(name, '-', 1))
    when name ~ '^[A-Za-z]{2,6}-[A-Za-z]{3,8}$' then nullif(lower(split_part(name, '-', 2)), 'lab')
    when name ~ '^[A-Za-z]{3,8}$' then lower(name)
end;

comment on function clean.uniqname_candidate(text) is 'Login name in the name of an organizational unit; NULL where it holds none';

-- Names of units that say how a branch is ordered. Somebody may have such a word for a login name, and owns no unit by that.
create or replace function clean.is_structural_name(name text) returns boolean
language sql immutable parallel safe
return lower(name) in (
    'admin', 'archive', 'classroom', 'common', 'computer', 'computers', 'current', 'default', 'desktop', 'desktops', 'disabled',
    'general', 'groups', 'kiosk', 'kiosks', 'laptop', 'laptops', 'legacy', 'linux', 'mac', 'macs', 'other', 'people', 'printers',
    'public', 'research', 'retired', 'security', 'server', 'servers', 'service', 'services', 'shared', 'staff', 'staging',
    'standard', 'student', 'students', 'temp', 'test', 'testing', 'users', 'windows'
);

comment on function clean.is_structural_name(text) is 'Whether a unit has a name that says how a branch is ordered';
