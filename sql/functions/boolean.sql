-- Truth value from true/t/yes/y/1 and false/f/no/n/0 in any case (code B); anything else is NULL. 1.0 is the number 1.
-- The two that JSON itself writes come first: a tenth of the cost of the rest.
create or replace function clean.boolean(value text) returns boolean
language sql immutable parallel safe
return case
    when value = 'true' then true
    when value = 'false' then false
    when lower(clean.trimmed(value)) in ('true', 't', 'yes', 'y', '1', '1.0') then true
    when lower(clean.trimmed(value)) in ('false', 'f', 'no', 'n', '0', '0.0') then false
end;

comment on function clean.boolean(text) is 'Truth value; anything else becomes NULL';

-- Whoever asks for privacy in words that cannot be read has it.
create or replace function clean.privacy(value text) returns boolean
language sql immutable parallel safe
return case when clean.text(value) is not null then coalesce(clean.boolean(value), true) end;

comment on function clean.privacy(text) is 'Truth value; what is neither becomes true, blank NULL';
