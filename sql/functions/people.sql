-- Login name of the university (code LU): a letter, then up to 49 letters, digits, dots, hyphens. Inlined, it would read the
-- text three times.
create or replace function clean.uniqname(value jsonb) returns text
language plpgsql immutable parallel safe
as $$
declare
    name constant text := lower(clean.text(value));
begin
    return case when name ~ '^[a-z][a-z0-9.-]*$' and length(name) <= 50 then name end;
end
$$;

comment on function clean.uniqname(jsonb) is 'Login name in lower case; what has not its form becomes NULL';

create or replace function clean.email(value jsonb) returns text
language sql immutable parallel safe
return lower(clean.text(value));

comment on function clean.email(jsonb) is 'E-mail address in lower case, as it stands';

-- What people are matched by: an address with one @.
create or replace function clean.matching_email(value text) returns text
language sql immutable parallel safe
return case when value ~ '^[^@[:space:]]+@[^@[:space:]]+$' then lower(value) end;

comment on function clean.matching_email(text) is 'E-mail address that people may be matched by: one @, no blanks';

-- Six digits. A source that took the code for a number lost its zeros, and may have given it decimals.
create or replace function clean.department_code(value jsonb) returns text
language sql immutable parallel safe
return case
    when clean.cell_code(value) ~ '^[0-9]{1,5}$' then lpad(clean.cell_code(value), 6, '0')
    else clean.cell_code(value)
end;

comment on function clean.department_code(jsonb) is 'Department code with the zeros that a source lost';

-- TeamDynamix writes the word None where there is nothing (code Tn).
create or replace function clean.tdx_text(value jsonb) returns text
language sql immutable parallel safe
return nullif(clean.text(value), 'None');

comment on function clean.tdx_text(jsonb) is 'Trimmed text of a TeamDynamix value; blank and the word None become NULL';

-- Affiliations are texts such as `Example Biology - Faculty and Staff`, `Example Biology - Student`, `Alumni`. The text of the
-- whole list is looked at, which costs a tenth of a look at each member.
create or replace function clean.person_type(is_employed boolean, affiliations jsonb) returns text
language sql immutable parallel safe
return case
    when is_employed or affiliations::text ~* '\yfaculty and staff"' then 'employee'
    when coalesce(affiliations, '[]') = '[]' then 'other'
    when affiliations::text ~* '\ystudents?"' then 'student'
    when affiliations::text ~* '^\["(?:(?:[^"\\]|\\.)* - )?alumni"(?:, "(?:(?:[^"\\]|\\.)* - )?alumni")*\]$' then 'alumni'
    else 'affiliate'
end;

comment on function clean.person_type(boolean, jsonb) is
'employee, student, alumni, affiliate, or other without affiliations, by employment and a list of affiliations';

-- HR and MCommunity have people only. Parts of a login name are told by hyphens and dots: Testa is a name.
create or replace function clean.account_type(uniqname text, is_somebody boolean, directory_type text) returns text
language sql immutable parallel safe
return case
    when is_somebody then 'person'
    when uniqname ~ '(?:^|[.-])test(?:ing)?[0-9]*(?:$|[.-])' then 'test'
    when directory_type = 'service' or uniqname ~ '(?:^|[.-])(?:svc|service)[0-9]*(?:$|[.-])' then 'service'
    else 'person'
end;

comment on function clean.account_type(text, boolean, text) is
'person, service or test: by whether HR or MCommunity have the holder, the login name, and the type of the account';
