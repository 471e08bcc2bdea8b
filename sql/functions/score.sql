-- Quality score: 1 minus the deduction of each flag, at least 0. A flag's detail after the colon costs nothing of its own.
-- NULL where a flag has no deduction. A function, because a subquery would keep the refresh from running in parallel.
create or replace function clean.score(flags text[], names text[], deductions numeric[]) returns numeric
language plpgsql immutable parallel safe as $$
declare
    flag text;
    score numeric := 1;
begin
    foreach flag in array flags loop
        score := score - deductions[array_position(names, split_part(flag, ':', 1))];
    end loop;
    return case when score < 0 then 0 else score end;
end
$$;

comment on function clean.score(text[], text[], numeric[]) is '1 minus the deductions of the flags, at least 0';
