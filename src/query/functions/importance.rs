//! What runs said of the importance of their features, as ranks: scales differ from kind to kind and from run to run.

use std::collections::{BTreeMap, HashMap};

use super::call::Call;
use super::rows::{float, text};
use super::scope::{Scope, quoted};
use crate::query::error::QueryError;

/// The importance of one feature.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Importance {
    /// Mean rank by kind, 1 for the most important feature of a run.
    pub ranks: BTreeMap<String, f64>,
    /// Runs that said something.
    pub runs: usize,
}

impl Importance {
    /// The mean over the kinds, each counted once.
    pub fn rank(&self) -> Option<f64> {
        let n = self.ranks.len();
        (n > 0).then(|| self.ranks.values().sum::<f64>() / n as f64)
    }
}

/// Whether the sign of an importance is a direction, so that its size counts.
fn is_signed(kind: &str) -> bool {
    ["coef", "coefficient", "shap", "weight"].contains(&kind.to_lowercase().as_str())
}

/// What one run said of one feature. Places instead of names, since there may be ten million of these.
struct Said {
    run: u32,
    kind: u32,
    feature: u32,
    value: f64,
}

/// Names by the order in which they first came.
#[derive(Default)]
struct Names<'a> {
    places: HashMap<&'a str, u32>,
    last: Option<(&'a str, u32)>,
}

impl<'a> Names<'a> {
    fn place(&mut self, name: &'a str) -> u32 {
        // Rows are sorted by feature in the files, so most names are the one before.
        if let Some((last, place)) = self.last
            && last == name
        {
            return place;
        }
        let next = self.places.len() as u32;
        let place = *self.places.entry(name).or_insert(next);
        self.last = Some((name, place));
        place
    }

    fn in_order(&self) -> Vec<&'a str> {
        let mut names = vec![""; self.places.len()];
        self.places.iter().for_each(|(name, place)| names[*place as usize] = name);
        names
    }
}

/// The importance of features over some runs of a scope, of one kind or of all.
pub async fn importance(
    call: &Call<'_>,
    scope: &Scope,
    runs: &HashMap<&str, u32>,
    kind: Option<&str>,
) -> Result<HashMap<String, Importance>, QueryError> {
    let mut sql = format!(
        "SELECT run_id, feature, importance, importance_kind FROM features
         WHERE importance IS NOT NULL AND used AND {}",
        scope.condition()
    );
    if let Some(kind) = kind {
        sql += &format!(" AND importance_kind = {}", quoted(kind));
    }
    let rows = call.ask_in(scope, &sql).await?;
    let (ids, features, values) = (rows.texts("run_id")?, rows.texts("feature")?, rows.floats("importance")?);
    let kinds = rows.texts("importance_kind")?;
    let (mut feature_names, mut kind_names) = (Names::default(), Names::default());
    let mut said: Vec<Said> = Vec::with_capacity(rows.len());
    for row in 0..rows.len() {
        let Some(value) = float(&values, row).filter(|value| value.is_finite()) else { continue };
        let Some(run) = runs.get(ids.value(row)) else { continue };
        let kind = text(&kinds, row).unwrap_or("unnamed");
        let value = if is_signed(kind) { value.abs() } else { value };
        let (kind, feature) = (kind_names.place(kind), feature_names.place(features.value(row)));
        said.push(Said { run: *run, kind, feature, value });
    }
    said.sort_unstable_by(|a, b| (a.run, a.kind).cmp(&(b.run, b.kind)).then(b.value.total_cmp(&a.value)));
    let (features, kinds) = (feature_names.in_order(), kind_names.in_order());
    // By feature and kind. Sums of halves are exact, so the order of the runs does not matter.
    let mut sums = vec![(0.0, 0usize); features.len() * kinds.len()];
    let mut runs_of = vec![(None, 0usize); features.len()];
    for list in said.chunk_by(|a, b| (a.run, a.kind) == (b.run, b.kind)) {
        let mut before = 0;
        for equal in list.chunk_by(|a, b| a.value == b.value) {
            // The mean of the places that they take together.
            let rank = before as f64 + (equal.len() as f64 + 1.0) / 2.0;
            before += equal.len();
            for Said { run, kind, feature, .. } in equal {
                let (sum, n) = &mut sums[*feature as usize * kinds.len() + *kind as usize];
                *sum += rank;
                *n += 1;
                let (last, n) = &mut runs_of[*feature as usize];
                if *last != Some(*run) {
                    (*last, *n) = (Some(*run), *n + 1);
                }
            }
        }
    }
    let mut found: HashMap<String, Importance> = HashMap::new();
    for (feature, name) in features.iter().enumerate() {
        let of_kinds = kinds.iter().zip(&sums[feature * kinds.len()..]);
        let ranks = of_kinds.filter(|(_, (_, n))| *n > 0).map(|(kind, (sum, n))| (kind.to_string(), sum / *n as f64));
        found.insert(name.to_string(), Importance { ranks: ranks.collect(), runs: runs_of[feature].1 });
    }
    Ok(found)
}
