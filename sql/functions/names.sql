-- Text with its HTML entities decoded, once: numeric ones, and the named ones of letters and punctuation. Others stay.
create or replace function clean.unescaped(value text) returns text
language plpgsql immutable parallel safe as $$
declare
    piece text;
    sign integer;
    result text := '';
    named constant jsonb := '{
    "apos": 39, "amp": 38, "lt": 60, "gt": 62, "quot": 34, "nbsp": 160, "shy": 173, "middot": 183, "ndash": 8211,
    "mdash": 8212, "lsquo": 8216, "rsquo": 8217, "sbquo": 8218, "ldquo": 8220, "rdquo": 8221, "bdquo": 8222,
    "hellip": 8230, "bull": 8226, "OElig": 338, "oelig": 339, "Scaron": 352, "scaron": 353, "Yuml": 376,
    "Agrave": 192, "Aacute": 193, "Acirc": 194, "Atilde": 195, "Auml": 196, "Aring": 197, "AElig": 198,
    "Ccedil": 199, "Egrave": 200, "Eacute": 201, "Ecirc": 202, "Euml": 203, "Igrave": 204, "Iacute": 205,
    "Icirc": 206, "Iuml": 207, "ETH": 208, "Ntilde": 209, "Ograve": 210, "Oacute": 211, "Ocirc": 212,
    "Otilde": 213, "Ouml": 214, "Oslash": 216, "Ugrave": 217, "Uacute": 218, "Ucirc": 219, "Uuml": 220,
    "Yacute": 221, "THORN": 222, "szlig": 223, "agrave": 224, "aacute": 225, "acirc": 226, "atilde": 227,
    "auml": 228, "aring": 229, "aelig": 230, "ccedil": 231, "egrave": 232, "eacute": 233, "ecirc": 234,
    "euml": 235, "igrave": 236, "iacute": 237, "icirc": 238, "iuml": 239, "eth": 240, "ntilde": 241, "ograve": 242,
    "oacute": 243, "ocirc": 244, "otilde": 245, "ouml": 246, "oslash": 248, "ugrave": 249, "uacute": 250,
    "ucirc": 251, "uuml": 252, "yacute": 253, "thorn": 254, "yuml": 255
    }';
begin
    -- Piece by piece: what an entity stands for never becomes part of the next one.
    for piece in select m[1] from regexp_matches(value, '(&#?[0-9A-Za-z]+;|&|[^&]+)', 'g') m loop
        sign := case
            when piece ~ '^&#[0-9]{1,7};$' then btrim(piece, '&#;')::integer
            when piece ~ '^&#[xX][0-9a-fA-F]{1,6};$' then ('x' || lpad(btrim(piece, '&#xX;'), 8, '0'))::bit(32)::integer
            when piece like '&%;' then (named ->> btrim(piece, '&;'))::integer
        end;
        -- Numbers that stand for no character are no entities.
        result := result || case when sign between 1 and 55295 or sign between 57344 and 1114111 then chr(sign) else piece end;
    end loop;
    return case when value is not null then result end;
end
$$;

comment on function clean.unescaped(text) is 'Text with its HTML entities decoded';

-- A name as it is compared with another: without case, in one Unicode form, without HTML entities.
create or replace function clean.comparable(value text) returns text
language sql immutable parallel safe
return lower(normalize(case when value like '%&%' then clean.trimmed(clean.unescaped(value)) else value end, nfc));

comment on function clean.comparable(text) is 'Name in the one form in which names are compared';

-- Equal ones, which most are, cost nothing.
create or replace function clean.differ(value text, other text) returns boolean
language sql immutable parallel safe
return value <> other and clean.comparable(value) <> clean.comparable(other);

comment on function clean.differ(text, text) is 'Whether two names are different ones; NULL without two';

-- The name of a group as it is compared, and as it is found by. A name that is nothing but entities of blanks is none.
create or replace function clean.group_name(value text) returns text
language sql immutable parallel safe
return nullif(clean.comparable(value), '');

comment on function clean.group_name(text) is 'Name of a group in the one form in which these are compared';
