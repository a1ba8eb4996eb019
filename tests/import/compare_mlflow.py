"""MLflow writes its two kinds of store, runlake imports them, and both are read back and compared value by value.

With --data FOLDER the stores in FOLDER/mlflow are compared as well, on copies, since MLflow migrates what it opens.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile

# Both are said before MLflow is loaded: the folder is no longer its default, and this is no business of anybody's.
os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    LoggedModelOutput,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.tracking import MlflowClient  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
from program import Store  # noqa: E402
import search_mlflow  # noqa: E402

START = 1_700_000_000_000


def fill(client: MlflowClient, folder: pathlib.Path) -> None:
    """Everything that MLflow's client can log about a run."""
    experiment = client.create_experiment("churn/über", tags={"team": "a"})
    client.set_experiment_tag(experiment, "mlflow.note.content", "what is\nasked")
    ids = []
    for n in range(6):
        tags = {"mlflow.user": f"user{n % 2}", "mlflow.source.name": "train.py", "mlflow.source.git.commit": "c0ffee"}
        if ids:
            tags["mlflow.parentRunId"] = ids[0]
        run = client.create_run(experiment, START + n, tags=tags, run_name=f"run {n}").info.run_id
        ids.append(run)
        params = {"lr": f"1e-0{n + 1}", "depth": str(n), "flag": str(n % 2 == 0), "a/b c.d-e": "x", "none": "None", "empty": ""}
        params |= {"text": "zwei\nlines ", "list": "[1, 2]", "big": str(2**70), "zip": "00501", "half": "0.50"}
        client.log_batch(run, params=[Param(k, v) for k, v in params.items()], tags=[RunTag("odd/key", "v=1")])
        values = [0.1 + n, math.nan, math.inf, -math.inf, 5e-324, -0.0, 1e300, 0.1 + 0.2]
        points = [Metric("loss", v, START + i, i) for i, v in enumerate(values)]
        points += [Metric("val/auc", 0.5, START + 7, 3), Metric("val/auc", 0.75, START + 8, 3), Metric("neg", 1.0, START, -5)]
        client.log_batch(run, metrics=points)
        client.log_metric(run, "on", 0.25, timestamp=START + 9, step=2, dataset_name="my-data", dataset_digest="d1")
        for digest, context in [("d1", "training"), ("d2", "training"), ("d3", "test")]:
            schema = json.dumps({"mlflow_colspec": [{"type": "long", "name": "a"}, {"type": "double", "name": "b"}]})
            dataset = Dataset("data", digest, "local", "s3://x", schema, json.dumps({"num_rows": 7}))
            tags = [InputTag("mlflow.data.context", context)]
            client.log_inputs(run, datasets=[DatasetInput(dataset, tags)])
        note = folder / "note.txt"
        note.write_text(f"run {n}")
        client.log_artifact(run, str(note), "deep/er")
        model = client.create_logged_model(
            experiment, f"model{n}", run, tags={"t": "1"}, params={"p": "0.5"}, model_type="tree"
        )
        client.log_metric(run, "auc", 0.5 + n / 10, START + 10, 1, model_id=model.model_id)
        client.finalize_logged_model(model.model_id, "READY")
        client.log_outputs(run, [LoggedModelOutput(model.model_id, 4)])
        if n:
            client.log_inputs(run, models=[LoggedModelInput(model.model_id)])
        if n != 5:
            client.set_terminated(run, ["FINISHED", "FAILED", "KILLED"][n % 3], START + 1000)
    client.delete_run(ids[3])
    gone = client.create_experiment("gone")
    client.set_terminated(client.create_run(gone).info.run_id)
    client.delete_experiment(gone)
    client.create_experiment("empty")


def cell(value: object) -> object:
    if isinstance(value, float):
        # A database keeps infinities as the greatest double, and the client gives that; here they are infinities again.
        value = math.copysign(math.inf, value) if abs(value) >= sys.float_info.max else value
        return "NaN" if value != value else repr(value)
    return value


