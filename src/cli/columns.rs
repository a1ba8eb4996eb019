//! What the columns of a table are, as the options of `runlake import table` say it.

use std::path::PathBuf;

use runlake::Error;
use runlake::import::foreign::TableMapping;

use super::Failure;

/// Options for tables.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Tables")]
pub struct ColumnArgs {
    /// The column that tells runs apart; rows of one run are collected
    #[arg(long, value_name = "COLUMN")]
    pub run_id: Option<String>,
    /// A column of a param, or a pattern: 'hp_*'; may be given several times
    #[arg(long = "param", value_name = "COLUMN")]
    pub params: Vec<String>,
    /// A column of a metric, or a pattern: 'val_*'; may be given several times
    #[arg(long = "metric", value_name = "COLUMN")]
    pub metrics: Vec<String>,
    /// A column of a tag, or a pattern; may be given several times
    #[arg(long = "tag", value_name = "COLUMN")]
    pub tags: Vec<String>,
    /// The column of steps
    #[arg(long, value_name = "COLUMN")]
    pub step: Option<String>,
    /// The column of times: text, or seconds (milli-, micro-, nanoseconds) since 1970
    #[arg(long, value_name = "COLUMN")]
    pub time: Option<String>,
    /// Each file is a run, named by where it lies
    #[arg(long, conflicts_with = "run_id")]
    pub run_from_path: bool,
    /// A file of params beside each table: YAML or JSON
    #[arg(long, value_name = "NAME")]
    pub params_file: Option<String>,
    /// The experiment of all runs
    #[arg(long, value_name = "NAME")]
    pub experiment: Option<String>,
    /// A mapping that was saved; what is given beside it counts more
    #[arg(long, value_name = "FILE")]
    pub mapping: Option<PathBuf>,
    /// Saves what these options say, for --mapping
    #[arg(long, value_name = "FILE")]
    pub save_mapping: Option<PathBuf>,
}

impl ColumnArgs {
    /// Whether anything is said.
    pub fn is_given(&self) -> bool {
        let said = [&self.run_id, &self.step, &self.time, &self.params_file, &self.experiment];
        let lists = [&self.params, &self.metrics, &self.tags];
        said.iter().any(|one| one.is_some())
            || lists.iter().any(|list| !list.is_empty())
            || self.run_from_path
            || self.mapping.is_some()
            || self.save_mapping.is_some()
    }

    /// What they say.
    pub fn mapping(&self) -> Result<TableMapping, Failure> {
        let saved =
            self.mapping.as_deref().map(TableMapping::read).transpose().map_err(Error::from)?.unwrap_or_default();
        let either = |said: &Option<String>, saved: Option<String>| said.clone().or(saved);
        let list = |said: &[String], saved: Vec<String>| if said.is_empty() { saved } else { said.to_vec() };
        Ok(TableMapping {
            run_id: either(&self.run_id, saved.run_id).filter(|_| !self.run_from_path),
            params: list(&self.params, saved.params),
            metrics: list(&self.metrics, saved.metrics),
            tags: list(&self.tags, saved.tags),
            step: either(&self.step, saved.step),
            time: either(&self.time, saved.time),
            run_from_path: self.run_from_path || saved.run_from_path && self.run_id.is_none(),
            params_file: either(&self.params_file, saved.params_file),
            experiment: either(&self.experiment, saved.experiment),
        })
    }

    /// Saves a mapping where that is asked for.
    pub fn save(&self, mapping: &TableMapping) -> Result<(), Failure> {
        Ok(self.save_mapping.as_deref().map_or(Ok(()), |path| mapping.write(path)).map_err(Error::from)?)
    }
}
