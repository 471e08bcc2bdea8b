"""A directory served over LDAP version 3: the protocol and its limits, without knowledge of what the directory holds."""