class Comparison:
    """What MLflow's client says against what SQL says."""

    def __init__(self, name: str, client: MlflowClient, store: Store):
        self.name, self.client, self.store, self.compared = name, client, store, collections.Counter()
        self.tables: dict[str, dict] = {}

    def rows(self, sql: str) -> dict[str, list[tuple]]:
        return self.store.grouped(sql, cell)

    def equal(self, what: str, run: str, theirs: object, ours: object) -> None:
        if isinstance(theirs, list):
            theirs, ours = sorted(theirs, key=repr), sorted(ours, key=repr)
        if theirs != ours:
            sys.exit(f"{self.name}: {what} of run {run} differ\n  MLflow:  {theirs!r}\n  runlake: {ours!r}")
        self.compared[what] += len(theirs) if isinstance(theirs, list) else 1

    def all(self) -> None:
        ms = "CAST(EXTRACT(EPOCH FROM {0}) * 1000 AS BIGINT)"
        runs = self.rows(
            "SELECT run_id, experiment, name, status, user, parent_run_id, git_commit, command, notes, "
            f"{ms.format('start_time')}, {ms.format('end_time')} FROM runs"
        )
        params = self.rows("SELECT run_id, key, value FROM params")
        tags = self.rows("SELECT run_id, key, value FROM tags")
        points = self.rows(f"SELECT run_id, key, step, {ms.format('time')}, value FROM metrics")
        last = self.rows("SELECT run_id, key, last FROM metric_stats")
        data = self.rows("SELECT run_id, split_part(dataset, '@', 1), role, digest, source, n_rows, n_columns, data_schema FROM data_versions")
        frames = {r[0] for r in self.rows("SELECT table_name, 1 FROM information_schema.tables WHERE table_schema = 'frames'").items()}
        uses = self.frame(frames, "mlflow_model_uses", "model_id, direction, step")
        models = self.frame(frames, "mlflow_models", "model_id, name, status, model_type, params, tags")
        model_points = self.frame(frames, "mlflow_model_metrics", "model_id, key, step, value, dataset, digest")
        experiments = {e.experiment_id: e for e in self.client.search_experiments(ViewType.ALL)}
        shown = [e.name for e in experiments.values() if e.lifecycle_stage == "active"]
        self.equal("experiments", "-", shown, list(self.rows("SELECT experiment, 1 FROM experiments")))
        seen = set()
        for experiment in experiments.values():
            if experiment.lifecycle_stage == "deleted":
                continue
            for run in self.pages(experiment.experiment_id):
                info, d = run.info, run.data
                seen.add(info.run_id)
                t = d.tags
                fields = (
                    experiment.name, info.run_name or None, info.status, t.get("mlflow.user") or info.user_id or None,
                    t.get("mlflow.parentRunId"), t.get("mlflow.source.git.commit"), t.get("mlflow.source.name"),
                    t.get("mlflow.note.content"), info.start_time,
                )  # fmt: skip
                ours = runs[info.run_id][0]
                self.equal("fields", info.run_id, fields, ours[:9])
                if info.end_time is not None or info.status in ("RUNNING", "SCHEDULED"):
                    self.equal("ends", info.run_id, info.end_time, ours[9])
                self.equal("params", info.run_id, list(d.params.items()), params[info.run_id])
                self.equal("tags", info.run_id, list(t.items()), tags[info.run_id])
                theirs, mine = [], points[info.run_id]
                for key in d.metrics:
                    theirs += [self.point(key, p) for p in self.client.get_metric_history(info.run_id, key)]
                # MLflow's client forgets the step of a point that was measured on a data set when it reads a folder.
                on = {p[0] for p in theirs if p[1] is None}
                mine = [(k, None if k in on else step, *rest) for k, step, *rest in mine]
                theirs = [(k, None if k in on else step, *rest) for k, step, *rest in theirs]
                self.equal("metric points", info.run_id, theirs, mine)
                self.equal("latest values", info.run_id, [(k, cell(v)) for k, v in d.metrics.items()], last[info.run_id])
                self.equal("data sets", info.run_id, self.data_of(run), data[info.run_id])
                self.uses_of(run, uses[info.run_id])
            self.models_of(experiment.experiment_id, seen, models, model_points)
        self.equal("runs", "-", list(seen), list(runs))
        print(f"{self.name}: " + ", ".join(f"{n} {what}" for what, n in self.compared.items()))

    def frame(self, frames: set, name: str, columns: str) -> dict[str, list[tuple]]:
        return self.rows(f"SELECT run_id, {columns} FROM frames.{name}") if name in frames else collections.defaultdict(list)

    def pages(self, experiment: str):
        token = None
        while True:
            page = self.client.search_runs([experiment], run_view_type=ViewType.ACTIVE_ONLY, page_token=token)
            # A search leaves out what a run used of models.
            yield from (self.client.get_run(run.info.run_id) for run in page)
            token = page.token
            if not token:
                return

    @staticmethod
    def point(key: str, p: Metric) -> tuple:
        return (key, None if getattr(p, "dataset_name", None) else p.step, p.timestamp, cell(p.value))

    @staticmethod
    def data_of(run) -> list[tuple]:
        rows = []
        for i in run.inputs.dataset_inputs:
            role = next((tag.value for tag in i.tags if tag.key == "mlflow.data.context"), "input")
            d, profile, schema = i.dataset, json.loads(i.dataset.profile or "{}"), json.loads(i.dataset.schema or "{}")
            columns = len(schema["mlflow_colspec"]) if "mlflow_colspec" in schema else None
            rows.append((d.name, role, d.digest, d.source, profile.get("num_rows"), columns, d.schema))
        return rows

    def uses_of(self, run, ours: list[tuple]) -> None:
        theirs = [(m.model_id, "input", None) for m in run.inputs.model_inputs]
        theirs += [(m.model_id, "output", m.step) for m in run.outputs.model_outputs]
        self.equal("uses of models", run.info.run_id, theirs, ours)

    def models_of(self, experiment: str, seen: set, models: dict, points: dict) -> None:
        for m in self.client.search_logged_models([experiment]):
            run = m.source_run_id
            if run not in seen:
                continue
            theirs = (m.name, str(m.status).split(".")[-1], m.model_type, m.params, m.tags)
            found = [row for row in models[run] if row[0] == m.model_id][0]
            ours = (*found[1:4], json.loads(found[4]), json.loads(found[5]))
            self.equal("models", run, theirs, ours)
            theirs = [(p.key, p.step, cell(p.value), p.dataset_name, p.dataset_digest) for p in m.metrics or []]
            # The client gives the latest point of each key only.
            ours = {(k, d, g): (k, s, v, d, g) for _, k, s, v, d, g in sorted(
                (row for row in points[run] if row[0] == m.model_id), key=lambda row: (row[1], row[2]))}
            self.equal("metrics of models", run, theirs, list(ours.values()))


