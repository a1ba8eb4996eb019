"""Optuna writes studies, runlake imports them, and both are read back and compared value by value.

With --data FOLDER the databases in FOLDER/optuna are compared as well: runlake reads them as they are, Optuna reads copies, which it
brings to its newest tables first.
"""

import argparse
import collections
import json
import math
import pathlib
import shutil
import sys
import tempfile
import warnings

import optuna
from optuna.trial import TrialState

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "engines"))
from program import Store, cell  # noqa: E402

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")

STATUS = {
    TrialState.COMPLETE: "FINISHED",
    TrialState.PRUNED: "KILLED",
    TrialState.FAIL: "FAILED",
    TrialState.RUNNING: "RUNNING",
    TrialState.WAITING: "SCHEDULED",
}


def fill(url: str) -> None:
    """Everything that Optuna's client can log about a trial."""
    study = optuna.create_study(storage=url, study_name="tune/über", direction="maximize", pruner=optuna.pruners.MedianPruner(2, 1))
    study.set_user_attr("team", "a")
    study.set_user_attr("nested", {"a": [1, None, math.nan]})
    study.enqueue_trial({"lr": 0.5, "layers": 2})

    def objective(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-5, 1.0, log=True)
        trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
        layers = trial.suggest_int("layers", 1, 9)
        trial.suggest_int("width", 8, 512, log=True)
        model = trial.suggest_categorical("model", ["gbm", "None", None, True, 3, 0.5, "7", "1e-3"])
        trial.set_user_attr("text", "zwei\nlines ")
        trial.set_user_attr("number", 0.1 + trial.number)
        for step in range(4):
            trial.report(layers * lr * step if step != 2 or trial.number % 2 else math.inf, step)
            if trial.number > 3 and trial.should_prune():
                raise optuna.TrialPruned()
        if trial.number == 5:
            trial.report(math.nan, 10)
            raise RuntimeError("out of memory")
        if trial.number == 6:
            return math.inf if model else -math.inf
        return lr * layers

    study.optimize(objective, n_trials=25, catch=(RuntimeError,))
    study.ask()
    study.enqueue_trial({"lr": 0.25})
    two = optuna.create_study(storage=url, study_name="two", directions=["minimize", "maximize"])
    two.set_metric_names(["loss", "intermediate_value"])
    two.optimize(lambda t: (t.suggest_float("x", 0, 1), t.suggest_int("y", 0, 5)), n_trials=3)
    three = optuna.create_study(storage=url, study_name="three", directions=["minimize"] * 3)
    three.optimize(lambda t: [t.suggest_float("x", 0, 1)] * 3, n_trials=2)
    optuna.create_study(storage=url, study_name="empty")


def micros(time) -> int | None:
    # A time without a zone is taken as UTC.
    return None if time is None else round((time - time.__class__(1970, 1, 1)).total_seconds() * 1_000_000)


def param(value: object) -> tuple:
    """A value as it stands in `params`: its text, and the number that it is."""
    if value is None:
        return None, None
    if isinstance(value, bool):
        return str(value).lower(), None
    if isinstance(value, str):
        try:
            # 'None' is text that counts as nothing; '7' is typed as a number and keeps its spelling.
            return value, None if value[:1] not in "-.0123456789" else cell(float(value))
        except ValueError:
            return value, None
    if isinstance(value, int):
        return str(value), cell(float(value))
    return cell(value), cell(value)


