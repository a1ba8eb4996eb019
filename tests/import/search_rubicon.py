"""Every search of rubicon-ml on docs/coming-from.md, by rubicon-ml itself and as SQL: the same is found."""

import pathlib
import re
import sys
import tempfile

from rubicon_ml import Rubicon

import searches
from program import Store


def fill(rubicon: Rubicon) -> dict[str, object]:
    """The runs of the page as experiments of rubicon-ml, by the ids of the page."""
    projects: dict[str, object] = {}
    runs: dict[str, object] = {}
    metrics: dict[str, dict] = {}
    for line in searches.lines():
        run = runs.get(line["run"])
        match line["type"]:
            case "run":
                name = line["experiment"]
                if name not in projects:
                    projects[name] = rubicon.create_project(name)
                runs[line["run"]] = projects[name].log_experiment(name=line["name"], commit_hash=line.get("git_commit"))
                if "parent" in line:
                    runs[line["parent"]].add_child_experiment(runs[line["run"]])
            case "params":
                for key, value in line["values"].items():
                    run.log_parameter(key, value)
            case "metrics":
                # It has one value of each, the last.
                metrics.setdefault(line["run"], {}).update(line["values"])
            case "tags":
                run.add_tags([key for key, value in line["values"].items() if value is None])
            case "features":
                for feature in line["features"]:
                    run.log_feature(feature["feature"])
            case "artifact":
                run.log_artifact(data_bytes=line["text"].encode(), name=line["path"])
    for name, values in metrics.items():
        for key, value in values.items():
            runs[name].log_metric(key, value)
    return runs


class Comparison:
    def __init__(self, rubicon: Rubicon, runs: dict[str, object], store: Store):
        self.rubicon, self.runs, self.store = rubicon, runs, store
        self.names = {run.id: name for name, run in runs.items()}

    def there(self, text: str) -> str:
        """The ids that rubicon-ml gave, in the place of those on the page."""
        return re.sub(r"(['\"])(r\d)\1", lambda found: f"{found[1]}{self.runs[found[2]].id}{found[1]}", text)

    def theirs(self, search: str, sql: str) -> list[str]:
        meant = re.search(r"'(r\d)'", sql)
        names = {"rubicon": self.rubicon, "project": self.rubicon.get_project(name="churn")}
        if meant:
            names["experiment"] = self.runs[meant[1]]
        found = eval(self.there(search), names)
        if isinstance(found, dict):
            return [f"{commit} {len(frame)}" for commit, frame in found.items()]
        return [self.shown(one) for one in (found if isinstance(found, list) else [found])]

    def shown(self, found: object) -> str:
        kind = type(found).__name__
        if kind == "Experiment":
            return self.names[found.id]
        if kind == "Parameter":
            return f"{found.name} {found.value}"
        if kind == "Artifact":
            return f"{found.name} {len(found.get_data())}"
        return str(getattr(found, "value" if kind == "Metric" else "name", found))

    def ours(self, sql: str) -> list[str]:
        found = self.store.sql(searches.statement(self.there(sql)))
        rows = zip(*(found[name].to_pylist() for name in found.column_names))
        return [" ".join(self.names.get(cell, str(cell)) for cell in row) for row in rows]


def compare(binary: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder) / "rubicon-root"
        rubicon = Rubicon(persistence="filesystem", root_dir=str(root))
        runs = fill(rubicon)
        store = Store(binary, pathlib.Path(folder) / "store")
        store.bring("rubicon", root)
        comparison, wrong, compared = Comparison(rubicon, runs, store), [], 0
        for cell, sql, _ in searches.forms("rubicon-ml"):
            if sql is None or not cell.startswith("`"):
                continue
            for search in cell.strip("`").split("`, `"):
                theirs, ours = comparison.theirs(search, sql), comparison.ours(sql)
                if search.startswith("rubicon.get_project("):
                    # Its id is another one here.
                    theirs, ours = [len(theirs)], [len(ours)]
                if sorted(theirs) != sorted(ours):
                    wrong.append(f"{search}\n  rubicon-ml finds {theirs}\n  {sql}\n  finds            {ours}")
                compared += 1
        if wrong:
            sys.exit("\n".join(wrong))
        print(f"searches: {compared} find the same")
