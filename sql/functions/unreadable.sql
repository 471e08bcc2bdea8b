-- Flags of values that cannot be read, one call a value: the flag with the name of the column, or NULL. What stands for nothing
-- is not unreadable.
create or replace function clean.bad_integer(name text, value text) returns text
language sql immutable parallel safe
return case
    when value is not null and clean.integer(value) is null and clean.text(value) is not null then 'bad_integer:' || name
end;

comment on function clean.bad_integer(text, text) is 'Flag of a text that is no whole number';

create or replace function clean.bad_bigint(name text, value text) returns text
language sql immutable parallel safe
return case
    when value is not null and clean.bigint(value) is null and clean.text(value) is not null then 'bad_integer:' || name
end;

comment on function clean.bad_bigint(text, text) is 'Flag of a text that is no whole number of 64 bits';

create or replace function clean.bad_decimal(name text, value text) returns text
language sql immutable parallel safe
return case
    when value is not null and clean.decimal(value) is null and clean.text(value) is not null then 'bad_decimal:' || name
end;

comment on function clean.bad_decimal(text, text) is 'Flag of a text that is no decimal number';

create or replace function clean.unparsed_amount(name text, value text) returns text
language sql immutable parallel safe
return case
    when value is not null and clean.money(value) is null and clean.text(value) is not null then 'unparsed_amount:' || name
end;

comment on function clean.unparsed_amount(text, text) is 'Flag of a text that is no amount of money';

create or replace function clean.bad_uuid(name text, value text) returns text
language sql immutable parallel safe
return case
    when value is not null and not clean.is_no_uuid(value) and clean.uuid(value) is null then 'bad_uuid:' || name
end;

comment on function clean.bad_uuid(text, text) is 'Flag of a text that is no identifier';

create or replace function clean.bad_code(name text, value jsonb) returns text
language sql immutable parallel safe
return case
    when value is not null and clean.code(value) is null and clean.text(value) is not null then 'bad_code:' || name
end;

comment on function clean.bad_code(text, jsonb) is 'Flag of a text that cannot be looked up';

create or replace function clean.invalid_uniqname(name text, value jsonb) returns text
language sql immutable parallel safe
return case
    when value is not null and clean.uniqname(value) is null and clean.text(value) is not null then 'invalid_uniqname:' || name
end;

comment on function clean.invalid_uniqname(text, jsonb) is 'Flag of a text that is no login name';

create or replace function clean.bad_tdx_time(name text, value text) returns text
language sql stable parallel safe
return case
    when value is not null and not clean.is_no_time(value) and clean.tdx_time(value) is null then 'bad_date:' || name
end;

comment on function clean.bad_tdx_time(text, text) is 'Flag of a text that is no time of TeamDynamix';

create or replace function clean.bad_directory_time(name text, value text) returns text
language sql stable parallel safe
return case
    when value is not null and clean.directory_time(value) is null and not clean.is_no_directory_time(value)
        then 'bad_date:' || name
end;

comment on function clean.bad_directory_time(text, text) is 'Flag of a text that is no time of a directory';

create or replace function clean.bad_zoned_time(name text, value text) returns text
language sql stable parallel safe
return case
    when value is not null and clean.zoned_time(value, 'UTC') is null and clean.text(value) is not null then 'bad_date:' || name
end;

comment on function clean.bad_zoned_time(text, text) is 'Flag of a text that is no time of the key server';

create or replace function clean.bad_day(name text, value text) returns text
language sql stable parallel safe
return case
    when value is not null and clean.day(value) is null and clean.text(value) is not null then 'bad_date:' || name
end;

comment on function clean.bad_day(text, text) is 'Flag of a text that is no day';
