"""How to talk to the outside: one plain class per source system, without Dagster and without the database."""
