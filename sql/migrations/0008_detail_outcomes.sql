-- failed: the call had no answer. denied: answered as not there, although the list has it, and not removed.
alter table meta.detail_fetches drop constraint detail_fetches_outcome_check;
alter table meta.detail_fetches add constraint detail_fetches_outcome_check
check (outcome in ('found', 'gone', 'quarantined', 'failed', 'denied'));
