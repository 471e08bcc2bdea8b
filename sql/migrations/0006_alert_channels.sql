-- Each channel has its own memory of what it took: one that refuses is tried again, and the others are not told twice.
alter table meta.alerts add column channel text not null default 'log';
alter table meta.alerts alter column channel drop default;
alter table meta.alerts drop constraint alerts_pkey;
alter table meta.alerts add primary key (alert_key, channel);
comment on table meta.alerts is 'When each channel last took each alert, and how often it was raised since';
