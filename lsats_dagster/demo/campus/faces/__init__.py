"""How the sources answer on the wire."""
