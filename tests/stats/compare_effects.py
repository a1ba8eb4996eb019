"""compare_groups, ablations, param_effects and data_version_effects, computed again by pandas, SciPy and statsmodels.

On the sample data, and, where it is there, on 123,816 trials of feature selection.
"""

import argparse
import itertools
import json
import pathlib
import tempfile
import warnings

import duckdb
import numpy as np
import pandas as pd
import statsmodels.formula.api as smf
from ledger import METRICS, SAMPLE, Differences, Ledger, frame, make
from scipy import stats
from scipy.linalg import helmert

# Pairs that differ by nearly the same are among the cases.
warnings.filterwarnings("ignore", message="Precision loss occurred")



def quote(sql: str) -> str:
    return "'" + sql.replace("'", "''") + "'"


def paired(differences: np.ndarray, ratio: float = 0.0) -> dict:
    """Student's t over differences; with a ratio Nadeau and Bengio's correction."""
    d = np.asarray(differences, dtype=float)
    found = {"difference": d.mean(), "n": len(d), "p_value": None, "low": None, "high": None, "std_error": None}
    if len(d) < 2:
        return found
    error = stats.sem(d) * np.sqrt(1 + len(d) * ratio)
    found["std_error"] = error
    if d.mean() == 0 or error <= 1e-9 * abs(d.mean()):
        found["p_value"] = 1.0 if d.mean() == 0 else None
        if d.mean() == 0 and error > 0:
            found["low"], found["high"] = stats.t.interval(0.95, len(d) - 1, d.mean(), error)
        return found
    found["p_value"] = stats.ttest_1samp(d, 0).pvalue if not ratio else 2 * stats.t.sf(abs(d.mean() / error), len(d) - 1)
    found["low"], found["high"] = stats.t.interval(0.95, len(d) - 1, d.mean(), error)
    return found


def snapped(a: pd.Series, b: pd.Series) -> np.ndarray:
    d = (a - b).to_numpy(dtype=float)
    return np.where(np.abs(d) <= 1e-13 * np.maximum(a.abs(), b.abs()), 0.0, d)


def joined(a: pd.DataFrame, b: pd.DataFrame, block: list[str]) -> pd.DataFrame:
    """Pairs of configs with both values: over common seeds, of these over common folds, else over all there is."""
    key = [*block, "config_id"]
    of_fold = [*key, "seed_key", "fold_key"]
    both = a.groupby(of_fold).value.mean().to_frame("a").join(b.groupby(of_fold).value.mean().to_frame("b"), how="inner")
    by_fold = both.groupby([*key, "seed_key"]).mean()
    of_seed = [*key, "seed_key"]
    means = lambda side: side.groupby(of_fold).value.mean().groupby(of_seed).mean()  # noqa: E731
    by_seed = means(a).to_frame("a").join(means(b).to_frame("b"), how="inner")
    by_seed = by_fold.combine_first(by_seed)
    runs = lambda side: side.reset_index().drop_duplicates("run_id").groupby(key).score.mean()  # noqa: E731
    alone = runs(a).to_frame("a").join(runs(b).to_frame("b"), how="inner")
    return by_seed.groupby(key).mean().combine_first(alone), by_seed


