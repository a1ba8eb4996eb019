//! What the columns of a table are.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::super::ImportError;

/// What the columns of a table are, as far as somebody says it; the rest is told by their names and values.
///
/// A column is named exactly, or by a pattern such as `val_*`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TableMapping {
    /// The column that tells runs apart.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// Columns of params.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<String>,
    /// Columns of metrics.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<String>,
    /// Columns of tags.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// The column of steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// The column of times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Whether each file is a run of its own, named by where it lies.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub run_from_path: bool,
    /// A file of params beside each file: YAML or JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params_file: Option<String>,
    /// The experiment of all runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment: Option<String>,
}

impl TableMapping {
    /// Reads a mapping that was saved.
    ///
    /// # Errors
    /// When there is none, or it says something that is not known.
    pub fn read(path: &Path) -> Result<TableMapping, ImportError> {
        let text = super::super::tree::text_up_to(path, 1 << 20).map_err(ImportError::io(path))?;
        serde_json::from_str(&text)
            .map_err(|e| ImportError::Mapping { path: path.to_path_buf(), reason: e.to_string() })
    }

    /// Saves the mapping, as JSON.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), ImportError> {
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other).map_err(ImportError::io(path))?;
        std::fs::write(path, text + "\n").map_err(ImportError::io(path))
    }
}

/// What a column is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Role {
    RunId,
    Name,
    Experiment,
    Status,
    Start,
    End,
    Step,
    Time,
    Param(String),
    Metric(String),
    Tag(String),
    /// Text that is a param where it never changes within a run, else a series of text.
    Text(String),
    /// Row numbers, and columns that were given no role where others were.
    Unused,
}

/// A role under a key.
type MakeRole = fn(String) -> Role;

/// How rows add up to runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// A column says which run a row belongs to; whether any run has several rows.
    Column { several: bool },
    /// A file is a run.
    File,
    /// A row is a run.
    Row,
}

/// What is known of a column from its cells.
#[derive(Debug, Default, Clone)]
pub struct Stat {
    /// Cells that say something.
    pub cells: u64,
    /// Of them numbers.
    pub numbers: u64,
    /// Of them such that look like times.
    pub dates: u64,
}

impl Stat {
    fn is_number(&self) -> bool {
        self.numbers > 0 && self.numbers * 2 >= self.cells
    }

    fn is_date(&self) -> bool {
        self.dates > 0 && self.dates * 2 >= self.cells
    }
}

const RUN_IDS: &[&str] = &["run_id", "run_uuid", "run", "trial_id"];
const NAMES: &[&str] = &["run_name", "name"];
const EXPERIMENTS: &[&str] = &["experiment", "experiment_name"];
const STEPS: &[&str] =
    &["step", "global_step", "trainer_global_step", "training_iteration", "iteration", "iter", "epoch", "epochs"];
const TIMES: &[&str] = &["time", "timestamp", "wall_time", "datetime", "date"];
/// Words in the names of columns that are metrics where nobody says what is one.
const METRIC_WORDS: &[&str] = &[
    "loss",
    "losses",
    "logloss",
    "acc",
    "accuracy",
    "auc",
    "auroc",
    "auprc",
    "f1",
    "precision",
    "recall",
    "rmse",
    "mse",
    "mae",
    "mape",
    "rmsle",
    "r2",
    "score",
    "error",
    "err",
    "perplexity",
    "ppl",
    "bleu",
    "rouge",
    "map",
    "ndcg",
    "mrr",
    "iou",
    "dice",
    "entropy",
    "xent",
    "kappa",
    "mcc",
    "gini",
    "elbo",
    "reward",
    "return",
    "brier",
    "wer",
    "cer",
    "psnr",
    "ssim",
    "fid",
    "objective",
    "value",
    "values",
    "metric",
    "metrics",
    "duration",
    "runtime",
];

/// A name as it is compared: small letters, digits and `_`.
fn plain(name: &str) -> String {
    let name = name.to_ascii_lowercase();
    let plain: String = name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect();
    plain.trim_matches('_').to_string()
}

