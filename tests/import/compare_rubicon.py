"""rubicon-ml writes a root, runlake imports it, and both are read back and compared value by value.

With --data FOLDER the root in FOLDER/rubicon is compared as well; what rubicon-ml said of it when it was made lies beside it.
"""

import argparse
import collections
import datetime
import json
import math
import pathlib
import sys
import tarfile
import tempfile
import time

import numpy
import pandas
from rubicon_ml import Rubicon
from rubicon_ml.repository.utils import json as rubicon_json

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
from program import Store  # noqa: E402
import search_rubicon  # noqa: E402

UTC = datetime.timezone.utc


def fill(rubicon: Rubicon, folder: pathlib.Path) -> None:
    """Everything that rubicon-ml's client can log."""
    project = rubicon.create_project(
        "Churn / über: 2!", description="what is\nasked", github_url="https://example.com/churn.git",
        training_metadata=[("s3", "bucket", {"rows": 7})],
    )  # fmt: skip
    earlier = None
    for n in range(5):
        experiment = project.log_experiment(
            name=f"run {n}", description=f"about {n}" if n else None, model_name="Forest" if n % 2 else None,
            branch_name="main", commit_hash="c0ffee", tags=["grid", f"k:{n}", "old"], comments=["by hand", "twice", "twice"],
            training_metadata=[("sklearn.datasets", ["load_wine"], f"first {n}"), ("s3://b/w.parquet",), ("db", 3, None)],
        )  # fmt: skip
        values = {
            "whole": n, "negative": -7, "seed": 2**126 + n, "vast": 2**200, "beyond": 2**64, "float": 1e-05 * n, "zero": -0.0, "tiny": 5e-324, "nan": math.nan,
            "inf": math.inf, "less": -math.inf, "true": True, "none": None, "text": "zwei\nlines \"quoted\" \\ NaN, -Infinity", "empty": "",
            "spelt number": "1e-05", "spelt bool": "True", "spelt none": "None", "zip": "00501", "unicode/ключ: (v2)!": "żółć 日本 \u0000 end",
            "list": [1, 2.5, None, math.nan, "a"], "dict": {"b": {"c": [True, math.inf]}, "a": "x"}, "tuple": (1, 2), "set": {"x"},
            "date": datetime.date(2026, 1, 2), "time": datetime.datetime(2026, 1, 2, 3, 4, 5, 678, UTC),
            "zoned": datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
            "f2": numpy.float16(0.1), "f4": numpy.float32(0.1), "f8": numpy.float64(math.nan), "i1": numpy.int8(-3), "u8": numpy.uint64(2**63),
            "i8": numpy.int64(-(2**62)), "b1": numpy.bool_(True), "big": numpy.array([1, -2], dtype=">i4"),
            "array": numpy.arange(6).reshape(2, 3) / 7, "texts": numpy.array(["ab", "c"]), "nothing": numpy.array([], dtype="f8"),
            "nested": {"when": datetime.datetime(2026, 1, 2, tzinfo=UTC), "what": numpy.float32(0.5)},
        }  # fmt: skip
        for name, value in values.items():
            experiment.log_parameter(name, value, tags=["t"] if n == 1 else [], description="why" if n == 2 else None)
        metrics = {
            "accuracy": 0.1 + n / 7, "count": 3, "odd name: (v2)!": 0.5, "nan": math.nan, "inf": -math.inf, "f4": numpy.float32(0.1), "text": "good",
            "list": [0.9, 0.5, math.nan], "dict": {"a": 1}, "none": None, "flag": True, "array": numpy.array([[1.5, 2]]), "huge": 2**60 + 1,
            "whole": 1,
        }  # fmt: skip
        for name, value in metrics.items():
            experiment.log_metric(name, value, directionality="score", comments=["macro"] if n == 1 else [])
        experiment.log_metric("log loss", 0.5, directionality="loss", tags=["primary"])
        for i, name in enumerate(["age", "od280/od315", "no importance"]):
            experiment.log_feature(name, importance=None if i == 2 else i / 3, tags=["chem"], description=f"no. {i}")
        for name, content in [("model.pkl", b"\0\1\2"), ("model.pkl", b"\3"), ("deep/er.txt", b"x"), ("../../out", b"y")]:
            experiment.log_artifact(data_bytes=content, name=name, description="a file", tags=["file"])
        frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None], "c": [0.5, math.nan]})
        experiment.log_dataframe(frame, name="confusion matrix", tags=["cm"], comments=["see"])
        experiment.log_dataframe(frame.set_index("a"))
        if n < 3:
            # Their order is that of the times of their files.
            for change in [("add", ["temp", "reviewed"]), ("remove", ["temp", "old"]), ("add", ["old"]), ("add", ["grid", "more"])]:
                time.sleep(0.02)
                (experiment.add_tags if change[0] == "add" else experiment.remove_tags)(change[1])
            experiment.add_comments(["later"])
            time.sleep(0.02)
            experiment.remove_comments(["by hand"])
            experiment.metric("accuracy").add_tags(["late"])
            experiment.parameter("whole").add_comments(["late"])
        if earlier is not None:
            earlier.add_child_experiment(experiment)
        earlier = experiment
    project.log_artifact(data_bytes=b"read me", name="readme.txt", tags=["doc"])
    project.log_dataframe(pandas.DataFrame({"x": [1]}), name="describe")
    rubicon.create_project("Empty").log_experiment()