def attribute(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class Comparison:
    """What Optuna says against what SQL says."""

    def __init__(self, name: str, store: Store):
        self.name, self.store, self.compared = name, store, collections.Counter()

    def rows(self, sql: str) -> dict[str, list[tuple]]:
        return self.store.grouped(sql, cell)

    def equal(self, what: str, place: str, theirs: object, ours: object) -> None:
        if isinstance(theirs, list):
            theirs, ours = sorted(theirs, key=repr), sorted(ours, key=repr)
        if theirs != ours:
            sys.exit(f"{self.name}: {what} of {place} differ\n  Optuna:  {theirs!r}\n  runlake: {ours!r}")
        self.compared[what] += len(theirs) if isinstance(theirs, list) else 1

    def all(self, url: str) -> None:
        us = "CAST(round(EXTRACT(EPOCH FROM {0}) * 1000000) AS BIGINT)"
        ids = {}
        for run, rows in self.rows(
            "SELECT r.run_id, experiment, e.value, status, error, "
            f"{us.format('start_time')}, {us.format('end_time')} FROM runs r "
            "JOIN environment e ON e.run_id = r.run_id AND e.key = 'optuna.number'"
        ).items():
            study, number, *fields = rows[0]
            ids[study, int(number)] = run, tuple(fields)
        params = self.rows("SELECT run_id, key, value, num FROM params")
        types = self.rows("SELECT run_id, key, type FROM params")
        tags = self.rows("SELECT run_id, key, value FROM tags")
        points = self.rows("SELECT run_id, key, step, value FROM metrics")
        goals = self.rows("SELECT e.experiment, key, goal, source FROM metric_defs m JOIN experiments e USING (experiment_id)")
        distributions = self.rows("SELECT run_id, key, value FROM environment WHERE key LIKE 'optuna.distribution.%'")
        study_tags = {name: json.loads(rows[0][0]) for name, rows in self.rows("SELECT experiment, tags FROM experiments").items()}
        studies = optuna.get_all_study_names(url)
        self.equal("studies", "-", studies, list(self.rows("SELECT experiment, 1 FROM experiments")))
        seen = 0
        for name in studies:
            study = optuna.load_study(study_name=name, storage=url)
            names = study.metric_names or (["value"] if len(study.directions) == 1 else [f"values_{i}" for i in range(len(study.directions))])
            series = "intermediate_value" if "intermediate_value" not in names else "intermediate_value_2"
            directions = [d.name.lower()[:3] for d in study.directions]
            theirs = list(zip(names, directions, ["imported"] * len(names)))
            theirs += [(series, directions[0], "imported")] if len(names) == 1 else []
            self.equal("goals", name, theirs, goals[name])
            theirs = [(k, attribute(v)) for k, v in study.user_attrs.items()]
            theirs += [(f"optuna.system.{k}", attribute(v)) for k, v in study._storage.get_study_system_attrs(study._study_id).items()]
            theirs += [("optuna.study_id", str(study._study_id)), ("optuna.directions", ",".join(d.name for d in study.directions))]
            ours = [(k, v) for k, v in study_tags[name].items() if k not in ("optuna.storage", "optuna.version")]
            self.equal("attributes of studies", name, theirs, ours)
            for trial in study.trials:
                seen += 1
                place = f"trial {trial.number} of '{name}'"
                run, (status, _, start, end) = ids[name, trial.number]
                self.equal("states", place, STATUS[trial.state], status)
                if trial.datetime_start:
                    self.equal("times", place, (micros(trial.datetime_start), micros(trial.datetime_complete)), (start, end))
                self.equal("params", place, [(k, *map(text_of, param(v))) for k, v in trial.params.items()],
                           [(k, spelt(trial.params.get(k), v), text_of(n)) for k, v, n in params[run]])  # fmt: skip
                kinds = [(k, kind(v)) for k, v in trial.params.items()]
                self.equal("types of params", place, kinds, types[run])
                theirs = [(k, None, cell(float(v))) for k, v in zip(names, trial.values or [])]
                theirs += [(series, step, cell(float(v))) for step, v in trial.intermediate_values.items()]
                self.equal("values", place, theirs, points[run])
                theirs = [(k, attribute(v)) for k, v in trial.user_attrs.items()]
                theirs += [(f"optuna.system.{k}", attribute(v)) for k, v in trial.system_attrs.items()]
                self.equal("attributes", place, [*theirs, ("optuna.state", trial.state.name)], tags[run])
                theirs = [(k, d) for k, d in trial.distributions.items()]
                ours = [(k.removeprefix("optuna.distribution."), distribution(d)) for k, d in distributions[run]]
                self.equal("distributions", place, theirs, ours)
        self.equal("trials", "all", seen, len(ids))
        print(f"{self.name}: " + ", ".join(f"{n} {what}" for what, n in self.compared.items()))


def distribution(json: str) -> optuna.distributions.BaseDistribution:
    """Optuna rewrites those of 2.x when it brings a database to its newest tables; runlake keeps them as they are."""
    convert = optuna.distributions._convert_old_distribution_to_new_distribution
    return convert(optuna.distributions.json_to_distribution(json), suppress_warning=True)


def spelt(theirs: object, ours: str | None) -> str | None:
    """A float in the spelling of Python, which writes 1e-05 where others write 1e-5; text as it is."""
    return cell(float(ours)) if isinstance(theirs, float) else ours


def text_of(value: object) -> object:
    return None if value is None else str(value)


def kind(value: object) -> str:
    if isinstance(value, str):
        return "text" if param(value)[1] is None else ("int" if value.isdigit() else "float")
    return {type(None): "null", bool: "bool", int: "int", float: "float"}[type(value)]


def compare(binary: str, name: str, url: str, place: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(binary, pathlib.Path(folder) / "store")
        store.bring("optuna", place)
        Comparison(name, store).all(url)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    parser.add_argument("--data", type=pathlib.Path)
    args = parser.parse_args()
    binary = str(pathlib.Path(args.runlake).resolve())
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        url = f"sqlite:///{folder / 'study.db'}"
        fill(url)
        compare(binary, "studies", url, url)
        if args.data and (args.data / "optuna").is_dir():
            for found in sorted((args.data / "optuna").glob("*.db")):
                ours, theirs = folder / found.name, folder / f"theirs-{found.name}"
                shutil.copy(found, ours)
                shutil.copy(found, theirs)
                theirs.chmod(0o600)
                url = f"sqlite:///{theirs}"
                optuna.storages.RDBStorage(url, skip_compatibility_check=True, skip_table_creation=True).upgrade()
                compare(binary, found.name, url, f"sqlite:///{ours}")
        else:
            print("studies of others: skipped, no folder of data")
    print(f"Optuna {optuna.__version__}: all is the same")


if __name__ == "__main__":
    main()