def compare(ledger: Ledger, a: pd.DataFrame, b: pd.DataFrame) -> dict:
    """compare_groups of scored runs."""
    for name, block in [
        ("experiment, data set, digest", ["experiment", "dataset_unit", "digest"]),
        ("experiment, data set", ["experiment", "dataset_unit"]),
        ("data set, digest", ["dataset_unit", "digest"]),
        ("data set", ["dataset_unit"]),
    ]:
        keys = lambda side: set(map(tuple, side[block].fillna("").drop_duplicates().to_numpy()))  # noqa: E731
        if common := keys(a) & keys(b):
            break
    else:
        return {"difference": None, "n_blocks": 0}
    a, b = (side.fillna({"digest": ""}) for side in (a, b))
    inside = lambda side: side[[tuple(row) in common for row in side[block].to_numpy()]]  # noqa: E731
    a, b = ledger.replicates(inside(a)), ledger.replicates(inside(b))
    pairs, seeds = joined(a, b, block)
    datasets = sorted(set(a.dataset_unit))
    found = {"blocked_by": name}
    if len(datasets) > 1:
        rows = []
        for dataset in datasets:
            of = pairs[pairs.index.get_level_values("dataset_unit") == dataset]
            if len(of):
                rows.append(of.groupby("config_id").mean().mean())
                continue
            x, y = (values.groupby("unit").score.mean() for values in unpaired(a[a.dataset_unit == dataset], b[b.dataset_unit == dataset], block))
            rows.append(pd.DataFrame({"a": x, "b": y}).mean())
        rows = pd.DataFrame(rows)
        by = "data set" if pairs.empty else "data set, config"
        return found | paired(snapped(rows.a, rows.b)) | {"test": "paired t", "paired_by": by, "n_pairs": len(rows)}
    if pairs.index.get_level_values("config_id").nunique() > 1:
        rows = pairs.groupby("config_id").mean()
        return found | paired(snapped(rows.a, rows.b)) | {"test": "paired t", "paired_by": "config", "n_pairs": len(rows)}
    if a.config_id.nunique() == 1 and b.config_id.nunique() == 1 and pairs.empty:
        # One config against another: as if they had one name.
        a, b = a.assign(config_id="it"), b.assign(config_id="it")
        pairs, seeds = joined(a, b, block)
    if len(pairs):
        one = pairs.index.get_level_values("config_id")[0]
        a, b = a[a.config_id == one], b[b.config_id == one]
        return found | of_configs(a, b, block)
    sides = unpaired(a, b, block)
    x, y = (side.groupby("unit").score for side in sides)
    found |= {"difference": (x.mean() - y.mean()).mean(), "test": None, "paired_by": None, "n_pairs": 0}
    if min(x.size().min(), y.size().min()) > 1:
        shares = pd.concat([x.sem(), y.sem()]) ** 2 / len(x) ** 2
        freedom = shares.sum() ** 2 / (shares**2 / (pd.concat([x.size(), y.size()]) - 1)).sum()
        error = np.sqrt(shares.sum())
        found["test"] = "Welch t"
        found["p_value"] = 2 * stats.t.sf(abs(found["difference"] / error), freedom)
        found["low"], found["high"] = stats.t.interval(0.95, freedom, found["difference"], error)
        if len(x) == 1:
            test = stats.ttest_ind(*(side.score for side in sides), equal_var=False)
            assert abs(test.pvalue - found["p_value"]) < 1e-12
    return found


def unpaired(a: pd.DataFrame, b: pd.DataFrame, block: list[str]) -> list[pd.DataFrame]:
    """Both sides where nothing pairs: a config counts once, block effects taken off, whatever number of blocks it ran in."""
    cells = pd.concat([side.reset_index().drop_duplicates("run_id").assign(side=s) for s, side in (("a", a), ("b", b))])
    cells["block"] = cells[block].agg("|".join, axis=1)
    cells["level"] = cells.side + cells.config_id
    cells = cells.groupby(["block", "level"]).score.mean().reset_index()
    values = united(cells.rename(columns={"level": "config_id"}).assign(runs=1))
    return [values[values.config_id.str.startswith(side)] for side in "ab"]