def plain(value: object) -> object:
    """A value in what JSON has, with NaN equal to itself."""
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        value = value.tolist()
    if isinstance(value, set):
        value = sorted(value)
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return "NaN" if value != value else repr(value)
    return value


def written(value: object) -> object:
    """A list or a dict as JSON keeps it, values with types inside included."""
    return plain(json.loads(rubicon_json.dumps(value)))


def theirs_of(value: object) -> object:
    if isinstance(value, datetime.datetime):
        return value.astimezone(UTC)
    return written(value) if isinstance(value, (dict, list, tuple)) else plain(value)


def ours_of(text: object, kind: str, theirs: object) -> object:
    if kind == "null":
        return None
    if isinstance(theirs, str):
        # What stands there as text is kept as text, whatever it is typed as.
        return text
    if isinstance(theirs, int) and kind == "text":
        # No column holds a number of more than 128 bits.
        return int(text)
    readers = {
        "int": int, "float": float, "bool": lambda t: t == "true", "list": json.loads, "dict": json.loads,
        "date": datetime.date.fromisoformat, "datetime": datetime.datetime.fromisoformat,
    }  # fmt: skip
    return plain(readers[kind](text) if kind in readers else text)


def micros(value: object) -> int | None:
    if value is None:
        return None
    since = value - datetime.datetime(1970, 1, 1, tzinfo=UTC)
    return since // datetime.timedelta(microseconds=1)


