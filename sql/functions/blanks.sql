-- A value without the blanks around it: what people see as nothing, the invisible signs that spreadsheets and web pages leave
-- included. BLANKS in lsats_dagster/ingestion/stream.py are the same signs: keys are compared with values.
create or replace function clean.trimmed(value text) returns text
language sql immutable parallel safe
return btrim(
    value,
    e' \t\n\r\f\v\u0085\u00a0\u200b\ufeff\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u3000'
);

comment on function clean.trimmed(text) is 'Text without the blanks around it; invisible signs are blanks';
