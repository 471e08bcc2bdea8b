-- Exact decimal (code N), also from 8e0, which a cell of a sheet may hold. Digits with at most one point come first, at a quarter
-- of the cost of the pattern.
create or replace function clean.decimal(value text) returns numeric
language sql immutable parallel safe
return case
    when octet_length(value) <= 15 and translate(value, '0123456789', '') in ('', '.') and value not in ('', '.')
        then value::numeric
    when clean.trimmed(value) ~ '^[+-]?([0-9]{1,15}(\.[0-9]{0,15})?|\.[0-9]{1,15})([eE][+-]?[0-9]{1,2})?$'
        then clean.trimmed(value)::numeric
end;

comment on function clean.decimal(text) is 'Exact decimal number; anything else becomes NULL';

-- Money (code $): without dollar sign, commas and blanks; in brackets it is negative; two decimals.
create or replace function clean.money(value text) returns numeric
language sql immutable parallel safe
return case
    when regexp_replace(value, '[$,\s\u00a0]', '', 'g') ~ '^([+-]?|\()([0-9]{1,13}(\.[0-9]*)?|\.[0-9]+)\)?$'
        and (regexp_replace(value, '[$,\s\u00a0]', '', 'g') like '(%') = (regexp_replace(value, '[$,\s\u00a0]', '', 'g') like '%)')
        then round(
            regexp_replace(regexp_replace(value, '[$,\s\u00a0)]', '', 'g'), '^\(', '-')::numeric, 2
        )
end;

comment on function clean.money(text) is
'Amount in dollars with two decimals; in brackets it is negative; anything else becomes NULL';
