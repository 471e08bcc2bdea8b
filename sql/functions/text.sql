-- Text with the blanks around it removed; nothing left = NULL (silver_source_tables.md 2.1, code T).
create or replace function clean.text(value text) returns text
language sql immutable parallel safe
return nullif(btrim(value, e' \t\n\r\f\v\u00a0'), '');

comment on function clean.text(text) is 'Trimmed text; blank becomes NULL';

-- The first member of a list that is not blank; a list or an object inside is its JSON.
create or replace function clean.first_text(value jsonb) returns text
language sql immutable parallel safe
return (
    select clean.text(m.member #>> '{}')
    from jsonb_array_elements($1) with ordinality m (member, place)
    where clean.text(m.member #>> '{}') is not null
    order by m.place
    limit 1
);

comment on function clean.first_text(jsonb) is 'Trimmed text of the first member of a JSON list that is not blank';

-- The same from JSON, where a list is told from a text that looks like one: of a list the first text, of an object none.
-- To ->> a bare value is a list of one member: nearly all are done with it, at half the cost of asking for the type first.
create or replace function clean.text(value jsonb) returns text
language sql immutable parallel safe
return coalesce(
    clean.text(value ->> 0), case when jsonb_typeof(value) = 'array' then clean.first_text(value) end
);

comment on function clean.text(jsonb) is 'Trimmed text of a JSON value, of a list the first that is not blank';

-- A text that is looked up: of at most 200 signs, because an index takes no value beyond some 2,700 bytes.
create or replace function clean.code(value jsonb) returns text
language sql immutable parallel safe
return case when length(clean.text(value)) <= 200 then clean.text(value) end;

comment on function clean.code(jsonb) is 'Trimmed text of at most 200 signs; anything longer becomes NULL';
