"""The demo: an embedded Postgres and a simulated campus, both on loopback only."""