def of_configs(a: pd.DataFrame, b: pd.DataFrame, block: list[str]) -> dict:
    """One config against one: by seed, else by fold, else the bare difference."""
    a, b = a.assign(config_id="it"), b.assign(config_id="it")
    pairs, seeds = joined(a, b, block)
    seeds = seeds[seeds.index.get_level_values("seed_key") != ""].groupby("seed_key").mean()
    if len(seeds) > 1:
        return paired(snapped(seeds.a, seeds.b)) | {"test": "paired t", "paired_by": "seed", "n_pairs": len(seeds)}
    key = [*block, "seed_key", "fold_key"]
    folds = a.groupby(key).value.mean().to_frame("a").join(b.groupby(key).value.mean().to_frame("b"), how="inner")
    shared = a.merge(b[[*block, "seed_key"]].drop_duplicates(), on=[*block, "seed_key"]), b.merge(a[[*block, "seed_key"]].drop_duplicates(), on=[*block, "seed_key"])
    all_folds = (set(shared[0].fold_key) | set(shared[1].fold_key)) - {""}
    folds = folds[folds.index.get_level_values("fold_key") != ""].groupby("fold_key").mean()
    if len(folds) > 1:
        found = paired(snapped(folds.a, folds.b), 1 / (len(all_folds) - 1))
        return found | {"test": "corrected paired t", "paired_by": "fold", "n_pairs": len(folds)}
    return paired(snapped(pairs.a, pairs.b).mean(keepdims=True)) | {"test": None, "paired_by": None, "n_pairs": 0}


COMPARED = ["difference", "low", "high", "p_value", "test", "paired_by", "n_pairs", "blocked_by"]


def groups(ledger: Ledger, check: Differences) -> None:
    """Models, versions, users, commits and feature selectors against each other, in one experiment and over all."""
    runs = """SELECT run_id, experiment, params.model AS model, params.selector AS selector, params.seed AS seed, user,
                     git_commit, data_version FROM runs LEFT JOIN data_versions USING (run_id, experiment_id)"""
    facts = frame(ledger.store, runs + " WHERE role = 'training' OR role IS NULL").drop_duplicates("run_id").set_index("run_id")
    asked = []
    for experiment, metrics in METRICS.items():
        of = facts[facts.experiment == experiment]
        for metric, column in itertools.product(metrics, ["model", "selector", "data_version", "user", "git_commit"]):
            values = of[column].dropna().value_counts()
            values = sorted(values[values > 5].index)[:3]
            asked += [(metric, [experiment], column, pair) for pair in itertools.combinations(values, 2)]
        # One config each, the most repeated ones, with all seeds and with one.
        top = ledger.runs[(ledger.runs.experiment == experiment) & (ledger.runs.status == "FINISHED")].config_id.value_counts()
        for column in ["config_id", "config_of_seed_0"]:
            asked += [(metrics[0], [experiment], column, pair) for pair in itertools.combinations(sorted(top.index[:4]), 2)]
    for pair in itertools.combinations(["random_forest", "svm", "knn", "logistic_regression"], 2):
        asked.append(("accuracy", ["breast-cancer", "wine", "digits"], "model", pair))
        asked.append(("fit_time_s", ["breast-cancer", "wine", "digits", "diabetes"], "model", pair))
    facts["config_id"] = ledger.runs.config_id
    facts["config_of_seed_0"] = ledger.runs.config_id.where(ledger.runs.seed == 0)
    kinds = {}
    scored = {}
    for metric, experiments, column, (x, y) in asked:
        key = (metric, tuple(experiments))
        if key not in scored:
            scored[key] = ledger.scored(metric, experiments)
        all_runs, fact = scored[key], facts[column].reindex(scored[key].index)
        a, b = all_runs[fact == x], all_runs[fact == y]
        if a.empty or b.empty:
            continue
        names = ", ".join(quote(e) for e in experiments)
        condition = {"config_id": "config_id = '{}'", "config_of_seed_0": "config_id = '{}' AND seed = 0"}.get(column, column + " = '{}'")
        source = "runs" if column.startswith("config") else f"({runs})"
        scope = lambda v: quote(f"SELECT run_id FROM {source} WHERE experiment IN ({names}) AND {condition.format(v)}")  # noqa: E731, B023
        rows = frame(ledger.store, f"SELECT * FROM compare_groups({scope(x)}, {scope(y)}, {quote(metric)})").to_dict("records")
        (ours,), theirs = rows, compare(ledger, a, b)
        what = f"compare_groups {metric} of {column} {x} and {y}"
        for name in COMPARED:
            check.same(f"{what}: {name}", ours[name], theirs.get(name))
        check.same(f"{what}: pooled", ours["pooled_difference"], a.score.mean() - b.score.mean())
        check.same(f"{what}: runs", ours["n_runs_a"] + ours["n_runs_b"] + ours["n_unused"], len(a) + len(b))
        check.same(f"{what}: q", ours["q_value"], ours["p_value"])
        if (difference := ours["difference"]) and ours["paired_by"]:
            better = (difference > 0) == (ledger.goal(metric, experiments) == "max")
            check.same(f"{what}: better", ours["better"], better)
        kinds[ours["test"], ours["paired_by"]] = kinds.get((ours["test"], ours["paired_by"]), 0) + 1
    print("  compare_groups:", ", ".join(f"{n} {test or 'untested'} by {by or 'nothing'}" for (test, by), n in kinds.items()))


