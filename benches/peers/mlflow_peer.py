"""Logs and ranks runs with MLflow and its SQLite store: a line of JSON in, a line of JSON out, with the seconds it took."""

import json
import logging
import os
import pathlib
import random
import shutil
import sqlite3
import subprocess
import sys
import time

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
# A folder of runs is what people still have.
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
logging.disable(logging.WARNING)

import mlflow  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402


def client(path: str) -> MlflowClient:
    return MlflowClient(tracking_uri=f"sqlite:///{path}")


def log(path: str, runs: int, steps: int) -> float:
    """As a training script does it: one call for each point. Params are logged in one call."""
    tracking = client(path)
    experiment = tracking.create_experiment("sweep")
    begun = time.perf_counter()
    for n in range(runs):
        run = tracking.create_run(experiment).info.run_id
        params = [mlflow.entities.Param(key, str(random.random())) for key in ("lr", "model", "seed", "a", "b")]
        tracking.log_batch(run, params=params)
        for step in range(steps):
            tracking.log_metric(run, "loss", random.random(), step=step)
        tracking.set_terminated(run)
    return time.perf_counter() - begun


def fill(path: str, runs: int) -> None:
    """Puts runs straight into the tables: through the client this would take an hour."""
    tracking = client(path)
    experiment = tracking.create_experiment("sweep")
    first = tracking.create_run(experiment).info.run_id
    tracking.log_metric(first, "auc", 0.0)
    tracking.log_param(first, "model", "svm")
    random.seed(7)
    database = sqlite3.connect(path)
    database.row_factory = sqlite3.Row

    def copies(table: str, change) -> None:
        row = dict(database.execute(f"SELECT * FROM {table} WHERE run_uuid = ?", [first]).fetchone())
        marks = ",".join("?" * len(row))
        rows = (tuple({**row, **changed}.values()) for n in range(runs) for changed in change(f"{n:032x}"))
        database.executemany(f"INSERT INTO {table} ({','.join(row)}) VALUES ({marks})", rows)

    copies("runs", lambda run: [{"run_uuid": run, "name": run}])
    keys = ["auc", "loss", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"]
    copies("latest_metrics", lambda run: [{"run_uuid": run, "key": key, "value": random.random()} for key in keys])
    models = ["gbm", "svm", "mlp", "forest", "linear"]
    copies("params", lambda run: [{"run_uuid": run, "key": "model", "value": random.choice(models)}]
           + [{"run_uuid": run, "key": f"option.{i}", "value": str(random.randrange(100))} for i in range(20)])
    database.commit()
    database.close()


def rank(path: str) -> float:
    tracking = client(path)
    experiment = tracking.get_experiment_by_name("sweep").experiment_id
    begun = time.perf_counter()
    found = tracking.search_runs([experiment], "params.model = 'gbm' AND metrics.loss < 0.5", order_by=["metrics.auc DESC"],
                                 max_results=10)
    seconds = time.perf_counter() - begun
    assert len(found) == 10
    return seconds


def tree(path: str, runs: int, steps: int) -> None:
    """A folder of runs: the first is written by the client, the others are its copies with values of their own."""
    root = pathlib.Path(path)
    tracking = MlflowClient(tracking_uri=root.as_uri())
    experiment = tracking.create_experiment("sweep")
    first = tracking.create_run(experiment, run_name="run").info.run_id
    for key in ("lr", "model", "seed", "depth", "optimizer"):
        tracking.log_param(first, key, "0.1")
    for key in ("auc", "loss", "val_loss"):
        tracking.log_metric(first, key, 0.5, step=0)
    tracking.set_tag(first, "team", "ranking")
    tracking.set_terminated(first)
    origin = root / experiment / first
    random.seed(11)
    for n in range(1, runs):
        run = f"{n:032x}"
        copy = root / experiment / run
        shutil.copytree(origin, copy)
        meta = copy / "meta.yaml"
        meta.write_text(meta.read_text().replace(first, run))
        (copy / "params" / "lr").write_text(str(random.random()))
        for file in (copy / "metrics").iterdir():
            file.write_text("".join(f"{1_700_000_000_000 + step} {random.random()} {step}\n" for step in range(steps)))


def migrate(source: str, target: str) -> float:
    """The whole command, as a user starts it."""
    command = [pathlib.Path(sys.executable).with_name("mlflow"), "migrate-filestore", "--no-progress"]
    begun = time.perf_counter()
    subprocess.run([*command, "--source", source, "--target", f"sqlite:///{target}"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun


def read(path: str) -> float:
    """Everything of every run: params, tags and the whole history of each metric."""
    tracking = client(path)
    begun = time.perf_counter()
    experiments = [e.experiment_id for e in tracking.search_experiments()]
    token = None
    while True:
        page = tracking.search_runs(experiments, max_results=1000, page_token=token)
        for run in page:
            for key in run.data.metrics:
                tracking.get_metric_history(run.info.run_id, key)
        token = page.token
        if not token:
            return time.perf_counter() - begun


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    # What the library prints must not stand among the answers.
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        seconds = 0.0
        if "log" in request:
            seconds = log(request["log"], request["runs"], request["steps"])
        elif "fill" in request:
            fill(request["fill"], request["runs"])
        elif "tree" in request:
            tree(request["tree"], request["runs"], request["steps"])
        elif "migrate" in request:
            seconds = migrate(request["migrate"], request["to"])
        elif "read" in request:
            seconds = read(request["read"])
        else:
            seconds = rank(request["rank"])
        print(json.dumps({"seconds": seconds}), file=answers, flush=True)


if __name__ == "__main__":
    main()