fn is_metric_word(name: &str) -> bool {
    plain(name).split('_').any(|word| METRIC_WORDS.contains(&word))
}

/// The kind that a name says of itself, and the name without it: `params.lr` as tables of MLflow and of this program have it.
fn prefixed(name: &str) -> Option<Role> {
    let kinds: [(&str, MakeRole); 4] =
        [("params.", Role::Param), ("params_", Role::Param), ("metrics.", Role::Metric), ("tags.", Role::Tag)];
    let (prefix, role) = kinds.into_iter().find(|(prefix, _)| name.len() > prefix.len() && name.starts_with(prefix))?;
    Some(role(name[prefix.len()..].to_string()))
}

/// Whether a column of this name may be the one that tells runs apart.
pub fn may_be_run_id(mapping: &TableMapping, name: &str) -> bool {
    match &mapping.run_id {
        Some(column) => name == column,
        None => !mapping.run_from_path && RUN_IDS.contains(&plain(name).as_str()),
    }
}

/// The columns that tell runs apart, by what is said or else by their names, the best one first.
pub fn run_columns(mapping: &TableMapping, names: &[String]) -> Vec<usize> {
    let places = |wanted: &dyn Fn(&str) -> bool| (0..names.len()).filter(|i| wanted(&names[*i])).collect::<Vec<_>>();
    match &mapping.run_id {
        Some(column) => places(&|name| name == column),
        None if mapping.run_from_path => Vec::new(),
        None => RUN_IDS.iter().flat_map(|id| places(&|name| plain(name) == *id)).collect(),
    }
}

/// Gives each column its role. The error names a column that was said and is not there.
pub fn roles(mapping: &TableMapping, names: &[String], stats: &[Stat], shape: Shape) -> Result<Vec<Role>, String> {
    let mut roles: Vec<Option<Role>> = vec![None; names.len()];
    let find = |column: &str| match names.iter().position(|name| name == column) {
        Some(place) => Ok(place),
        None => Err(column.to_string()),
    };
    if let Shape::Column { .. } = shape {
        let column = run_columns(mapping, names).first().copied();
        roles[column.expect("a column made the shape")] = Some(Role::RunId);
    }
    for (said, role) in [(&mapping.step, Role::Step), (&mapping.time, Role::Time)] {
        if let Some(column) = said {
            roles[find(column)?] = Some(role);
        }
    }
    let said: [(&[String], MakeRole); 3] =
        [(&mapping.params, Role::Param), (&mapping.metrics, Role::Metric), (&mapping.tags, Role::Tag)];
    for (columns, role) in said {
        for column in columns {
            let matching = match (find(column), glob::Pattern::new(column)) {
                (Ok(place), _) => vec![place],
                (Err(_), Ok(pattern)) => (0..names.len()).filter(|i| pattern.matches(&names[*i])).collect(),
                (Err(_), Err(_)) => Vec::new(),
            };
            if matching.is_empty() {
                return Err(column.clone());
            }
            for place in matching {
                // An exact name counts more than a pattern, and the run, the step and the time stay what they are.
                let is_exact = names[place] == *column;
                if roles[place].is_none()
                    || is_exact && !matches!(roles[place], Some(Role::RunId | Role::Step | Role::Time))
                {
                    // The name without its prefix, where that says the same.
                    let own = role(names[place].clone());
                    let short =
                        prefixed(&names[place]).filter(|p| std::mem::discriminant(p) == std::mem::discriminant(&own));
                    roles[place] = Some(short.unwrap_or(own));
                }
            }
        }
    }
    by_name(mapping, names, stats, shape, &mut roles);
    let is_unnamed = |name: &str| name.is_empty() || name == "__index_level_0__" || name == "Unnamed: 0";
    let has_prefixes = names.iter().any(|name| prefixed(name).is_some());
    for (i, name) in names.iter().enumerate() {
        let role = match &roles[i] {
            Some(_) => continue,
            None if is_unnamed(name) => Role::Unused,
            None => match prefixed(name) {
                Some(role) => role,
                None if has_prefixes => Role::Tag(name.clone()),
                None => default(name, &stats[i], mapping, shape),
            },
        };
        roles[i] = Some(role);
    }
    let mut roles: Vec<Role> = roles.into_iter().map(|role| role.expect("each has one")).collect();
    // Of two columns that would go by one name, each keeps its own.
    let mut all: HashMap<Role, usize> = HashMap::new();
    roles.iter().for_each(|role| *all.entry(role.clone()).or_default() += 1);
    for (role, name) in roles.iter_mut().zip(names) {
        let is_shared = all[role] > 1;
        if let Role::Param(key) | Role::Metric(key) | Role::Tag(key) = role
            && is_shared
        {
            key.clone_from(name);
        }
    }
    Ok(roles)
}

