//! Which rows belong together, and what they are called.

use std::collections::{HashMap, HashSet};

use super::Reading;

/// Rows that belong together, and their name.
pub(super) type Series = (Option<String>, Vec<usize>);

impl Reading<'_> {
    /// The rows of each series, in the order in which they first come.
    pub(super) fn series(&self, column: Option<usize>) -> Vec<Series> {
        let Some(column) = column else { return vec![(None, (0..self.columns.len()).collect())] };
        grouped(self.columns.labels(column))
    }

    /// The same, where runs of one name are a series each.
    pub(super) fn series_of_runs(&self, column: Option<usize>) -> Vec<Series> {
        let Some(column) = column else { return self.series(None) };
        grouped(self.run_names(column))
    }

    /// The texts of a column. If it is a name of runs and their ids stand beside it, runs of one name have as much of their
    /// id behind it as tells them apart.
    pub(super) fn run_names(&self, column: usize) -> Vec<String> {
        let labels = self.columns.labels(column);
        let named = self.columns.name(column).to_ascii_lowercase();
        let id = self.columns.find("run_id").filter(|at| *at != column && !self.is_along(*at));
        let (Some(id), true) = (id, ["name", "run_name", "run", "label"].contains(&named.as_str())) else {
            return labels;
        };
        let (ids, unnamed) = (self.columns.labels(id), self.columns.nulls(column));
        let mut runs: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut seen = HashSet::new();
        for (label, id) in labels.iter().zip(&ids) {
            if seen.insert((label, id)) {
                runs.entry(label).or_default().push(id);
            }
        }
        let lengths: HashMap<&str, usize> = runs.iter().map(|(label, ids)| (*label, telling(ids))).collect();
        let name = |row: usize| {
            let (label, id) = (&labels[row], &ids[row]);
            let short: String = id.chars().take(lengths[label.as_str()]).collect();
            match (unnamed[row], runs[label.as_str()].len()) {
                (true, _) => short,
                (false, 1) => label.clone(),
                (false, _) => format!("{label} {short}"),
            }
        };
        (0..labels.len()).map(name).collect()
    }

    fn is_along(&self, column: usize) -> bool {
        self.options.x.as_deref().and_then(|name| self.columns.find(name)) == Some(column)
    }
}

/// How many characters of ids tell them apart, at least 8.
fn telling(ids: &[&str]) -> usize {
    let mut sorted = ids.to_vec();
    sorted.sort_unstable();
    let common = |pair: &[&str]| pair[0].chars().zip(pair[1].chars()).take_while(|(a, b)| a == b).count();
    sorted.windows(2).map(|pair| common(pair) + 1).max().unwrap_or(0).max(8)
}

pub(super) fn grouped(names: Vec<String>) -> Vec<Series> {
    let mut order: Vec<Series> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    for (row, name) in names.into_iter().enumerate() {
        let at = *places.entry(name).or_insert_with_key(|name| {
            order.push((Some(name.clone()), Vec::new()));
            order.len() - 1
        });
        order[at].1.push(row);
    }
    order
}
