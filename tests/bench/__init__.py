"""Measurements: `python -m tests.bench` prints tables and writes var/bench/<name>.json."""
