-- Day in one of the known forms as YYYY-MM-DD, whether or not there is such a day. Of two digits, 00 to 68 are 20xx.
create or replace function clean.day_text(value text) returns text
language sql immutable parallel safe
return case
    when value ~ '^[0-9]{1,2}/[0-9]{1,2}/[0-9]{4}($|[ T])' and substring(value from '/([0-9]{4})') between '0002' and '9998'
        then regexp_replace(value, '^([0-9]+)/([0-9]+)/([0-9]{4}).*$', '\3-\1-\2')
    when value ~ '^[0-9]{1,2}/[0-9]{1,2}/[0-9]{2}($|[ T])'
        then case when substring(value from '/([0-9]{2})(?:$|[ T])') <= '68' then '20' else '19' end
            || regexp_replace(value, '^([0-9]+)/([0-9]+)/([0-9]{2}).*$', '\3-\1-\2')
    when value ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}($|[ T])' and left(value, 4) between '0002' and '9998' then left(value, 10)
end;

comment on function clean.day_text(text) is 'Day as YYYY-MM-DD; NULL where the text has none of the known forms';

-- Day of an award (code DX); a time behind it is ignored.
create or replace function clean.day(value text) returns date
language sql stable parallel safe
return case
    when clean.day_text(clean.trimmed(value)) is not null and pg_input_is_valid(clean.day_text(clean.trimmed(value)), 'date')
        then clean.day_text(clean.trimmed(value))::date
end;

comment on function clean.day(text) is 'Day from M/D/YYYY, M/D/YY or YYYY-MM-DD; anything else becomes NULL';

create or replace function clean.day_and_time(value text) returns text
language sql immutable parallel safe
return clean.day_text(value) || coalesce(substring(value from '[Tt ].*$'), '');

comment on function clean.day_and_time(text) is 'The same as clean.day_text, with the time that stands behind it';

-- Time of the key server (code DK): ISO text, or M/D/YYYY with or without a time; one without a zone is of the zone that is given.
create or replace function clean.zoned_time(value text, zone text) returns timestamptz
language sql stable parallel safe
return case
    when clean.trimmed(value) ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ].*([Zz]|[0-9][+-][0-9]{2}(:?[0-9]{2})?)$'
        then clean.tdx_time(value)
    when
        clean.trimmed(value) ~ '^[0-9/-]+([Tt ]+[0-9]{1,2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?( ?[AaPp][Mm])?)?$'
        and pg_input_is_valid(clean.day_and_time(clean.trimmed(value)), 'timestamp')
        then clean.day_and_time(clean.trimmed(value))::timestamp at time zone zone
end;

comment on function clean.zoned_time(text, text) is
'Time from ISO text or M/D/YYYY; one without a zone is of the given one; anything else becomes NULL';

-- Of what people and machines of the campus write without a zone: TIME_ZONE in lsats_dagster/source.py.
create or replace function clean.local_time(value text) returns timestamptz
language sql stable parallel safe
return clean.zoned_time(value, 'America/Detroit');

comment on function clean.local_time(text) is 'Time of the campus; anything else becomes NULL';