def versions(ledger: Ledger, check: Differences) -> None:
    for experiment, metrics in METRICS.items():
        every = ledger.runs[(ledger.runs.experiment == experiment) & ledger.runs.digest.notna()]
        for metric in metrics:
            scored = ledger.scored(metric, [experiment])
            order = every.groupby("digest").start_time.min().sort_values().index
            order = [digest for digest in order if digest in set(scored.digest)]
            sql = f"SELECT * FROM data_version_effects({quote(experiment)}, {quote(metric)})"
            ours = frame(ledger.store, sql).to_dict("records")
            check.same(f"versions of {experiment} {metric}", [(r["from_digest"], r["to_digest"]) for r in ours], list(itertools.pairwise(order)))
            ps = []
            for row, (old, new) in zip(ours, itertools.pairwise(order)):
                a, b = (ledger.replicates(scored[scored.digest == digest]) for digest in (new, old))
                pairs, _ = joined(a, b, ["experiment", "dataset"])
                if len(pairs) > 1:
                    differences = snapped(pairs.a, pairs.b)
                    theirs = paired(differences) | {"n_pairs": len(pairs), "paired_by": "config"}
                    sign = 1 if ledger.goal(metric, [experiment]) == "max" else -1
                    theirs |= {"wins": int((differences * sign > 0).sum()), "losses": int((differences * sign < 0).sum()), "ties": int((differences == 0).sum())}
                elif len(pairs) == 1:
                    one = pairs.index.get_level_values("config_id")[0]
                    theirs = of_configs(a[a.config_id == one], b[b.config_id == one], ["experiment", "dataset"])
                else:
                    theirs = {"n_pairs": 0}
                ps.append(theirs.get("p_value"))
                for name in ["difference", "low", "high", "p_value", "n_pairs", "paired_by", "wins", "losses", "ties"]:
                    if name in theirs or name not in ("wins", "losses", "ties"):
                        check.same(f"data_version_effects {experiment} {metric} {row['to_version']}: {name}", row[name], theirs.get(name))
            adjusted(check, f"data_version_effects {experiment} {metric}", [r["q_value"] for r in ours], ps)


def adjusted(check: Differences, what: str, ours: list, ps: list) -> None:
    known = [p for p in ps if p is not None and not np.isnan(p)]
    q = iter(stats.false_discovery_control(known) if known else [])
    for got, p in zip(ours, ps, strict=True):
        check.same(f"{what}: q", got, None if p is None or np.isnan(p) else float(next(q)))


