"""Every search of MLflow on docs/coming-from.md, and more of each kind, by MLflow's client and as SQL: the same runs are found."""

import json
import math
import pathlib
import sys
import tempfile

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag, ViewType
from mlflow.tracking import MlflowClient

import searches
from program import Store

# Runs whose latest value of a metric is NaN, which a column of `runs` does not hold.
NAN = "SELECT run_id FROM metric_stats WHERE key = '{}' AND last IS NULL"
# By the latest value of a metric, NaN after all numbers, and then runs without one, as MLflow does.
LATEST = "SELECT run_id FROM runs LEFT JOIN (SELECT run_id, last, nan_count FROM metric_stats WHERE key = '{}') USING (run_id) ORDER BY "

# Searches beside those on the page, each with its SQL form.
MORE = [
    ("params.model = 'GBM'", "params.model = 'GBM'"),
    ("params.model ILIKE 'G%'", "params.model ILIKE 'G%'"),
    ("params.model LIKE '_bm'", "params.model LIKE '_bm'"),
    ("params.model LIKE '%m'", "params.model LIKE '%m'"),
    ("params.lr LIKE '0.%'", "params_text.lr LIKE '0.%'"),
    ("params.`layers/size` = '[64, 32]'", "params['layers/size'] = '[64, 32]'"),
    ("params.optimizer IS NOT NULL", "params.optimizer IS NOT NULL"),
    ("tags.stage = 'prod'", "tags.stage = 'prod'"),
    ("tags.stage != 'prod'", "tags.stage != 'prod'"),
    ("tags.stage IS NULL", "tags.stage IS NULL"),
    ("tags.quote = \"it's\"", "tags.quote = 'it''s'"),
    ("tags.`mlflow.user` = 'ana'", "tags['mlflow.user'] = 'ana'"),
    ("tags.`mlflow.runName` LIKE 'gbm%'", "name LIKE 'gbm%'"),
    ("metrics.auc = 0.81", "metrics.auc = 0.81"),
    ("metrics.auc != 0.81", f"metrics.auc != 0.81 OR run_id IN ({NAN.format('auc')})"),
    ("metrics.loss < 0.35", "metrics.loss < 0.35"),
    ("metrics.auc > 1e300", "metrics.auc > 1e300"),
    ("metrics.auc < -1e300", "metrics.auc < -1e300"),
    ("attributes.status != 'FINISHED'", "status != 'FINISHED'"),
    ("attributes.status = 'RUNNING'", "status = 'RUNNING'"),
    ("attributes.run_name = 'gbm-1'", "name = 'gbm-1'"),
    ("attributes.run_name ILIKE 'GBM%'", "name ILIKE 'GBM%'"),
    ("attributes.start_time <= 1762128000000", "start_time <= to_timestamp_millis(1762128000000)"),
    ("attributes.end_time > 1762128000000", "end_time > to_timestamp_millis(1762128000000)"),
    ("attributes.run_id = 'r1'", "run_id = 'r1'"),
    ("attributes.run_id LIKE 'r1%'", "run_id LIKE 'r1%'"),
    ("dataset.name LIKE 'cust%'", "run_id IN (SELECT run_id FROM data_versions WHERE dataset LIKE 'cust%')"),
    ("dataset.digest != 'd2'", "run_id IN (SELECT run_id FROM data_versions WHERE digest != 'd2')"),
    ("dataset.context = 'test'", "data.test IS NOT NULL"),
    (
        "metrics.auc > 0.5 AND params.model = 'gbm' AND tags.stage LIKE '%'",
        "metrics.auc > 0.5 AND params.model = 'gbm' AND tags.stage LIKE '%'",
    ),
]

