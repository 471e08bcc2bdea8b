-- Text with the blanks around it removed; nothing left = NULL (silver_source_tables.md 2.1, code T).
create or replace function clean.text(value text) returns text
language sql immutable parallel safe
return nullif(clean.trimmed(value), '');

comment on function clean.text(text) is 'Trimmed text; blank becomes NULL';

-- One JSON value as text. A number is written without trailing zeros: 8.0 and 8 are the same number, and the same code.
create or replace function clean.plain(value jsonb) returns text
language sql immutable parallel safe
return case when jsonb_typeof(value) = 'number' then trim_scale(value::numeric)::text else value #>> '{}' end;

comment on function clean.plain(jsonb) is 'Text of a JSON value; a number without trailing zeros';

-- The first member of a list that is not blank; a list or an object inside is its JSON.
-- Postgres does not inline it, and would plan it anew with every call.
create or replace function clean.first_text(value jsonb) returns text
language sql immutable parallel safe set plan_cache_mode = force_generic_plan
return (
    select clean.text(clean.plain(m.member))
    from jsonb_array_elements($1) with ordinality m (member, place)
    where clean.text(clean.plain(m.member)) is not null
    order by m.place
    limit 1
);

comment on function clean.first_text(jsonb) is 'Trimmed text of the first member of a JSON list that is not blank';

-- The same from JSON, where a list is told from a text that looks like one: of a list the first text, of an object none.
-- To ->> a bare value is a list of one member, which costs less than asking for it by a path.
create or replace function clean.text(value jsonb) returns text
language sql immutable parallel safe
return case jsonb_typeof(value)
    when 'string' then clean.text(value ->> 0)
    when 'number' then clean.plain(value)
    when 'array' then case
        -- What directories give of most attributes.
        when jsonb_array_length(value) = 1 and jsonb_typeof(value -> 0) = 'string' then clean.text(value ->> 0)
        else clean.first_text(value)
    end
    else clean.text(value ->> 0)
end;

comment on function clean.text(jsonb) is 'Trimmed text of a JSON value, of a list the first that is not blank';

-- A text that is looked up: of at most 200 signs, because an index takes no value beyond some 2,700 bytes, and of ASCII,
-- because other signs can look the same, full-width digits for one, and would make a second row beside the right one.
-- Inlined, it would read the value three times, and decompress the payload that it is taken from each time.
create or replace function clean.code(value jsonb) returns text
language plpgsql immutable parallel safe
as $$
declare
    code constant text := clean.text(value);
begin
    return case when length(code) <= 200 and code !~ '[^ -~]' then code end;
end
$$;

comment on function clean.code(jsonb) is 'Trimmed text of at most 200 ASCII signs; anything else becomes NULL';

-- A code in a cell of a sheet, which may have taken it for a number: 8.0 is the code 8.
create or replace function clean.cell_code(value jsonb) returns text
language sql immutable parallel safe
return regexp_replace(clean.code(value), '^([0-9]+)\.0+$', '\1');

comment on function clean.cell_code(jsonb) is 'Code in a cell of a sheet; a whole number has no decimals';
