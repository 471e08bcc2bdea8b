-- TeamDynamix time: ISO text, without a zone UTC, up to seven digits of a second; year 1 means "not set" (code DT).
-- Years beyond 9998 are refused too: a shift of zone would leave what clients can show.
-- The usual form, to the second, in UTC and of this century, is told at a fifth of the cost of the pattern for all forms: its
-- separators stand in their places, and no other stands beside one of them, so that digits do. What most records have for "not
-- set" follows.
create or replace function clean.tdx_time(value text) returns timestamptz
language sql stable parallel safe
return case
    when
        value like '20__-__-__T__:__:__Z' and value !~ '[^-0-9T:Z]|[^0-9][^0-9]'
        then case when pg_input_is_valid(value, 'timestamptz') then value::timestamptz end
    when value like '0001-%' then null
    when
        clean.trimmed(value)
        ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)?$'
        and left(clean.trimmed(value), 4) between '0002' and '9998'
        then case
            when pg_input_is_valid(clean.trimmed(value), 'timestamptz')
                then case
                    when clean.trimmed(value) ~ '([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$' then clean.trimmed(value)::timestamptz
                    else (clean.trimmed(value)::timestamp at time zone 'UTC')
                end
        end
end;

comment on function clean.tdx_time(text) is 'TeamDynamix time; "not set" and anything unreadable become NULL';

-- Whether a text stands for "no time" rather than for an unreadable one.
create or replace function clean.is_no_time(value text) returns boolean
language sql immutable parallel safe
return value like '0001-%' or clean.text(value) is null or clean.trimmed(value) like '0001-%';

comment on function clean.is_no_time(text) is 'Whether a text is blank or the year-1 sentinel';
