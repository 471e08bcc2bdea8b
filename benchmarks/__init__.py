"""What the hub's engines cost. `python -m benchmarks` measures everything; it is no part of the tests."""
