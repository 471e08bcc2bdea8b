-- Text with the blanks around it removed; nothing left = NULL (silver_source_tables.md 2.1, code T).
create or replace function clean.text(value text) returns text
language sql immutable parallel safe
return nullif(btrim(value, e' \t\n\r\f\v\u00a0'), '');

comment on function clean.text(text) is 'Trimmed text; blank becomes NULL';
