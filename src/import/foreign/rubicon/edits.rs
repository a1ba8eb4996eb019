//! Tags and comments that came later: a file each time that some were added or taken away, told apart by nothing but
//! the time of the file.

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::super::Out;
use super::super::json;
use super::super::tree::{self, Is, Name};
use crate::model::Micros;

/// Files of one time that are put into an order that makes sense; more of them stay in that of their names.
const MOST_AT_ONCE: usize = 1000;

/// A text and when it was added; `None` when it was there from the beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Added {
    pub text: String,
    pub time: Option<Micros>,
}

/// What is there in the end, and what was there once.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    pub there: Vec<Added>,
    pub gone: Vec<String>,
}

/// What one file adds and takes away.
#[derive(Debug)]
struct Edit {
    time: SystemTime,
    added: Vec<String>,
    removed: Vec<String>,
}

/// Reads the files of a folder called `<what>_*.json` and applies them to what was there from the beginning.
pub fn read(what: &str, dir: &Path, names: &[Name], initial: Vec<String>, out: &mut Out<'_>) -> Outcome {
    let mut edits = Vec::new();
    for Name { name, is } in names {
        let is_one = name.strip_prefix(what).is_some_and(|rest| rest.starts_with('_') && rest.ends_with(".json"));
        if !is_one {
            continue;
        }
        let path = dir.join(name);
        let read = match is {
            Is::File(_) => edit(what, &path),
            _ => Err("it is no file".to_string()),
        };
        match read {
            Ok(edit) => edits.push(edit),
            Err(e) => out.skip(path.display(), e),
        }
    }
    apply(initial, edits)
}

fn edit(what: &str, path: &Path) -> Result<Edit, String> {
    let value = json::parse(&tree::text(path).map_err(|e| e.to_string())?)?;
    let time = fs::metadata(path).and_then(|meta| meta.modified()).map_err(|e| e.to_string())?;
    let texts = |key: String| -> Result<Vec<String>, String> {
        match value.get(&key) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(list) => texts(list).ok_or_else(|| format!("'{key}' is no list of texts")),
        }
    };
    let (added, removed) = (texts(format!("added_{what}"))?, texts(format!("removed_{what}"))?);
    if !value.is_object() || added.is_empty() && removed.is_empty() && value.as_object().is_some_and(|o| o.is_empty()) {
        return Err(format!("it neither adds nor removes {what}"));
    }
    Ok(Edit { time, added, removed })
}

/// A list of texts.
pub fn texts(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|v| json::as_text(v).map(str::to_string)).collect()
}

fn apply(initial: Vec<String>, mut edits: Vec<Edit>) -> Outcome {
    let mut outcome =
        Outcome { there: initial.into_iter().map(|text| Added { text, time: None }).collect(), ..Outcome::default() };
    // Files of the same time stay in the order of their names.
    edits.sort_by_key(|edit| edit.time);
    let mut edits = edits.into_iter().peekable();
    while let Some(first) = edits.next() {
        let mut at_once = vec![first];
        while let Some(next) = edits.next_if(|next| next.time == at_once[0].time) {
            at_once.push(next);
        }
        while !at_once.is_empty() {
            let next = match at_once.len() {
                2..=MOST_AT_ONCE => at_once.iter().position(|edit| outcome.makes_sense(edit)).unwrap_or(0),
                _ => 0,
            };
            outcome.take(at_once.remove(next));
        }
    }
    let there = &outcome.there;
    outcome.gone.retain(|gone| there.iter().all(|added| added.text != *gone));
    outcome.gone.sort();
    outcome.gone.dedup();
    outcome
}

impl Outcome {
    fn has(&self, text: &str) -> bool {
        self.there.iter().any(|added| added.text == *text)
    }

    /// Whether an edit changes anything in all that it says. An archive keeps times in whole seconds, in which a tag may
    /// have come and gone: then it was added before it was taken away.
    fn makes_sense(&self, edit: &Edit) -> bool {
        edit.removed.iter().all(|text| self.has(text)) && edit.added.iter().all(|text| !self.has(text))
    }

    fn take(&mut self, edit: Edit) {
        let micros = edit.time.duration_since(UNIX_EPOCH).map_or(0, |t| t.as_micros() as i64);
        let time = Some(Micros(micros));
        self.there.extend(edit.added.into_iter().map(|text| Added { text, time }));
        // What is said twice counts once as soon as anything was changed: rubicon-ml reads it so.
        let mut seen = HashSet::new();
        self.there.retain(|added| !edit.removed.contains(&added.text) && seen.insert(added.text.clone()));
        self.gone.extend(edit.removed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn edit(second: u64, added: &[&str], removed: &[&str]) -> Edit {
        let texts = |list: &[&str]| list.iter().map(|s| s.to_string()).collect();
        Edit { time: UNIX_EPOCH + Duration::from_secs(second), added: texts(added), removed: texts(removed) }
    }

    fn there(initial: &[&str], edits: Vec<Edit>) -> Vec<String> {
        let outcome = apply(initial.iter().map(|s| s.to_string()).collect(), edits);
        outcome.there.into_iter().map(|added| added.text).collect()
    }

    #[test]
    fn edits_count_in_the_order_of_their_times() {
        let edits = || vec![edit(3, &["a"], &[]), edit(1, &["a", "b"], &[]), edit(2, &[], &["a"])];
        assert_eq!(there(&["c"], edits()), ["c", "b", "a"]);
        let outcome = apply(vec!["a".into()], vec![edit(5, &[], &["a"])]);
        assert_eq!((outcome.there, outcome.gone), (vec![], vec!["a".to_string()]));
    }

    #[test]
    fn at_one_time_what_is_removed_was_added_before() {
        for swapped in [false, true] {
            let mut edits = vec![edit(1, &[], &["temp"]), edit(1, &["reviewed", "temp"], &[])];
            if swapped {
                edits.reverse();
            }
            assert_eq!(there(&["grid"], edits), ["grid", "reviewed"]);
            let mut edits = vec![edit(1, &[], &["temp"]), edit(1, &["temp"], &[])];
            if swapped {
                edits.reverse();
            }
            assert_eq!(there(&["temp"], edits), ["temp"], "a tag that was there was taken away first");
        }
    }
}
