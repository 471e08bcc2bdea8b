-- Network address (section 2.5): twelve hexadecimal digits in upper case, whatever stands between them. All zeros and all ones
-- are none. Pairs between colons come first, at a fifth of the cost of the patterns.
create or replace function clean.mac(value text) returns text
language sql immutable parallel safe
return nullif(nullif(upper(case
    when value like '__:__:__:__:__:__' and value !~ '[^0-9a-fA-F:]' and octet_length(replace(value, ':', '')) = 12
        then replace(value, ':', '')
    else substring(regexp_replace(value, '[^0-9a-fA-F]', '', 'g') from '^.{12}$')
end), '000000000000'), 'FFFFFFFFFFFF');

comment on function clean.mac(text) is 'MAC address as twelve hexadecimal digits; anything else becomes NULL';

create or replace function clean.macs(value jsonb) returns text[]
language plpgsql immutable parallel safe as $$
declare
    piece text;
    address text;
    result text[] := '{}';
begin
    foreach piece in array clean.split_texts(value) loop
        address := clean.mac(piece);
        if address is not null and address <> all(result) then
            result := result || address;
        end if;
    end loop;
    if cardinality(result) > 1 then
        result := array(select m.mac from unnest(result) m (mac) order by m.mac);
    end if;
    return result;
end
$$;

comment on function clean.macs(jsonb) is 'MAC addresses of one value or a list, each once, sorted';

-- Serial number as machines are matched by it: in upper case and without blanks. What makers write where there is none is none.
create or replace function clean.serial(value text) returns text
language sql immutable parallel safe
return case
    when length(upper(clean.trimmed(value))) >= 4 and upper(clean.trimmed(value)) !~ '^0+$'
        and upper(clean.trimmed(value)) not in (
            'NONE', 'N/A', 'UNKNOWN', 'TO BE FILLED BY O.E.M.', 'DEFAULT STRING', 'SYSTEM SERIAL NUMBER'
        )
        then regexp_replace(upper(clean.trimmed(value)), '\s', '', 'g')
end;

comment on function clean.serial(text) is 'Serial number in upper case, without blanks; what stands for none becomes NULL';

-- Valid addresses of one value or a list, without the length of their network, each once.
create or replace function clean.ips(value jsonb) returns text[]
language plpgsql immutable parallel safe as $$
declare
    piece text;
    address text;
    result text[] := '{}';
begin
    foreach piece in array clean.split_texts(value) loop
        address := split_part(piece, '/', 1);
        if pg_input_is_valid(address, 'inet') then
            address := host(address::inet);
            if address <> all(result) then
                result := result || address;
            end if;
        end if;
    end loop;
    return result;
end
$$;

comment on function clean.ips(jsonb) is 'Valid IP addresses of one value or a list, each once, in order';