class Comparison:
    """What rubicon-ml's client says against what SQL says."""

    def __init__(self, name: str, root: pathlib.Path, store: Store, said: dict[str, dict] | None = None):
        self.name, self.rubicon, self.store = name, Rubicon(persistence="filesystem", root_dir=str(root)), store
        # Tags of an archive are in an order that only those knew who made it.
        self.said, self.compared = said, collections.Counter()

    def rows(self, sql: str) -> dict[str, list[tuple]]:
        return self.store.grouped(sql, lambda value: value)

    def equal(self, what: str, place: object, theirs: object, ours: object) -> None:
        self.compared[what] += len(theirs) if isinstance(theirs, (list, dict)) else 1
        if isinstance(theirs, list):
            theirs, ours = (sorted(map(repr, side)) for side in (theirs, ours))
        if theirs != ours:
            sys.exit(f"{self.name}: {what} of {place} differ\n  rubicon-ml: {theirs}\n  runlake:    {ours}")

    def all(self) -> None:
        at = "CAST(arrow_cast({}, 'Timestamp(Microsecond, None)') AS BIGINT)"
        runs = self.rows(
            f"SELECT run_id, experiment, name, notes, git_branch, git_commit, git_remote, status, {at.format('start_time')} FROM runs"
        )
        params = self.rows("SELECT run_id, key, value, type FROM params")
        points = self.rows(f"SELECT run_id, key, step, {at.format('time')}, value FROM metrics")
        series = self.rows("SELECT run_id, key, payload FROM series")
        features = self.rows("SELECT run_id, feature, importance, feature_tags, description FROM features")
        tags = self.rows("SELECT run_id, key, value FROM tags")
        comments = self.rows("SELECT run_id, comment FROM comments")
        data = self.rows("SELECT run_id, source FROM data_versions")
        links = self.rows("SELECT run_id, target_run_id, kind FROM links")
        goals = self.rows("SELECT experiment, key, goal FROM metric_defs JOIN experiments USING (experiment_id)")
        self.files = {run: dict(found) for run, found in self.rows("SELECT run_id, path, uri FROM artifacts").items()}
        self.parts = collections.defaultdict(dict)
        sql = f"SELECT run_id, kind, id, name, {at.format('created_at')}, description, entity_tags, entity_comments, directionality, value, path"
        for run, found in self.rows(f"{sql} FROM frames.rubicon_entities").items():
            for kind, part, *rest in found:
                self.parts[run][kind, part] = rest
        projects = self.rubicon.projects()
        self.equal("projects", "-", [p.name for p in projects], list(self.rows("SELECT experiment, 1 FROM experiments")))
        seen = []
        for project in projects:
            told = {}
            for e in sorted(project.experiments(), key=lambda e: e.created_at):
                seen.append(e.id)
                fields = (project.name, e.name, e.description, e.branch_name, e.commit_hash, project.github_url, "FINISHED", micros(e.created_at))
                self.equal("fields", e.id, fields, runs[e.id][0])
                ours = {key: (value, kind) for key, value, kind in params[e.id]}
                theirs = {p.name: p.value for p in e.parameters()}
                self.equal("names of params", e.id, list(theirs), list(ours))
                for name, value in theirs.items():
                    self.equal("params", f"{e.id} {name}", theirs_of(value), ours_of(*ours[name], value))
                numbers, others = self.metrics_of(e, told)
                self.equal("metric points", e.id, numbers, [(k, s, t, plain(v)) for k, s, t, v in points[e.id]])
                self.others(e.id, others, dict(series[e.id]))
                theirs = [(f.name, plain(f.importance), f.tags or None, f.description) for f in e.features()]
                self.equal("features", e.id, theirs, [(n, plain(i), t, d) for n, i, t, d in features[e.id]])
                said = self.said[e.id] if self.said else {"tags": e.tags, "comments": e.comments}
                theirs = [(tag, None) for tag in set(said["tags"])]
                theirs += [("rubicon.model_name", e.model_name)] if e.model_name is not None else []
                self.equal("tags", e.id, theirs, tags[e.id])
                self.equal("comments", e.id, list(said["comments"]), [c for c, in comments[e.id]])
                parents = [(t.removeprefix("parent:"), "parent") for t in said["tags"] if t.startswith("parent:")]
                self.equal("parents", e.id, parents, links[e.id])
                # The client's own property fails where there is none.
                known = e._domain.training_metadata
                theirs = [written(t) for t in known.training_metadata] if known else []
                self.equal("training metadata", e.id, theirs, [plain(json.loads(s)) for s, in data[e.id]])
                self.parts_of(e.id, e)
            self.equal("goals", project.name, list(told.items()), goals[project.name])
            if project.artifacts() or project.dataframes():
                run = next(run for run, (r,) in runs.items() if r[:2] == (project.name, f"files of {project.name}"))
                seen.append(run)
                self.files_of(run, project)
        self.equal("runs", "-", seen, list(runs))
        print(f"{self.name}: " + ", ".join(f"{n} {what}" for what, n in self.compared.items()))

    def metrics_of(self, experiment, told: dict) -> tuple[list, dict]:
        numbers, others = [], {}
        for m in experiment.metrics():
            value = m.value.item() if isinstance(m.value, numpy.generic) else m.value
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                numbers.append((m.name, None, micros(m.created_at), plain(float(value))))
                told[m.name] = {"score": "max", "loss": "min"}[m.directionality]
            else:
                others[m.name] = value
        return numbers, others

    def others(self, run: str, theirs: dict, ours: dict) -> None:
        self.equal("names of series", run, list(theirs), list(ours))
        for name, value in theirs.items():
            ours_here = ours[name] if isinstance(value, str) else plain(json.loads(ours[name]))
            self.equal("series points", f"{run} {name}", plain(value), ours_here)

    def part(self, run: str, kind: str, part) -> list:
        found = self.parts[run][kind, part.id]
        name, created, description, tags, comments, *_ = found
        theirs = (part.name, micros(part.created_at), part.description, sorted(part.tags), sorted(part.comments))
        self.equal("parts", f"{run} {kind} {part.name}", theirs, (name, created, description, *(sorted(json.loads(t or "[]")) for t in (tags, comments))))
        return found

    def parts_of(self, run: str, experiment) -> None:
        for parameter in experiment.parameters():
            self.part(run, "parameter", parameter)
        for metric in experiment.metrics():
            directionality, value = self.part(run, "metric", metric)[5:7]
            self.equal("directions", f"{run} {metric.name}", metric.directionality, directionality)
            if value is not None:
                self.equal("exact values", f"{run} {metric.name}", written(metric.value), plain(json.loads(value)))
        for feature in experiment.features():
            self.part(run, "feature", feature)
        self.files_of(run, experiment)

    def files_of(self, run: str, parent) -> None:
        for artifact in parent.artifacts():
            path = self.part(run, "artifact", artifact)[-1]
            content = (self.store.folder / self.files[run].pop(path)).read_bytes()
            self.equal("artifacts", f"{run} {artifact.name}", artifact.get_data(), content)
        for frame in parent.dataframes():
            path = self.part(run, "dataframe", frame)[-1]
            content = pandas.read_parquet(self.store.folder / self.files[run].pop(f"{path}/data.parquet"))
            pandas.testing.assert_frame_equal(frame.get_data(), content)
            self.compared["dataframes"] += 1
        self.equal("other files", run, {}, self.files.get(run, {}))


def compare(binary: str, name: str, root: pathlib.Path, said: dict[str, dict] | None = None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(binary, pathlib.Path(folder) / "store")
        store.bring("rubicon", root)
        Comparison(name, root, store, said).all()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--data", type=pathlib.Path)
    args = parser.parse_args()
    binary = str(pathlib.Path(args.runlake).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        root = folder / "rubicon-root"
        fill(Rubicon(persistence="filesystem", root_dir=str(root)), folder)
        compare(binary, "root", root)
        search_rubicon.compare(binary)
        sample = args.data and args.data / "rubicon" / "rubicon-root-sample.tar.gz"
        if sample and sample.is_file():
            with tarfile.open(sample) as archive:
                archive.extractall(folder, filter="data")
            said = json.loads(sample.with_name("rubicon-root-sample.expected.json").read_text())
            compare(binary, sample.name, folder / "rubicon-root-sample", {e["id"]: e for e in said})
        else:
            print("root of others: skipped, no folder of data")
    print("rubicon-ml: all is the same")


if __name__ == "__main__":
    main()
