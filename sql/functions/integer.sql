-- Whole number from 8, 8.0, " 8 " (code I); anything else, and what does not fit, is NULL.
-- Plain digits, which nearly all values are, come first: half the cost of the pattern and the decimal arithmetic that the
-- rest needs.
create or replace function clean.integer(value text) returns integer
language sql immutable parallel safe
return case
    when octet_length(value) between 1 and 9 and value !~ '[^0-9]' then value::integer
    when clean.trimmed(value) ~ '^[+-]?[0-9]{1,10}(\.0*)?$'
        then case
            when clean.trimmed(value)::numeric between -2147483648 and 2147483647 then clean.trimmed(value)::numeric::integer
        end
end;

comment on function clean.integer(text) is 'Whole number of 32 bits; anything else becomes NULL';

-- The same where the source writes 0 for "not set" (code I0).
create or replace function clean.reference(value text) returns integer
language sql immutable parallel safe
return nullif(clean.integer(value), 0);

comment on function clean.reference(text) is 'Whole number where 0 means "not set" and becomes NULL';

-- The same of 64 bits.
create or replace function clean.bigint(value text) returns bigint
language sql immutable parallel safe
return case
    when octet_length(value) between 1 and 18 and value !~ '[^0-9]' then value::bigint
    when clean.trimmed(value) ~ '^[+-]?[0-9]{1,19}(\.0*)?$'
        then case
            when clean.trimmed(value)::numeric between -9223372036854775808 and 9223372036854775807
                then clean.trimmed(value)::numeric::bigint
        end
end;

comment on function clean.bigint(text) is 'Whole number of 64 bits; anything else becomes NULL';