def united(cells: pd.DataFrame) -> pd.DataFrame:
    """Configs of one data set with one value each, block effects taken off, and the island of blocks that they share."""
    links = cells.groupby("config_id").block.agg(list)
    root = {block: block for block in cells.block}
    def find(block):
        while root[block] != block:
            block = root[block]
        return block
    for blocks in links:
        for other in blocks[1:]:
            root[find(other)] = find(blocks[0])
    cells = cells.assign(unit=cells.block.map(find))
    parts = []
    for unit, of in cells.groupby("unit"):
        if of.block.nunique() == 1:
            value = of.set_index("config_id").score
        else:
            fit = smf.ols("score ~ 0 + C(config_id) + C(block)", of).fit()
            value = pd.Series({c: fit.params[f"C(config_id)[{c}]"] for c in of.config_id.unique()})
        first = of.drop_duplicates("config_id").set_index("config_id")
        parts.append(first.assign(score=value, runs=of.groupby("config_id").runs.sum()).reset_index())
    return pd.concat(parts, ignore_index=True)


def tied(values: pd.Series) -> pd.Series:
    """Values that only rounding tells apart are one: ranks see any difference."""
    order = values.sort_values()
    apart = order.diff() > 1e-12 * np.maximum(order.abs(), order.shift().abs())
    return order.groupby(apart.cumsum()).transform("first").reindex(values.index)


def sphericity(table: np.ndarray) -> float:
    """Greenhouse and Geisser's epsilon, from the eigenvalues of contrasts; the lower bound where cells are missing."""
    contrasts = table.shape[1] - 1
    if np.isnan(table).any():
        return 1 / contrasts
    values = np.linalg.eigvalsh(np.atleast_2d(np.cov((table @ helmert(contrasts + 1).T).T)))
    return values.sum() ** 2 / (contrasts * (values**2).sum())


def varied(cells: pd.DataFrame, by: str, numeric: bool) -> pd.DataFrame:
    size, values = cells.groupby(by).value.transform("size"), cells.groupby(by).value.transform("nunique")
    return cells[(size >= (3 if numeric else 2)) & (values > 1)]


def effect(cells: pd.DataFrame, numeric: bool, goal: str) -> dict:
    united_cells = pd.concat([united(of) for _, of in cells.groupby("dataset_unit")], ignore_index=True)
    units = varied(united_cells, "unit", numeric)
    if units.empty:
        return {"effect": None, "p_value": None, "n_configs": 0}
    found = {"n_configs": len(units), "n_runs": int(units.runs.sum()), "n_values": units.value.nunique(),
             "n_datasets": units.dataset_unit.nunique(), "p_value": None}  # fmt: skip
    blocks = varied(cells, "block", numeric)
    found["n_blocks"] = blocks.block.nunique()
    if numeric:
        rho = lambda of: 0.0 if tied(of.score).nunique() == 1 else stats.spearmanr(of.value.astype(float), tied(of.score)).statistic  # noqa: E731
        pooled = []
        for _, of in units.groupby("dataset_unit"):
            parts = [(rho(unit), len(unit) - 1) for _, unit in of.groupby("unit")]
            weight = sum(w for _, w in parts)
            pooled.append((sum(r * w for r, w in parts) / weight, weight - 1))
        found["effect"] = np.mean([r for r, _ in pooled])
        if len(pooled) == 1:
            ((r, freedom),) = pooled
            if freedom >= 8:
                found["p_value"] = 2 * stats.t.sf(abs(r) * np.sqrt(freedom / (1 - r * r)), freedom) if abs(r) < 1 else 0.0
                if units.unit.nunique() == 1:
                    assert abs(found["p_value"] - stats.spearmanr(units.value.astype(float), tied(units.score)).pvalue) < 1e-12
        else:
            found["p_value"] = paired([r for r, _ in pooled])["p_value"]
        signs = [rho(of) for _, of in blocks.groupby("block")]
        if signs:
            found |= {"share_positive": np.mean(np.array(signs) > 0), "share_negative": np.mean(np.array(signs) < 0)}
        return found
    blocked = " + C(unit)" if units.unit.nunique() > 1 else ""
    full, base = smf.ols(f"score ~ C(value){blocked}", units).fit(), smf.ols(f"score ~ 1{blocked}", units).fit()
    freedom = round(base.df_resid - full.df_resid)
    if full.df_resid <= 0 or freedom == 0:
        return found | {"effect": None}
    squares, error = base.ssr - full.ssr, full.ssr / full.df_resid
    found["effect"] = (squares - freedom * error) / (base.ssr + error)
    if units.dataset_unit.nunique() == 1:
        found["p_value"] = full.compare_f_test(base)[1]
        means = full.params
    else:
        level = units.groupby(["dataset_unit", "unit", "value"]).score.mean()
        level = (level - level.groupby(["dataset_unit", "unit"]).transform("mean")).groupby(["dataset_unit", "value"]).mean().reset_index()
        full, base = smf.ols("score ~ C(value) + C(dataset_unit)", level).fit(), smf.ols("score ~ C(dataset_unit)", level).fit()
        if full.df_resid > 0:
            f, _, freedom = full.compare_f_test(base)
            epsilon = sphericity(level.pivot(index="dataset_unit", columns="value", values="score").to_numpy())
            found["p_value"] = stats.f.sf(f, epsilon * freedom, epsilon * full.df_resid)
        means = full.params
    values = sorted(units.value.unique())
    effects = pd.Series({v: means.get(f"C(value)[T.{v}]", 0.0) for v in values})
    found["best_value"] = effects.idxmax() if goal == "max" else effects.idxmin()
    return found


