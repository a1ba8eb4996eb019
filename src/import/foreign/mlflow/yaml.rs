//! The YAML that MLflow has written over the years, every scalar as the text that stands there.
//!
//! Read as text since a run id such as `12e45678` is a number to a YAML reader, and an experiment id was one once.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::tree;

/// Longest file that is read.
const LONGEST: u64 = 4 << 20;

/// `meta.yaml` of an experiment.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ExperimentMeta {
    pub experiment_id: Option<String>,
    pub name: Option<String>,
    pub artifact_location: Option<String>,
    pub lifecycle_stage: Option<String>,
    pub creation_time: Option<String>,
    pub last_update_time: Option<String>,
}

/// `meta.yaml` of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct RunMeta {
    pub run_id: Option<String>,
    pub run_uuid: Option<String>,
    pub run_name: Option<String>,
    pub name: Option<String>,
    pub experiment_id: Option<String>,
    pub user_id: Option<String>,
    pub status: Option<String>,
    pub start_time: Option<String>,
    pub end_time: Option<String>,
    pub deleted_time: Option<String>,
    pub lifecycle_stage: Option<String>,
    pub artifact_uri: Option<String>,
    pub source_type: Option<String>,
    pub source_name: Option<String>,
    pub source_version: Option<String>,
    pub entry_point_name: Option<String>,
}

/// `meta.yaml` of a data set.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct DatasetMeta {
    pub name: Option<String>,
    pub digest: Option<String>,
    pub source_type: Option<String>,
    pub source: Option<String>,
    pub schema: Option<String>,
    pub profile: Option<String>,
}

/// `meta.yaml` of an input or an output of a run.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct EdgeMeta {
    pub source_type: Option<String>,
    pub source_id: Option<String>,
    pub tags: BTreeMap<String, Option<String>>,
    pub step: Option<String>,
}

/// `meta.yaml` of a logged model.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ModelMeta {
    pub model_id: Option<String>,
    pub name: Option<String>,
    pub artifact_location: Option<String>,
    pub creation_timestamp: Option<String>,
    pub last_updated_timestamp: Option<String>,
    pub source_run_id: Option<String>,
    pub status: Option<String>,
    pub status_message: Option<String>,
    pub model_type: Option<String>,
    pub lifecycle_stage: Option<String>,
}

/// Reads a file. Aliases are refused beyond what a file of this kind could need: they can stand for any amount.
pub fn read<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    parse(&tree::text_up_to(path, LONGEST)?).map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 32,
            max_events: 10_000,
            max_nodes: 5_000,
            max_aliases: 100,
            max_anchors: 100,
            max_documents: 1,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 2_000 },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|e| format!("it cannot be read as YAML: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generations_of_runs_are_read_as_text() {
        let old: RunMeta = parse(
            "artifact_uri: ''\nend_time: 1531234567890\nexperiment_id: 0\nname: ''\nrun_uuid: 12e45678\n\
             source_type: 4\nstart_time: 1531234560000\nstatus: 3\ntags: []\nuser_id: ana\n",
        )
        .unwrap();
        assert_eq!(old.run_uuid.as_deref(), Some("12e45678"));
        assert_eq!((old.experiment_id.as_deref(), old.status.as_deref()), (Some("0"), Some("3")));
        assert_eq!((old.name.as_deref(), old.end_time.as_deref()), (Some(""), Some("1531234567890")));
        let new: RunMeta = parse(
            "run_id: 0123\nrun_name: 'a: b'\nend_time: null\ndeleted_time:\nuser_id: \"yes\"\nstatus: 1\nstart_time: ~\n",
        )
        .unwrap();
        assert_eq!((new.run_id.as_deref(), new.run_name.as_deref()), (Some("0123"), Some("a: b")));
        assert_eq!((new.end_time, new.deleted_time, new.start_time), (None, None, None));
        assert_eq!(new.user_id.as_deref(), Some("yes"));
        let python2: RunMeta = parse("user_id: !!python/unicode 'ana'\nstatus: 3\n").unwrap();
        assert_eq!(python2.user_id.as_deref(), Some("ana"));
    }

    #[test]
    fn a_bomb_is_an_error() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for i in 1..9 {
            let before = format!("*a{}, ", i - 1).repeat(9);
            bomb.push_str(&format!("a{i}: &a{i} [{}]\n", before.trim_end_matches(", ")));
        }
        bomb.push_str("status: 3\n");
        assert!(parse::<RunMeta>(&bomb).unwrap_err().starts_with("it cannot be read as YAML"));
        assert!(parse::<RunMeta>(&"[".repeat(100_000)).is_err());
        assert!(parse::<RunMeta>("status: [1, 2]").is_err());
    }
}
