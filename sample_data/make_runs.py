"""Makes `runs.jsonl.gz`: runs of small scikit-learn models as the JSON lines that `runlake log` reads.

Every score, loss, importance, prediction and duration is trained and measured here, on the data sets that ship inside
scikit-learn. Start times, user names, the host and git fields are made up (README.md lists them). The format of the lines
is described in docs/log.md.

    python make_runs.py                          # writes runs.jsonl.gz and files/ beside this script
    python make_runs.py --out /tmp/few.jsonl.gz --limit 100
    python make_runs.py --check runs.jsonl.gz    # reads a file back, checks every line, prints a summary
    python make_runs.py --experiment wine --run 01a0... --out /tmp/run.jsonl.gz   # trains that run alone, again

How the parts in `runmaker/` fit together: `plan` lays out sweeps of `RunSpec`s; `execute` trains one spec in a worker
process and returns its lines, each with its moment; `around` adds the lines about whole sweeps; `make` below sorts all of
them by time. `check` is the way back.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by numpy and scikit-learn on import; one thread per worker

import argparse
import gzip
import sys
import time
import warnings
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from runmaker.around import afterthoughts, goal_events, parent_events
from runmaker.check import check
from runmaker.execute import execute
from runmaker.plan import PLANS, stack_sweeps
from runmaker.record import Result, RunSpec
from runmaker.sweeps import Sweep

OUT = Path(__file__).resolve().parent / "runs.jsonl.gz"


def train_all(specs: Sequence[RunSpec], jobs: int, total: str) -> list[Result]:
    """Trains the specs in worker processes; results come in the order of the specs."""
    results: list[Result] = []
    began = time.monotonic()
    with ProcessPoolExecutor(jobs) as pool:
        for result in pool.map(execute, specs, chunksize=4):
            results.append(result)
            if len(results) % 100 == 0 or len(results) == len(specs):
                print(f"{total}: {len(results)}/{len(specs)} runs, {time.monotonic() - began:.0f} s", file=sys.stderr)
    return results


def thin(sweeps: Sequence[Sweep], limit: int | None) -> list[Sweep]:
    """Keeps about `limit` runs, the same share of every sweep and at least one."""
    total = sum(len(sweep.runs) for sweep in sweeps)
    if limit is None or limit >= total:
        return list(sweeps)
    share = limit / total
    return [replace(sweep, runs=sweep.runs[: max(1, round(share * len(sweep.runs)))]) for sweep in sweeps]


def make_one(experiments: Sequence[str], run: str) -> tuple[list[str], dict[str, bytes]]:
    """Trains one run again. Ensembles are planned from the results of others, so they are not among those."""
    specs = (spec for experiment in experiments for sweep in PLANS[experiment]() for spec in sweep.runs)
    spec = next((spec for spec in specs if spec.id == run), None)
    if spec is None:
        sys.exit(f"no sweep of {', '.join(experiments)} has a run {run}")
    result = execute(spec)
    return [text for _, text in result.events], result.files


def make(experiments: Sequence[str], limit: int | None, jobs: int) -> tuple[list[str], dict[str, bytes]]:
    """Plans, trains and orders everything; returns the lines and the files that belong beside them."""
    sweeps = thin([sweep for experiment in experiments for sweep in PLANS[experiment]()], limit)
    results = train_all([run for sweep in sweeps for run in sweep.runs], jobs, "sweeps")
    stacks = stack_sweeps(results)
    results += train_all([run for sweep in stacks for run in sweep.runs], jobs, "ensembles")
    sweeps += stacks
    events = goal_events(sweeps)
    for sweep in sweeps:
        own = [r for r in results if r.spec.parent == sweep.spec.id]
        events += parent_events(sweep, own)
    for result in results:
        events += result.events
    events += afterthoughts(results)
    events.sort(key=lambda event: event[0])  # stable: lines of one moment stay in the order in which they were logged
    return [text for _, text in events], {name: body for result in results for name, body in result.files.items()}


def write(out: Path, lines: Iterable[str], files: Mapping[str, bytes]) -> None:
    """Writes the lines as gzip without a time stamp, and the files beside it."""
    body = "".join(text + "\n" for text in lines).encode()
    out.write_bytes(gzip.compress(body, compresslevel=9, mtime=0))
    for name, content in files.items():
        path = out.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Trains small models and writes their runs as JSON lines.")
    parser.add_argument("--out", type=Path, default=OUT, help="file to write (default: beside this script)")
    parser.add_argument("--experiment", action="append", choices=list(PLANS), help="only this one; may be repeated")
    parser.add_argument("--limit", type=int, help="train about this many runs, some of every sweep")
    parser.add_argument("--run", metavar="ID", help="train this run alone; needs --out")
    parser.add_argument("--jobs", type=int, default=2, help="worker processes (default: 2)")
    parser.add_argument("--check", type=Path, metavar="FILE", help="check a file and print its summary; trains nothing")
    options = parser.parse_args()
    if options.run and options.out == OUT:
        parser.error("--run needs --out: one run must not replace the file of all")
    return options


def main() -> None:
    """Makes the file, or checks one."""
    warnings.simplefilter("ignore")  # constant columns and unfinished fits are part of the data, not news
    options = arguments()
    if options.check:
        print(check(options.check))
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    experiments = options.experiment or list(PLANS)
    if options.run:
        lines, files = make_one(experiments, options.run)
    else:
        lines, files = make(experiments, options.limit, options.jobs)
    write(options.out, lines, files)
    print(f"{options.out}: {len(lines)} lines, {options.out.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    main()
