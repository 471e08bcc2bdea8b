"""The LSATS data hub: five sources, one picture of people, departments, computers and labs in Postgres."""