/// Columns whose names say what they are.
fn by_name(mapping: &TableMapping, names: &[String], stats: &[Stat], shape: Shape, roles: &mut [Option<Role>]) {
    let plain: Vec<String> = names.iter().map(|name| plain(name)).collect();
    let mut claim = |wanted: &[&str], role: Role, fits: &dyn Fn(&Stat) -> bool| {
        if roles.iter().flatten().any(|other| *other == role) {
            return;
        }
        let fits = |i: &usize, name: &str| roles[*i].is_none() && plain[*i] == name && fits(&stats[*i]);
        let found = wanted.iter().find_map(|name| (0..names.len()).find(|i| fits(i, name)));
        if let Some(place) = found {
            roles[place] = Some(role);
        }
    };
    if shape != Shape::Row {
        claim(STEPS, Role::Step, &Stat::is_number);
    }
    claim(TIMES, Role::Time, &Stat::is_date);
    if shape != Shape::File {
        claim(NAMES, Role::Name, &|stat| !stat.is_number());
        claim(&["status"], Role::Status, &|stat| !stat.is_number());
        claim(&["start_time"], Role::Start, &Stat::is_date);
        claim(&["end_time"], Role::End, &Stat::is_date);
    }
    if mapping.experiment.is_none() {
        claim(EXPERIMENTS, Role::Experiment, &|stat| stat.cells > 0);
    }
}

/// What a column is of which nothing was said.
fn default(name: &str, stat: &Stat, mapping: &TableMapping, shape: Shape) -> Role {
    let (params, metrics) = (!mapping.params.is_empty(), !mapping.metrics.is_empty());
    let name = name.to_string();
    let is_series = matches!(shape, Shape::File | Shape::Column { several: true });
    match (params, metrics) {
        // Whoever names both has named all that he wants.
        (true, true) => Role::Unused,
        (true, false) if stat.is_number() => Role::Metric(name),
        (true, false) => Role::Tag(name),
        (false, true) if is_series && !stat.is_number() => Role::Text(name),
        (false, true) => Role::Param(name),
        (false, false) if is_series && stat.is_number() => Role::Metric(name),
        (false, false) if is_series => Role::Text(name),
        (false, false) if stat.is_number() && is_metric_word(&name) => Role::Metric(name),
        (false, false) => Role::Param(name),
    }
}

/// How rows add up to runs where no column says it.
pub fn shape_without_column(mapping: &TableMapping, names: &[String], stats: &[Stat]) -> Shape {
    let has_step = mapping.step.is_some()
        || names.iter().zip(stats).any(|(name, stat)| STEPS.contains(&plain(name).as_str()) && stat.is_number());
    // Numbers that are all results and of no run in particular: the course of one.
    let is_result = |(name, stat): (&String, &Stat)| match name.is_empty() || stat.cells == 0 {
        true => true,
        false => stat.is_number() && is_metric_word(name) || TIMES.contains(&plain(name).as_str()) && stat.is_date(),
    };
    let has_params = !mapping.params.is_empty();
    match mapping.run_from_path || has_step || !has_params && names.iter().zip(stats).all(is_result) {
        true => Shape::File,
        false => Shape::Row,
    }
}

#[cfg(test)]
mod tests {
    use super::super::describe::described;
    use super::*;

