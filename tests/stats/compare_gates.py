"""Gates over pairs and the median stop rule, computed again by SciPy and NumPy on the sample runs."""

import argparse
import json
import math
import pathlib
import subprocess
import tempfile

import numpy as np
from scipy import stats

SAMPLE = pathlib.Path(__file__).resolve().parents[2] / "sample_data/runs.jsonl.gz"

# Score, experiment, the sides of the comparison.
PAIRS = [
    ("metrics.cv_auc", "wine", "data_version = 'v2-clean'", "data_version = 'v1-raw'"),
    ("metrics.cv_auc", "wine", "data_version = 'v3-noisy'", "data_version = 'v1-raw'"),
    ("metrics.cv_logloss", "wine", "data_version = 'v3-noisy'", "data_version = 'v1-raw'"),
    ("metrics.cv_auc", "breast-cancer", "params.model = 'svm'", "params.model = 'knn'"),
    ("metrics.cv_auc", "breast-cancer", "params.model = 'random_forest'", "params.model = 'svm'"),
    ("metrics.auc", "digits", "data_version = 'v2-clean'", "data_version = 'v1-raw'"),
    ("metrics.rmse", "diabetes", "params.model = 'ridge'", "params.model = 'lasso'"),
]
CLAIMS = ["not worse than", "shown not worse than", "better than"]
MARGINS = [0.0, 0.0005, 0.005, 0.02]
LEVELS = [90, 95, 97.5, 99]


class Store:
    def __init__(self, binary: str, folder: pathlib.Path):
        self.binary, self.folder = binary, folder
        self.run("init", folder)
        self.run("log", SAMPLE)
        self.run("seal")

    def run(self, *args, codes=(0,)) -> str:
        command = [self.binary, "--store", self.folder, *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode in codes, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def rows(self, sql: str) -> list[dict]:
        return json.loads(self.run("sql", "-c", sql, "--format", "json"))


def side(score: str, experiment: str, condition: str) -> str:
    return f"""SELECT params.seed AS seed, avg({score}) AS score FROM runs JOIN data_versions USING (run_id)
        WHERE experiment = '{experiment}' AND role = 'training' AND {condition} AND params.seed IS NOT NULL
        AND {score} IS NOT NULL GROUP BY params.seed"""


def gates(store: Store, folder: pathlib.Path) -> int:
    expected, text = [], []
    for score, experiment, left, right in PAIRS:
        a = {row["seed"]: row["score"] for row in store.rows(side(score, experiment, left))}
        b = {row["seed"]: row["score"] for row in store.rows(side(score, experiment, right))}
        sign = -1 if any(name in score for name in ["logloss", "rmse"]) else 1
        gains = np.array([sign * (a[seed] - b[seed]) for seed in sorted(set(a) & set(b))])
        for claim in CLAIMS:
            for margin in MARGINS:
                for level in LEVELS:
                    error = stats.sem(gains)
                    low, high = stats.t.interval(2 * level / 100 - 1, len(gains) - 1, gains.mean(), error)
                    # The p-value of the hypothesis that the claim has to overcome says the same as the bounds.
                    p = {
                        "not worse than": stats.ttest_1samp(gains, -margin, alternative="less").pvalue,
                        "shown not worse than": stats.ttest_1samp(gains, -margin, alternative="greater").pvalue,
                        "better than": stats.ttest_1samp(gains, margin, alternative="greater").pvalue,
                    }[claim]
                    rejected = p < 1 - level / 100
                    holds = not rejected if claim == "not worse than" else rejected
                    expected.append((holds, len(gains), gains.mean(), low, high))
                    text.append(
                        f"-- check: {len(text)}\n-- expect: {claim} ({side(score, experiment, right)}) by {margin} at {level}%, "
                        f"paired by seed\n{side(score, experiment, left)};\n".replace("\n        ", "\n--        ", 2)
                    )
    file = folder / "gates.sql"
    # The statements in brackets go on in comments, those below do not.
    file.write_text("".join(text))
    found = json.loads(store.run("check", file, "--format", "json", codes=(0, 3)))
    assert len(found) == len(expected)
    for check, (holds, n, difference, low, high) in zip(found, expected, strict=True):
        assert check["verdict"] == ("passed" if holds else "failed"), check
        assert check["n_pairs"] == n, check
        for name, value in [("difference", difference), ("low", low), ("high", high)]:
            assert math.isclose(check[name], value, rel_tol=1e-9, abs_tol=1e-12), (name, value, check)
    verdicts = [check["verdict"] for check in found]
    assert min(verdicts.count("passed"), verdicts.count("failed")) > 50, "both verdicts are tried"
    return len(found)


RULE = "-- rule: median\n-- metric: {metric}\n-- stop when: median of others at this step min runs 5\n"


def medians(store: Store, folder: pathlib.Path) -> int:
    asked = 0
    stopped = 0
    for metric, best in [("val_loss", min), ("val_accuracy", max)]:
        file = folder / f"{metric}.sql"
        file.write_text(RULE.format(metric=metric))
        points = store.rows(
            f"""SELECT run_id, step, value FROM metrics JOIN experiments USING (experiment_id)
            WHERE experiment = 'digits' AND key = '{metric}' AND context IS NULL ORDER BY run_id, step"""
        )
        curves: dict[str, list[tuple[int, float]]] = {}
        for point in points:
            value = point["value"]
            curves.setdefault(point["run_id"], []).append((point["step"], math.nan if value is None else float(value)))
        for run in sorted(curves)[::16]:
            last = max(step for step, _ in curves[run])
            own = [value for _, value in curves[run] if math.isfinite(value)]
            averages = []
            for other, curve in curves.items():
                values = [value for step, value in curve if step <= last and math.isfinite(value)]
                if other != run and max(step for step, _ in curve) >= last and values:
                    averages.append(np.mean(values))
            answer = json.loads(store.run("check", "--run", run, "--stop-rules", file, codes=(0, 3)))
            behind = False
            if len(averages) >= 5 and own:
                median, mine = np.median(averages), best(own)
                behind = bool(mine > median if best is min else mine < median)
                assert f" of {len(averages)} other runs" in answer["rules"][0]["reason"], answer
            assert (answer["decision"] == "stop") == behind, (answer, averages, own)
            asked += 1
            stopped += behind
    assert 0 < stopped < asked, "both answers are tried"
    return asked


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runlake", required=True)
    args, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        store = Store(args.runlake, folder / "store")
        print(f"gates: {gates(store, folder)} claims about pairs as SciPy decides them, {medians(store, folder)} stop answers as NumPy")


if __name__ == "__main__":
    main()
