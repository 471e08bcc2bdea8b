-- A JSON list as it is; anything else, JSON null included, becomes the empty list (code J).
create or replace function clean.list(value jsonb) returns jsonb
language sql immutable parallel safe
return case when jsonb_typeof(value) = 'array' then value else '[]'::jsonb end;

comment on function clean.list(jsonb) is 'JSON list; anything else becomes the empty list';