    const NUMBER: Stat = Stat { cells: 9, numbers: 9, dates: 0 };
    const TEXT: Stat = Stat { cells: 9, numbers: 0, dates: 0 };
    const DATE: Stat = Stat { cells: 9, numbers: 0, dates: 9 };

    fn told(mapping: &TableMapping, columns: &[(&str, Stat)], shape: Option<Shape>) -> String {
        let names: Vec<String> = columns.iter().map(|(name, _)| name.to_string()).collect();
        let stats: Vec<Stat> = columns.iter().map(|(_, stat)| stat.clone()).collect();
        let shape = shape.unwrap_or_else(|| shape_without_column(mapping, &names, &stats));
        described(&names, &roles(mapping, &names, &stats, shape).unwrap(), shape)
    }

    #[test]
    fn without_a_word_names_and_values_tell() {
        let none = TableMapping::default();
        assert_eq!(
            told(
                &none,
                &[("epoch", NUMBER), ("step", NUMBER), ("Loss", NUMBER), ("model", TEXT), ("time", DATE)],
                None
            ),
            "each file is a run; step: step; time: time; metrics: epoch, Loss; \
             text (a param where it is the same all through a run): model"
        );
        assert_eq!(
            told(&none, &[("", NUMBER), ("lr", NUMBER), ("model", TEXT), ("val_auc", NUMBER), ("time", NUMBER)], None),
            "each row is a run; params: lr, model, time; metrics: val_auc; not imported: "
        );
        assert_eq!(
            told(&none, &[("train-rmse", NUMBER), ("test-rmse", NUMBER)], None),
            "each file is a run; metrics: train-rmse, test-rmse"
        );
        let table = [
            ("run_id", TEXT),
            ("status", TEXT),
            ("start_time", DATE),
            ("params.lr", NUMBER),
            ("metrics.auc", NUMBER),
            ("tags.a", TEXT),
            ("x", TEXT),
        ];
        assert_eq!(
            told(&none, &table, Some(Shape::Column { several: false })),
            "runs by column 'run_id'; status: status; start and end: start_time; params: params.lr; metrics: metrics.auc; tags: tags.a, x"
        );
    }

    #[test]
    fn what_is_said_counts() {
        let said = |params: &[&str], metrics: &[&str]| TableMapping {
            params: params.iter().map(|s| s.to_string()).collect(),
            metrics: metrics.iter().map(|s| s.to_string()).collect(),
            ..TableMapping::default()
        };
        let table = [("lr", NUMBER), ("val_auc", NUMBER), ("val_loss", NUMBER), ("note", TEXT)];
        assert_eq!(
            told(&said(&[], &["val_*"]), &table, None),
            "each row is a run; params: lr, note; metrics: val_auc, val_loss"
        );
        assert_eq!(
            told(&said(&["lr"], &[]), &table, None),
            "each row is a run; params: lr; metrics: val_auc, val_loss; tags: note"
        );
        assert_eq!(
            told(&said(&["val_auc"], &["val_*"]), &table, None),
            "each row is a run; params: val_auc; metrics: val_loss; not imported: lr, note"
        );
        let names = ["lr".to_string()];
        assert_eq!(roles(&said(&["rl"], &[]), &names, &[NUMBER], Shape::Row).unwrap_err(), "rl");
        let both = [("params.lr".to_string()), ("lr".to_string())];
        let kept = roles(&said(&["lr"], &[]), &both, &[NUMBER, NUMBER], Shape::Row).unwrap();
        assert_eq!(kept, [Role::Param("params.lr".to_string()), Role::Param("lr".to_string())]);
    }

    #[test]
    fn a_mapping_is_saved_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mapping.json");
        let mapping = TableMapping {
            run_id: Some("id".to_string()),
            metrics: vec!["val_*".to_string()],
            run_from_path: true,
            ..TableMapping::default()
        };
        mapping.write(&path).unwrap();
        assert_eq!(TableMapping::read(&path).unwrap(), mapping);
        std::fs::write(&path, r#"{"metric": ["a"]}"#).unwrap();
        assert!(TableMapping::read(&path).unwrap_err().to_string().contains("unknown field `metric`"));
    }
}