# Orders that are whole: what two runs have alike is told apart by the next one. A run without a value comes last in both.
ORDERS = [
    (["metrics.auc DESC", "attributes.start_time ASC"], LATEST.format("auc") + "last DESC, nan_count IS NULL, start_time"),
    (["metrics.auc ASC", "attributes.start_time ASC"], LATEST.format("auc") + "last, nan_count IS NULL, start_time"),
    (["metrics.loss ASC", "attributes.start_time DESC"], LATEST.format("loss") + "last, nan_count IS NULL, start_time DESC"),
    (["params.optimizer DESC", "attributes.start_time ASC"], "ORDER BY params.optimizer DESC, start_time"),
    (["tags.stage ASC", "attributes.start_time ASC"], "ORDER BY tags.stage, start_time"),
    (["attributes.end_time DESC", "attributes.start_time ASC"], "ORDER BY end_time DESC, start_time"),
    (["attributes.run_name ASC"], "ORDER BY name"),
]


class Runs:
    """The runs of the page in a store of MLflow, and a few with what makes searches hard."""

    def __init__(self, client: MlflowClient):
        self.client = client
        self.experiments: dict[str, str] = {}
        self.ids: dict[str, str] = {}

    def experiment(self, name: str) -> str:
        if name not in self.experiments:
            self.experiments[name] = self.client.create_experiment(name)
        return self.experiments[name]

    def begin(self, run: str, experiment: str, start: int, user: str | None, name: str | None) -> str:
        tags = {"mlflow.user": user} if user else {}
        made = self.client.create_run(self.experiment(experiment), start, tags=tags, run_name=name)
        self.ids[run] = made.info.run_id
        return made.info.run_id

    def of_page(self) -> None:
        started = {}
        for line in searches.lines():
            run = self.ids.get(line["run"])
            match line["type"]:
                case "run":
                    start = started[line["run"]] = searches.millis(line["start_time"])
                    run = self.begin(line["run"], line["experiment"], start, line.get("user"), line.get("name"))
                    for key, name in [("git_commit", "mlflow.source.git.commit"), ("notes", "mlflow.note.content")]:
                        if key in line:
                            self.client.set_tag(run, name, line[key])
                    if "parent" in line:
                        self.client.set_tag(run, "mlflow.parentRunId", self.ids[line["parent"]])
                case "params":
                    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in line["values"].items()}
                    self.client.log_batch(run, params=[Param(k, v) for k, v in texts.items()])
                case "metrics":
                    at = started[line["run"]] + line.get("step", 0)
                    points = [Metric(k, v, at, line.get("step", 0)) for k, v in line["values"].items()]
                    self.client.log_batch(run, metrics=points)
                case "tags":
                    self.client.log_batch(run, tags=[RunTag(k, v or "") for k, v in line["values"].items()])
                case "data":
                    self.data(run, line["dataset"], line["digest"], line["role"])
                case "finish":
                    self.client.set_terminated(run, line.get("status", "FINISHED"), searches.millis(line["end_time"]))

    def data(self, run: str, name: str, digest: str, context: str) -> None:
        dataset = Dataset(name, digest, "local", "s3://x")
        self.client.log_inputs(run, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    def odd(self) -> None:
        """NaN, infinities, other capitals, quotes, nothing at all."""
        start = searches.millis("2026-11-05T09:00:00Z")
        for n, (name, params, metrics, tags) in enumerate(
            [
                ("nan", {"model": "GBM"}, {"auc": math.nan, "loss": math.nan}, {"stage": "PROD"}),
                ("nan at last", {"model": "gbm "}, {"auc": math.nan}, {}),
                ("inf", {"model": "gbm2", "lr": "1e-3"}, {"auc": math.inf, "loss": -math.inf}, {"quote": "it's"}),
                ("-inf", {"model": "bgm"}, {"auc": -math.inf}, {"stage": "prod "}),
                ("nothing", {}, {}, {}),
            ]
        ):
            run = self.begin(f"o{n}", "churn", start + n, "eva", name)
            if name == "nan at last":
                self.client.log_metric(run, "auc", 0.9, start - 1, 0)
            self.client.log_batch(
                run,
                params=[Param(k, v) for k, v in params.items()],
                metrics=[Metric(k, v, start, 1) for k, v in metrics.items()],
                tags=[RunTag(k, v) for k, v in tags.items()],
            )
        self.data(self.ids["o0"], "other", "d9", "test")


class Comparison:
    def __init__(self, name: str, runs: Runs, store: Store):
        self.name, self.runs, self.store = name, runs, store
        self.names = {id: run for run, id in runs.ids.items()}
        self.compared = 0
        self.wrong: list[str] = []

    def there(self, text: str) -> str:
        """The ids that MLflow gave, in the place of those on the page."""
        for run, id in self.runs.ids.items():
            text = text.replace(f"'{run}'", f"'{id}'").replace(f"'{run}%'", f"'{id}%'")
        return text

    def theirs(self, filter: str = "", order_by: list[str] | None = None, max_results: int = 1000) -> list[str]:
        found = self.runs.client.search_runs(
            list(self.runs.experiments.values()), self.there(filter), ViewType.ACTIVE_ONLY, max_results, order_by
        )
        return [self.names[run.info.run_id] for run in found]

    def ours(self, sql: str) -> list[str]:
        found = self.store.sql(searches.statement(self.there(sql)))
        return [self.names[id] for id in found.column(0).to_pylist()]

    def equal(self, search: str, sql: str, theirs: list[str], ours: list[str], in_order: bool) -> None:
        if not in_order:
            theirs, ours = sorted(theirs), sorted(ours)
        if theirs != ours:
            self.wrong.append(f"{self.name}: {search}\n  MLflow finds {theirs}\n  {sql}\n  finds        {ours}")
        self.compared += 1

    def page(self, as_said: bool) -> None:
        for cell, sql, said in searches.forms("MLflow"):
            search = searches.code(cell)
            if search is None or sql is None or "..." in search or search.startswith(("experiment_", "run_view_type")):
                continue
            if search.startswith("search_experiments("):
                found = eval("self.runs.client." + search, {"self": self})
                ours = self.store.sql(sql).column(0).to_pylist()
                self.equal(search, sql, [experiment.name for experiment in found], ours, False)
            elif search.startswith("get_metric_history("):
                found = eval("self.runs.client." + self.double(search), {"self": self})
                ours = self.store.sql(self.there(sql)).to_pydict()
                theirs = [f"{m.step} {m.value}" for m in found]
                self.equal(search, sql, theirs, [f"{s} {v}" for s, v in zip(ours["step"], ours["value"])], True)
            elif search.startswith("order_by="):
                arguments = eval(f"dict({search})")
                theirs = self.theirs(**arguments)
                ours = self.ours(sql)
                # With more runs what two have alike would have to be told apart.
                if as_said:
                    self.equal(search, sql, theirs, ours, True)
            else:
                theirs, ours = self.theirs(search), self.ours(sql)
                self.equal(search, sql, theirs, ours, False)
                if as_said:
                    self.equal(f"what the page says of {search}", sql, [run for run in said.split(", ") if run], ours, False)

    def double(self, search: str) -> str:
        for run, id in self.runs.ids.items():
            search = search.replace(f'"{run}"', f'"{id}"')
        return search

    def more(self) -> None:
        for filter, sql in MORE:
            self.equal(filter, sql, self.theirs(filter), self.ours(sql), False)
        for order_by, sql in ORDERS:
            self.equal(str(order_by), sql, self.theirs("", order_by), self.ours(sql), True)


def compare(binary: str, name: str, uri: str, place: str) -> None:
    """Fills an empty store of MLflow in two steps, and searches it after each."""
    client = MlflowClient(uri, uri if uri.startswith("sqlite") else None)
    runs = Runs(client)
    with tempfile.TemporaryDirectory() as folder:
        store = Store(binary, pathlib.Path(folder) / "store")
        store.run("init", store.folder)
        runs.of_page()
        store.run("import", "mlflow", place)
        first = Comparison(name, runs, store)
        first.page(True)
        runs.odd()
        store.run("import", "mlflow", place)
        second = Comparison(name, runs, store)
        second.page(False)
        second.more()
        if wrong := first.wrong + second.wrong:
            sys.exit("\n".join(wrong))
        print(f"{name}: {first.compared + second.compared} searches find the same")
