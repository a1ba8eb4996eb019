"""The parts of `make_runs.py`."""