def rename(client: MlflowClient) -> None:
    """Names that went on to other experiments since the first import, and runs that came to these."""
    ids = {e.name: e.experiment_id for e in client.search_experiments(ViewType.ACTIVE_ONLY)}
    client.rename_experiment(ids["empty"], "churn, all of it")
    client.rename_experiment(ids["churn/über"], "empty")
    for experiment in [ids["empty"], ids["churn/über"], client.create_experiment("churn/über")]:
        client.set_terminated(client.create_run(experiment, run_name="after the renames").info.run_id)


def compare(binary: str, name: str, uri: str, place: str, change=None) -> None:
    """Imports and compares; then once more, after a change of the source."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(binary, pathlib.Path(folder) / "store")
        subprocess.run([binary, "init", str(store.folder)], check=True, stdout=subprocess.DEVNULL)
        for step in [None, change] if change else [None]:
            if step:
                step(MlflowClient(uri))
                name += ", renamed"
            for command in [["import", place], ["import", "--audit", place], ["seal"], ["import", "--audit", place]]:
                done = subprocess.run(
                    [binary, "--store", str(store.folder), *command], capture_output=True, text=True, stdin=subprocess.DEVNULL
                )
                if done.returncode != 0:
                    sys.exit(f"{name}: runlake {' '.join(command)} failed\n{done.stdout}{done.stderr}")
            Comparison(name, MlflowClient(uri), store).all()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--data", type=pathlib.Path)
    args = parser.parse_args()
    binary = str(pathlib.Path(args.runlake).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        os.chdir(folder)
        root, database = folder / "mlruns", folder / "mlflow.db"
        fill(MlflowClient(root.as_uri()), folder)
        compare(binary, "folder", root.as_uri(), str(root), rename)
        uri = f"sqlite:///{database}"
        fill(MlflowClient(uri, uri), folder)
        compare(binary, "database", uri, uri, rename)
        searched = folder / "searched"
        search_mlflow.compare(binary, "folder", searched.as_uri(), str(searched))
        uri = f"sqlite:///{folder / 'searched.db'}"
        search_mlflow.compare(binary, "database", uri, uri)
        if args.data and (args.data / "mlflow").is_dir():
            for found in sorted((args.data / "mlflow").glob("*.db")):
                ours, theirs = folder / found.name, folder / f"theirs-{found.name}"
                shutil.copy(found, ours)
                shutil.copy(found, theirs)
                subprocess.run([sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{theirs}"], check=True, capture_output=True)
                compare(binary, found.name, f"sqlite:///{theirs}", str(ours))
            for found in sorted((args.data / "mlflow").glob("*.tar.gz")):
                with tarfile.open(found) as archive:
                    archive.extractall(folder / "tree", filter="data")
                place = next((folder / "tree").rglob("mlruns"))
                # The archive was made of a repository, which keeps no empty folders; MLflow wants them.
                for meta in place.glob("*/*/meta.yaml"):
                    for part in ["artifacts", "metrics", "params", "tags"]:
                        (meta.parent / part).mkdir(exist_ok=True)
                compare(binary, found.name, place.as_uri(), str(place))
        else:
            print("stores of others: skipped, no folder of data")
    print(f"MLflow {mlflow.__version__}: all is the same")


if __name__ == "__main__":
    main()
