-- TeamDynamix time: ISO text, without a zone UTC, up to seven digits of a second; year 1 means "not set" (code DT).
-- Years beyond 9998 are refused too: a shift of zone would leave what clients can show.
-- The usual form, to the second and in UTC, is told by its shape (every digit becomes 9): a third of the cost of the pattern.
create or replace function clean.tdx_time(value text) returns timestamptz
language sql stable parallel safe
return case
    when translate(value, '012345678', '999999999') = '9999-99-99T99:99:99Z'
        then case
            when value >= '0002' collate "C" and value < '9999' collate "C" and pg_input_is_valid(value, 'timestamptz')
                then value::timestamptz
        end
    when
        btrim(value)
        ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?$'
        and left(btrim(value), 4) between '0002' and '9998'
        then case
            when pg_input_is_valid(btrim(value), 'timestamptz')
                then case
                    when btrim(value) ~ '([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$' then btrim(value)::timestamptz
                    else (btrim(value)::timestamp at time zone 'UTC')
                end
        end
end;

comment on function clean.tdx_time(text) is 'TeamDynamix time; "not set" and anything unreadable become NULL';

-- Whether a text stands for "no time" rather than for an unreadable one.
create or replace function clean.is_no_time(value text) returns boolean
language sql immutable parallel safe
return clean.text(value) is null or btrim(value) like '0001-%';

comment on function clean.is_no_time(text) is 'Whether a text is blank or the year-1 sentinel';