PARAM = ["effect", "p_value", "n_configs", "n_runs", "n_values", "n_datasets", "n_blocks", "share_positive", "share_negative", "best_value"]


def label(row: pd.Series) -> str:
    """A value as text, numbers without a needless .0."""
    if row["type"] == "bool" or np.isnan(row.num):
        return row.value
    return np.format_float_positional(row.num, trim="-")


def params(ledger: Ledger, check: Differences, asked: list[tuple[str, list[str], str]]) -> None:
    for scope, experiments, metric in asked:
        scored, goal = ledger.scored(metric, experiments), ledger.goal(metric, experiments)
        scored["block"] = scored[["experiment", "dataset_unit"]].agg("|".join, axis=1) + "|" + scored.digest.fillna("")
        key = ["block", "config_id"]
        cells = scored.reset_index().groupby(key).agg(
            score=("score", "mean"), runs=("score", "size"), dataset_unit=("dataset_unit", "first"), run_id=("run_id", "min")
        ).reset_index()  # fmt: skip
        given = ledger.params[~ledger.params.key.isin(["seed", "fold"]) & ~ledger.params.value.isin(["", "None", "null"]) & ledger.params.value.notna()]
        ours = frame(ledger.store, f"SELECT * FROM param_effects({quote(scope)}, {quote(metric)})").to_dict("records")
        by_run = dict(tuple(given[given.run_id.isin(set(cells.run_id))].groupby("key")))
        seen, ps = set(), []
        for row in ours:
            param = by_run[row["param"]].set_index("run_id")
            numeric = bool(param.num.notna().all())
            value = param.num if numeric else param.apply(label, axis=1)
            of = cells.join(value.rename("set_to"), on="run_id", how="inner").rename(columns={"set_to": "value"})
            theirs = effect(of, numeric, goal)
            what = f"param_effects {scope} {metric} {row['param']}"
            check.same(f"{what}: measure", row["measure"], "rank correlation" if numeric else "omega squared")
            for name in PARAM:
                if name in theirs:
                    check.same(f"{what}: {name}", row[name], theirs[name])
            seen.add(row["param"])
            ps.append(theirs["p_value"])
        vary = {key for key, of in by_run.items() if of.value.nunique() > 1}
        check.same(f"param_effects {scope} {metric}: params", sorted(seen), sorted(vary))
        order = np.argsort([np.inf if p is None or np.isnan(p) else p for p in ps], kind="stable")
        adjusted(check, f"param_effects {scope} {metric}", [r["q_value"] for r in ours], ps)
        check.same(f"param_effects {scope} {metric}: order", list(order), sorted(order))


