"""How deep the suites look: FACTOR times as deep in `make proof` as in `make test`."""

import os

PROOF = os.environ.get("LSATS_PROOF") == "1"
# Random histories, and whatever else is worth more the more of it there is, are counted in multiples of this.
FACTOR = 8 if PROOF else 1
