//! `feature_effects(scope, metric)`.

use std::cmp::Ordering;
use std::collections::{BTreeSet, HashMap};

use arrow::array::RecordBatch;

use super::call::Call;
use super::importance::{Importance, importance};
use super::rows::{Columns, text};
use super::scope::{Scope, quoted};
use super::subsets::{Subsets, Tried};
use crate::model::Goal;
use crate::query::error::QueryError;
use crate::stats::{Bits, Certainty, Coefficient, Column, Unsure, benjamini_hochberg, least_squares};

const LEVEL: f64 = 0.95;
/// The param that names the kind of model where the call does not say another.
const FAMILY: &str = "model";
/// More columns than this are not solved: the work grows with the cube of their number.
const WIDEST: usize = 1000;

/// One feature.
#[derive(Default)]
struct Row {
    feature: String,
    method: Option<&'static str>,
    found: Option<Coefficient>,
    aliased_with: Option<Vec<String>>,
    raw_diff: Option<f64>,
    with: usize,
    without: usize,
    runs: usize,
    blocks: usize,
    /// Configs that the effect was computed from; 0 without one.
    used: usize,
    reason: Option<String>,
}

impl Row {
    fn certainty(&self) -> Option<Certainty> {
        self.found.and_then(|found| found.certainty.ok())
    }
}

pub async fn answer(mut call: Call<'_>) -> Result<RecordBatch, QueryError> {
    let scope = call.scope("scope").await?;
    let metric = call.args.text("metric")?;
    let family = call.args.optional_text("family")?;
    let kind = call.args.optional_text("importance_kind")?;
    call.args.end()?;
    let subsets = Subsets::of(&call, &scope, &metric).await?;
    let said = importance(&call, &scope, &subsets.run_ids(), kind.as_deref()).await?;
    let families = families(&call, &scope, &subsets, family.as_deref()).await?;
    let data = Design::new(&subsets, families);
    let unused = unused(&call, &scope, &subsets, &data).await?;
    let mut rows = data.rows(&unused);
    let goal = subsets.scored.goal;
    rows.sort_by(|a, b| {
        let effect = |row: &Row| row.found.map(|found| found.effect);
        super::scores::better(goal, effect(a), effect(b)).then_with(|| a.feature.cmp(&b.feature))
    });
    columns(&rows, goal, &said, subsets.score_of(&subsets.configs))
}

fn columns(
    rows: &[Row],
    goal: Goal,
    said: &HashMap<String, Importance>,
    score_of: Option<String>,
) -> Result<RecordBatch, QueryError> {
    let q = benjamini_hochberg(&rows.iter().map(|row| row.certainty().map(|c| c.p)).collect::<Vec<_>>());
    let better = |row: &Row| {
        let effect = row.found?.effect;
        match effect.total_cmp(&0.0) {
            _ if effect == 0.0 => None,
            Ordering::Greater => Some(goal == Goal::Max),
            _ => Some(goal == Goal::Min),
        }
    };
    let importance = |row: &Row| said.get(&row.feature);
    let kinds = |row: &Row| importance(row).map(|of| of.ranks.keys().cloned().collect::<Vec<_>>());
    Columns::new()
        .text("feature", rows.iter().map(|row| Some(&row.feature)))
        .float("effect", rows.iter().map(|row| Some(row.found?.effect)))
        .float("std_error", rows.iter().map(|row| Some(row.certainty()?.std_error)))
        .float("low", rows.iter().map(|row| Some(row.certainty()?.interval.0)))
        .float("high", rows.iter().map(|row| Some(row.certainty()?.interval.1)))
        .float("p_value", rows.iter().map(|row| Some(row.certainty()?.p)))
        .float("q_value", q)
        .bool("better", rows.iter().map(better))
        .float("raw_diff", rows.iter().map(|row| row.raw_diff))
        .text("method", rows.iter().map(|row| row.method))
        .texts("aliased_with", rows.iter().map(|row| row.aliased_with.clone()))
        .float("importance_rank", rows.iter().map(|row| importance(row)?.rank()))
        .texts("importance_kinds", rows.iter().map(kinds))
        .count("n_importance", rows.iter().map(|row| importance(row).map_or(0, |of| of.runs)))
        .count("n_with", rows.iter().map(|row| row.with))
        .count("n_without", rows.iter().map(|row| row.without))
        .count("n_configs", rows.iter().map(|row| row.with + row.without))
        .count("n_used", rows.iter().map(|row| row.used))
        .count("n_runs", rows.iter().map(|row| row.runs))
        .count("n_blocks", rows.iter().map(|row| row.blocks))
        .text("score_of", rows.iter().map(|_| score_of.as_ref()))
        .text("reason", rows.iter().map(|row| row.reason.as_ref()))
        .finish()
}

