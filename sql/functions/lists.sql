-- What Postgres does not inline, and would plan anew with every call: a list member by member.
create or replace function clean.cleaned_texts(value jsonb) returns jsonb
language sql immutable parallel safe set plan_cache_mode = force_generic_plan
return coalesce(
    (
        select jsonb_agg(c.member order by c.place)
        from (
            select
                clean.text(clean.plain(m.member)) as member,
                m.place
            from jsonb_array_elements($1) with ordinality m (member, place)
        ) c
        where c.member is not null
    ),
    '[]'
);

comment on function clean.cleaned_texts(jsonb) is 'Trimmed texts of a JSON list without the blank ones, in order';

-- A list of texts (code A): a single value is a list of one, members are trimmed, blank ones are dropped, the order stays.
-- Most lists hold nothing to change, which their text shows at a tenth of the cost of a look at each member: texts without quotes
-- and backslashes inside, which begin and end with an ASCII sign that is no blank.
create or replace function clean.texts(value jsonb) returns jsonb
language sql immutable parallel safe
return case
    when value is null or jsonb_typeof(value) = 'null' then '[]'
    when jsonb_typeof(value) <> 'array' then clean.cleaned_texts('[]'::jsonb || value)
    when value::text ~ '^\[(?:"[!#-[\]-~](?:[^"\\]*[!#-[\]-~])?"(?:, (?=")|(?=\])))*\]$' then value
    else clean.cleaned_texts(value)
end;

comment on function clean.texts(jsonb) is
'JSON list of trimmed texts; a single value is a list of one, nothing is the empty list';

-- Texts that stand in one value or in several, separated by commas, semicolons or line ends, never by blanks.
-- A loop: most values are one text, for which a query costs ten times as much.
create or replace function clean.split_texts(value jsonb) returns text[]
language plpgsql immutable parallel safe as $$
declare
    member text;
    piece text;
    members text[];
    result text[] := '{}';
begin
    if jsonb_typeof(value) = 'array' then
        members := array(select jsonb_array_elements_text(clean.texts(value)));
    else
        member := clean.text(clean.plain(value));
        if member is null then
            return result;
        end if;
        members := array[member];
        if member !~ '[,;\n\r]' then
            return members;
        end if;
    end if;
    foreach member in array members loop
        foreach piece in array coalesce(regexp_split_to_array(member, '[,;\n\r]'), '{}') loop
            if clean.text(piece) is not null then
                result := result || clean.trimmed(piece);
            end if;
        end loop;
    end loop;
    return result;
end
$$;

comment on function clean.split_texts(jsonb) is 'Texts of a list or of one value, split at commas, semicolons and line ends';

-- None and 0 are no choice; NULL stands for what is no number.
create or replace function clean.choices(value jsonb) returns integer[]
language plpgsql immutable parallel safe as $$
declare
    member text;
    result integer[] := '{}';
begin
    foreach member in array clean.split_texts(value) loop
        if member <> 'None' and clean.integer(member) is distinct from 0 then
            result := array_append(result, clean.integer(member));
        end if;
    end loop;
    return result;
end
$$;

comment on function clean.choices(jsonb) is 'Numbers of the choices in a list or in one value; NULL for what is no number';

create or replace function clean.joined_texts(value jsonb) returns text
language sql immutable parallel safe set plan_cache_mode = force_generic_plan
return (
    select string_agg(m.member, e'\n' order by m.place)
    from jsonb_array_elements_text(clean.texts($1)) with ordinality m (member, place)
);

comment on function clean.joined_texts(jsonb) is 'Texts of a JSON list, one on a line; of an empty one NULL';

-- Of a value that may be several: all of them. Most are one.
create or replace function clean.lines(value jsonb) returns text
language sql immutable parallel safe
return case
    when jsonb_typeof(value) <> 'array' then clean.text(value)
    when jsonb_array_length(value) > 1 then clean.joined_texts(value)
    else clean.text(value)
end;

comment on function clean.lines(jsonb) is 'Trimmed text of a JSON value, of a list all texts, one on a line';

create or replace function clean.distinct_texts(value jsonb) returns jsonb
language sql immutable parallel safe set plan_cache_mode = force_generic_plan
return (
    select coalesce(jsonb_agg(d.member order by d.place), '[]')
    from (
        select
            m.member,
            min(m.place) as place
        from jsonb_array_elements_text(clean.texts($1)) with ordinality m (member, place)
        group by m.member
    ) d
);

comment on function clean.distinct_texts(jsonb) is 'Trimmed texts of a JSON list, each once';

-- Texts of two lists in one, each once.
create or replace function clean.both_texts(value jsonb, other jsonb) returns jsonb
language sql immutable parallel safe
return case
    when clean.texts(other) = '[]' then clean.texts(value)
    else clean.distinct_texts(clean.texts(value) || clean.texts(other))
end;

comment on function clean.both_texts(jsonb, jsonb) is 'Trimmed texts of two lists, each once';

-- Most are one text, for which a query costs twenty times as much.
create or replace function clean.sorted(texts text[]) returns text[]
language plpgsql immutable parallel safe as $$
begin
    if texts is null or (cardinality(texts) = 1 and texts[1] is not null) then
        return texts;
    end if;
    return (
        select array_agg(d.member order by d.member collate "C")
        from (select distinct unnest(texts) as member) d
        where d.member is not null
    );
end
$$;

comment on function clean.sorted(text[]) is 'The texts, each once, in the order of their signs; NULL where there is none';
