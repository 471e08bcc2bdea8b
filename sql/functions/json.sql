-- A JSON list as it is; anything else, JSON null included, becomes the empty list (code J).
create or replace function clean.list(value jsonb) returns jsonb
language sql immutable parallel safe
return case when jsonb_typeof(value) = 'array' then value else '[]'::jsonb end;

comment on function clean.list(jsonb) is 'JSON list; anything else becomes the empty list';

-- A record of a list and its detail in one: what the newer of them lacks is as the older one says. Without a detail the record.
create or replace function clean.with_detail(record jsonb, record_seq bigint, detail jsonb, detail_seq bigint) returns jsonb
language sql immutable parallel safe
return case when detail_seq > record_seq then record || detail else coalesce(detail || record, record) end;

comment on function clean.with_detail(jsonb, bigint, jsonb, bigint) is
'Fields of a record and of its detail, each as the newer of them that has it says';