/// The family of each config: a value of a param or tag. A default param that no run has makes one family of all.
async fn families(
    call: &Call<'_>,
    scope: &Scope,
    subsets: &Subsets,
    named: Option<&str>,
) -> Result<Vec<Option<String>>, QueryError> {
    let (group, key) = match named.unwrap_or(FAMILY) {
        key if key.starts_with("tags.") => ("tags", &key["tags.".len()..]),
        key => ("params_text", key.strip_prefix("params.").unwrap_or(key)),
    };
    let sql = format!("SELECT run_id, {group}[{}] AS family FROM runs WHERE {}", quoted(key), scope.condition());
    let rows = match call.ask_in(scope, &sql).await {
        Err(QueryError::UnknownKey { .. }) if named.is_none() => return Ok(vec![None; subsets.configs.len()]),
        rows => rows?,
    };
    let (ids, values) = (rows.texts("run_id")?, rows.texts("family")?);
    let of: HashMap<&str, &str> =
        (0..rows.len()).filter_map(|row| Some((ids.value(row), text(&values, row)?))).collect();
    let first = |config: &Tried| of.get(subsets.scored.runs[config.runs[0]].run_id.as_str());
    Ok(subsets.configs.iter().map(|config| first(config).map(|family| family.to_string())).collect())
}

/// Features that runs had and did not use, by name, with the blocks of these runs: only those that some block does not use,
/// since in the others their use says already that they were there.
async fn unused(
    call: &Call<'_>,
    scope: &Scope,
    subsets: &Subsets,
    data: &Design<'_>,
) -> Result<HashMap<String, BTreeSet<usize>>, QueryError> {
    let everywhere: Vec<String> = subsets
        .features
        .iter()
        .zip(&data.columns)
        .filter(|(_, column)| data.ranges().all(|(from, to)| column.ones_in(from, to) > 0))
        .map(|(name, _)| quoted(name))
        .collect();
    let mut sql = format!("SELECT DISTINCT feature, run_id FROM features WHERE NOT used AND {}", scope.condition());
    if !everywhere.is_empty() {
        sql += &format!(" AND feature NOT IN ({})", everywhere.join(", "));
    }
    let rows = call.ask_in(scope, &sql).await?;
    let (features, runs) = (rows.texts("feature")?, rows.texts("run_id")?);
    let mut block_of: HashMap<&str, usize> = HashMap::new();
    for (block, (from, to)) in data.ranges().enumerate() {
        for config in &subsets.configs[from..to] {
            block_of.extend(config.runs.iter().map(|run| (subsets.scored.runs[*run].run_id.as_str(), block)));
        }
    }
    let mut found: HashMap<String, BTreeSet<usize>> = HashMap::new();
    for row in 0..rows.len() {
        if let Some(block) = block_of.get(runs.value(row)) {
            found.entry(features.value(row).to_string()).or_default().insert(*block);
        }
    }
    Ok(found)
}

/// Configs as rows, features as columns of zeros and ones.
struct Design<'a> {
    subsets: &'a Subsets,
    scores: Vec<f64>,
    /// Configs of each block; the configs are in their order.
    blocks: Vec<usize>,
    /// Runs of each block.
    runs: Vec<usize>,
    families: Vec<Option<String>>,
    columns: Vec<Bits>,
}