def ablated(ledger: Ledger, check: Differences) -> None:
    used = frame(ledger.store, "SELECT run_id, feature FROM features WHERE used").groupby("run_id").feature.agg(frozenset)
    given = ledger.params[~ledger.params.key.isin(["seed", "fold"]) & ledger.params.value.notna()]
    told = 0
    for experiment, metrics in METRICS.items():
        scored = ledger.scored(metrics[0], [experiment])
        by_run = given[given.run_id.isin(scored.index)]
        by_run = {run: dict(zip(of.key, of.num.where(of.num.notna(), of.value))) for run, of in by_run.groupby("run_id")}
        for ignore in [[], ["selector", "k_features", "left_out"]]:
            for run in scored.sort_index().index[:: len(scored) // 6]:
                base = scored.loc[run]
                block = scored[(scored.digest == base.digest) & (scored.dataset == base.dataset)]
                mine = block[block.config_id == base.config_id]
                theirs = {}
                strip = lambda params: {k: v for k, v in params.items() if k not in ignore}  # noqa: E731
                for config, of in block.groupby("config_id"):
                    if config == base.config_id:
                        continue
                    other = sorted(of.index)[0]
                    x, y = strip(by_run[run]), strip(by_run[other])
                    differing = [k for k in sorted(x.keys() | y.keys()) if k not in x or k not in y or x[k] != y[k]]
                    features = used.get(run, frozenset()) ^ used.get(other, frozenset())
                    if (len(differing), len(features)) in ((1, 0), (0, 1)):
                        name = [*differing, *features][0]
                        found = of_configs(ledger.replicates(of), ledger.replicates(mine), ["experiment", "dataset"])
                        theirs[config] = found | {"name": name, "kind": "param" if differing else "feature", "n_runs": len(of) + len(mine)}
                sql = f"SELECT * FROM ablations({quote(experiment)}, {quote(metrics[0])}, {quote(run)}, ignore => {quote(','.join(ignore))})"
                ours = {row["config_id"]: row for row in frame(ledger.store, sql).to_dict("records")}
                what = f"ablations {experiment} {metrics[0]} {run}"
                check.same(f"{what}: configs", sorted(ours), sorted(theirs))
                for config, row in theirs.items():
                    told += 1
                    check.same(f"{what} {config}: difference", ours[config]["difference"], row["difference"])
                    for name in ["kind", "name", "p_value", "low", "high", "n_pairs", "paired_by", "n_runs"]:
                        check.same(f"{what} {config}: {name}", ours[config][name], row.get(name))
    print(f"  ablations: {told} configs that differ in one thing")


def trials(binary: str, source: pathlib.Path, folder: pathlib.Path) -> None:
    """What pooling finds among feature selectors, and what is left of it within data sets."""
    names = {"params_C_LR": "C_LR", "params_C_SVM": "C_SVM", "params_N": "n", "params_RF_n_estimators": "n_estimators",
             "params_clf_method": "model", "params_fs_method": "selector", "corr_threshold": "threshold"}  # fmt: skip
    duck = duckdb.connect()
    table = duck.execute(f"SELECT * FROM read_parquet('{source}') ORDER BY dataset, number, corr_threshold").df()
    lines = folder / "trials.jsonl"
    with lines.open("w") as out:
        for dataset in sorted(table.dataset.unique()):
            out.write(json.dumps({"type": "metric_goal", "experiment": dataset, "key": "auc", "goal": "max"}) + "\n")
        columns = list(names)
        for n, row in enumerate(table.itertuples(index=False)):
            row = row._asdict()
            values = {names[c]: (float(row[c]) if c == "corr_threshold" else row[c]) for c in columns if not pd.isna(row[c])}
            for line in (
                {"type": "run", "experiment": row["dataset"], "start_time": row["datetime_start"]},
                {"type": "params", "values": values},
                {"type": "metrics", "values": {"auc": row["value"]}},
                {"type": "finish"},
            ):
                out.write(json.dumps({"run": f"trial-{n:06}", **line}) + "\n")
    store = make(binary, folder / "trials", [lines])
    check = Differences("trials")
    key = [c for c in names if c != "params_fs_method"]
    cells = table.assign(config=[repr(t) for t in table[key].itertuples(index=False)])
    wide = cells.pivot(index=["dataset", "config"], columns="params_fs_method", values="value")
    pairs = list(itertools.combinations(sorted(table.params_fs_method.unique()), 2))
    pooled, blocked, ours = [], [], []
    for a, b in pairs:
        scope = lambda v: quote(f"SELECT run_id FROM runs WHERE params.selector = '{v}'")  # noqa: E731
        (row,) = frame(store, f"SELECT * FROM compare_groups({scope(a)}, {scope(b)}, 'auc')").to_dict("records")
        # The same configs ran with each selector on a data set, so that means of pairs and differences of means are one.
        of = (wide[a] - wide[b]).groupby("dataset").mean()
        theirs = paired(of.to_numpy()) | {"n_datasets": 50, "paired_by": "data set", "n_pairs": 50}
        for name in ["difference", "low", "high", "p_value", "n_datasets", "n_pairs", "paired_by"]:
            check.same(f"{a} and {b}: {name}", row[name], theirs[name])
        x, y = (table[table.params_fs_method == s].value for s in (a, b))
        check.same(f"{a} and {b}: pooled", row["pooled_difference"], x.mean() - y.mean())
        pooled.append(stats.ttest_ind(x, y, equal_var=False).pvalue)
        blocked.append(theirs["p_value"])
        ours.append(row)
    q_pooled, q_blocked = stats.false_discovery_control(pooled), stats.false_discovery_control(blocked)
    print("  | first | second | pooled | p | q | blocked | 95% interval | wins | p | q |")
    for (a, b), row, p, q, r in zip(pairs, ours, pooled, q_pooled, q_blocked):
        print(f"  | {a} | {b} | {row['pooled_difference']:.4f} | {p:.1e} | {q:.1e} | {row['difference']:.4f} | "
              f"{row['low']:.4f} to {row['high']:.4f} | {row['wins']} of 50 | {row['p_value']:.3f} | {r:.3f} |")  # fmt: skip
    check.same("pairs that pooling calls different", int((q_pooled < 0.05).sum()), 5)
    check.same("pairs that are different within data sets", int((q_blocked < 0.05).sum()), 0)
    # The statement of the page gives these q-values.
    page = (pathlib.Path(__file__).resolve().parents[2] / "docs/statistics.md").read_text()
    sql = page.split("<!-- run by tests/stats -->\n```sql\n")[1].split("```")[0]
    answer = frame(store, sql).set_index(["selector_a", "selector_b"])
    for pair, q in zip(pairs, q_blocked):
        check.same(f"q of {pair} in SQL", answer.loc[pair].q, q)
    ledger = Ledger(store)
    params(ledger, check, [("%", sorted(table.dataset.unique()), "auc"), ("Ahn2021", ["Ahn2021"], "auc")])
    print(frame(store, "SELECT param, measure, round(effect, 4) AS effect, best_value, p_value, q_value, share_positive, share_best, n_configs FROM param_effects('%', 'auc')").to_string())  # noqa: E501
    check.told()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runlake", required=True, help="the binary")
    parser.add_argument("--data", required=True, type=pathlib.Path, help="where large real data is, or would be")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        ledger = Ledger(make(args.runlake, folder / "sample", [SAMPLE]))
        check = Differences("sample data")
        groups(ledger, check)
        versions(ledger, check)
        asked = [(e, [e], metric) for e, metrics in METRICS.items() for metric in metrics]
        asked.append(("%", list(METRICS), "fit_time_s"))
        params(ledger, check, asked)
        ablated(ledger, check)
        check.told()
        source = args.data / "feature_selection/trials.parquet"
        if source.is_file():
            trials(args.runlake, source, folder)
        else:
            print(f"trials: skipped, there is no {source}")


if __name__ == "__main__":
    main()
