-- The flags that were raised, in the order given; a rule that found nothing gives NULL.
create or replace function clean.flags(variadic raised text[]) returns text[]
language sql immutable parallel safe
return array_remove(raised, null);

comment on function clean.flags(text[]) is 'Raised quality flags without the NULLs';