impl<'a> Design<'a> {
    fn new(subsets: &'a Subsets, families: Vec<Option<String>>) -> Design<'a> {
        let rows = subsets.configs.len();
        let mut columns = vec![Bits::zeros(rows); subsets.features.len()];
        for (row, config) in subsets.configs.iter().enumerate() {
            config.set.iter().for_each(|feature| columns[*feature as usize].set(row));
        }
        let scores = subsets.configs.iter().map(|config| config.score()).collect();
        let blocks = subsets.blocks().map(<[_]>::len).collect();
        let runs = subsets.blocks().map(|block| block.iter().map(|config| config.runs.len()).sum()).collect();
        Design { subsets, scores, blocks, runs, families, columns }
    }

    /// First and last row (exclusive) of each block.
    fn ranges(&self) -> impl Iterator<Item = (usize, usize)> {
        self.blocks.iter().scan(0, |from, rows| {
            let range = (*from, *from + rows);
            *from += rows;
            Some(range)
        })
    }

    fn rows(&self, unused: &HashMap<String, BTreeSet<usize>>) -> Vec<Row> {
        // The first family is what the others are compared with.
        let names: Vec<&Option<String>> = self.families.iter().collect::<BTreeSet<_>>().into_iter().skip(1).collect();
        let mut columns: Vec<Bits> = Vec::with_capacity(names.len() + self.columns.len());
        for name in &names {
            let mut column = Bits::zeros(self.scores.len());
            (0..self.scores.len()).filter(|row| self.families[*row] == **name).for_each(|row| column.set(row));
            columns.push(column);
        }
        columns.extend(self.columns.iter().cloned());
        let fit = match columns.len() {
            0..=WIDEST => least_squares(&self.scores, &self.blocks, &columns, LEVEL),
            _ => vec![Column::Aliased(Vec::new()); columns.len()],
        };
        let strata = self.strata();
        let none = BTreeSet::new();
        let mut rows = Vec::new();
        for (feature, name) in self.subsets.features.iter().enumerate() {
            let mut row = self.counts(name, Some(&self.columns[feature]), unused.get(name).unwrap_or(&none));
            match &fit[names.len() + feature] {
                Column::Constant => row.reason = Some("used by all configs or by none in every block".to_string()),
                Column::Known(found) => {
                    (row.method, row.found, row.used) = (Some("least squares"), Some(*found), self.scores.len());
                }
                Column::Aliased(with) => {
                    let label = |column: &usize| match column.checked_sub(names.len()) {
                        Some(feature) => self.subsets.features[feature].clone(),
                        None => format!("family {}", names[*column].as_deref().unwrap_or("NULL")),
                    };
                    row.aliased_with = Some(with.iter().map(label).collect());
                    self.stratified(&mut row, &strata, &self.columns[feature]);
                }
            }
            if let Some(Coefficient { certainty: Err(unsure), .. }) = row.found {
                let why = match unsure {
                    Unsure::NoFreedom => "too few configs for an interval",
                    Unsure::OneRow => "one config alone decides it: no interval",
                    Unsure::NoSpread => "no spread to measure it by",
                };
                row.reason = Some(why.to_string());
            }
            rows.push(row);
        }
        for (name, blocks) in unused {
            if self.subsets.features.binary_search(name).is_err() {
                let reason = Some("no config uses it".to_string());
                rows.push(Row { reason, ..self.counts(name, None, blocks) });
            }
        }
        rows
    }

    /// What is counted: configs with the feature, and those of blocks where it was there and they did without.
    fn counts(&self, name: &str, column: Option<&Bits>, unused: &BTreeSet<usize>) -> Row {
        let mut row = Row { feature: name.to_string(), ..Row::default() };
        let (mut with, mut without) = (0.0, 0.0);
        for (block, (from, to)) in self.ranges().enumerate() {
            let ones = column.map_or(0, |column| column.ones_in(from, to));
            if ones == 0 && !unused.contains(&block) {
                continue;
            }
            row.with += ones;
            row.without += to - from - ones;
            row.blocks += usize::from(ones > 0 && ones < to - from);
            row.runs += self.runs[block];
            for at in from..to {
                match column.is_some_and(|column| column.get(at)) {
                    true => with += self.scores[at],
                    false => without += self.scores[at],
                }
            }
        }
        if row.with > 0 && row.without > 0 {
            row.raw_diff = Some(with / row.with as f64 - without / row.without as f64);
        }
        row
    }

    /// The stratum of each row: block, family, and decile of the number of features among the configs of the block. Equal
    /// sizes are in one decile: ten times the share of configs with fewer features, rounded down.
    fn strata(&self) -> Vec<(usize, &Option<String>, usize)> {
        let mut strata = Vec::with_capacity(self.scores.len());
        for (block, (from, to)) in self.ranges().enumerate() {
            let sizes: Vec<usize> = self.subsets.configs[from..to].iter().map(|c| c.set.len()).collect();
            let mut sorted = sizes.clone();
            sorted.sort_unstable();
            for (i, size) in sizes.iter().enumerate() {
                let fewer = sorted.partition_point(|other| other < size);
                strata.push((block, &self.families[from + i], 10 * fewer / sizes.len()));
            }
        }
        strata
    }

    /// With against without inside strata that have both: least squares with a fixed effect for each of them.
    fn stratified(&self, row: &mut Row, strata: &[(usize, &Option<String>, usize)], column: &Bits) {
        let mut order: Vec<usize> = (0..strata.len()).collect();
        order.sort_by_key(|at| strata[*at]);
        let mut values = Vec::new();
        let mut sizes = Vec::new();
        let mut ones = Vec::new();
        for stratum in order.chunk_by(|a, b| strata[*a] == strata[*b]) {
            let with = stratum.iter().filter(|at| column.get(**at)).count();
            if with > 0 && with < stratum.len() {
                sizes.push(stratum.len());
                for at in stratum {
                    if column.get(*at) {
                        ones.push(values.len());
                    }
                    values.push(self.scores[*at]);
                }
            }
        }
        row.method = Some("stratified");
        let mut used = Bits::zeros(values.len());
        ones.into_iter().for_each(|one| used.set(one));
        match least_squares(&values, &sizes, &[used], LEVEL).pop() {
            Some(Column::Known(found)) => (row.found, row.used) = (Some(found), values.len()),
            _ => {
                row.method = None;
                row.reason = Some("no two configs of one family and size differ in it".to_string());
            }
        }
    }
}
