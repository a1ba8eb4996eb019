"""Trains sample runs again from what `runlake reproduce` says of them, and compares every metric to 1e-9.

    python tests/reproduce/retrain.py --runlake target/debug/runlake

One run of each model and data set, as the command, the packages and the variables of the environment that the store holds
ask for. The made-up commit of the sample cannot be checked out: the checkout is this one. Measured times differ.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data"
TOLERANCE = 1e-9
# Times are measured anew.
MEASURED = ("fit_time_s",)
# Ensembles are planned from the results of all other runs, so none is trained alone.
CHOSEN = """
SELECT run_id, experiment, model FROM (
  SELECT run_id, experiment, params.model AS model, tags.sweep AS sweep,
    row_number() OVER (PARTITION BY experiment, params.model, tags.sweep = 'warm-start' ORDER BY run_id DESC) AS place
  FROM runs WHERE status = 'FINISHED' AND params.model IS NOT NULL AND params.model <> 'stacking'
) WHERE place = 1 ORDER BY experiment, model, run_id
"""


def ask(runlake: Path, store: Path, *words: str) -> str:
    """What a command prints; fails as it does."""
    done = subprocess.run([runlake, "--store", store, *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"runlake {shlex.join(words)} exited with {done.returncode}: {done.stderr}")
    return done.stdout


def rows(runlake: Path, store: Path, sql: str) -> list[dict[str, Any]]:
    """The rows of a query."""
    return json.loads(ask(runlake, store, "sql", "-c", sql, "--format", "json"))


def train(runlake: Path, store: Path, run: str, out: Path) -> None:
    """Runs the command that the store holds, for this run alone."""
    facts = json.loads(ask(runlake, store, "reproduce", run, "--format", "json"))
    environment = {f["key"]: f["value"] for f in facts if f["section"] == "environment" and f["key"].isupper()}
    program, *words = shlex.split(ask(runlake, store, "reproduce", run, "--only", "command"))
    assert program == "python", program
    command = [sys.executable, *words, "--run", run, "--out", str(out)]
    subprocess.run(command, cwd=SAMPLE, env=os.environ | environment, check=True, capture_output=True)


def check_packages(runlake: Path, store: Path, run: str) -> None:
    """The packages that the run names are those that are installed, and `--check` agrees."""
    wanted = {line for line in ask(runlake, store, "reproduce", run, "--only", "requirements").splitlines() if line[0] != "#"}
    pinned = set((SAMPLE / "requirements.txt").read_text().split())
    assert wanted <= pinned, wanted - pinned
    words = ["reproduce", run, "--check", "--all", "--python", sys.executable, "--format", "json"]
    done = subprocess.run([runlake, "--store", store, *words], capture_output=True, text=True, cwd=ROOT)
    found = json.loads(done.stdout)
    packages = [f for f in found if f["section"] == "packages" and f["key"] != "python"]
    assert packages and all(f["same"] for f in packages), packages
    # The commit of the sample is made up, so it is never here.
    assert done.returncode == 1, done.stderr
    assert [f["same"] for f in found if f["key"] == "git_commit"] == [False], found


POINTS = "SELECT key, context, step, value FROM metrics WHERE run_id = '{}' ORDER BY key, context, step"
DATA = "SELECT role, dataset, data_version, digest FROM data_versions WHERE run_id = '{}' ORDER BY role"


def near(a: Any, b: Any) -> bool:
    """Whether two values are one; NaN and infinities stand in JSON as text or null."""
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return a == b


def compare(runlake: Path, old: Path, new: Path, run: str) -> int:
    """Compares data and metrics of a run in two stores; returns the number of points."""
    assert rows(runlake, old, DATA.format(run)) == rows(runlake, new, DATA.format(run)), f"{run}: other data"
    logged, again = (
        [r for r in rows(runlake, store, POINTS.format(run)) if r["key"] not in MEASURED] for store in (old, new)
    )
    place = lambda r: (r["key"], r["context"], r["step"])
    assert [place(r) for r in logged] == [place(r) for r in again], f"{run}: other points"
    differ = [(place(a), a["value"], b["value"]) for a, b in zip(logged, again) if not near(a["value"], b["value"])]
    assert not differ, f"{run}: {len(differ)} of {len(logged)} points differ: {differ[:5]}"
    return len(logged)


def main() -> None:
    """Trains and compares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runlake", type=Path, required=True, help="the binary")
    runlake = parser.parse_args().runlake.resolve()
    with tempfile.TemporaryDirectory() as folder:
        old, new, out = (Path(folder) / name for name in ("demo", "again", "run.jsonl"))
        ask(runlake, old, "demo", str(old))
        ask(runlake, new, "init")
        chosen = rows(runlake, old, CHOSEN)
        check_packages(runlake, old, chosen[0]["run_id"])
        points = 0
        for run in chosen:
            train(runlake, old, run["run_id"], out.with_suffix(".jsonl.gz"))
            ask(runlake, new, "log", str(out.with_suffix(".jsonl.gz")))
            points += compare(runlake, old, new, run["run_id"])
        assert len(chosen) > 20 and points > 1000, (len(chosen), points)
    print(f"reproduce: {len(chosen)} sample runs trained again, {points:,} points within {TOLERANCE}")


if __name__ == "__main__":
    main()
