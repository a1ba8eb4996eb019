//! Which files are meant, and what their places say of runs.

use std::path::{Component, Path, PathBuf};

use super::super::ImportError;

/// Names of files that say nothing of the run: the folder does.
const GENERIC: &[&str] = &[
    "metrics",
    "metric",
    "results",
    "result",
    "progress",
    "history",
    "log",
    "logs",
    "train",
    "training",
    "eval",
    "test",
    "val",
    "validation",
    "scalars",
    "events",
    "data",
    "run",
    "output",
    "stats",
];

/// A file, and the pattern that it was found by.
#[derive(Debug, Clone)]
pub struct Found {
    pub path: PathBuf,
    pattern: Option<PathBuf>,
}

/// Whether text is a pattern rather than a path.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '[']) && !Path::new(text).exists()
}

/// The files that these words mean, each once, by name.
pub fn find(words: &[String]) -> Result<Vec<Found>, ImportError> {
    let mut files: Vec<Found> = Vec::new();
    for word in words {
        if !is_pattern(word) {
            let path = PathBuf::from(word);
            std::fs::metadata(&path).map_err(ImportError::io(&path))?;
            files.push(Found { path, pattern: None });
            continue;
        }
        let wrong = |reason: String| ImportError::Pattern { pattern: word.clone(), reason };
        let paths = glob::glob(word).map_err(|e| wrong(e.to_string()))?;
        let before = files.len();
        for path in paths.flatten().filter(|path| !path.is_dir()) {
            files.push(Found { path, pattern: Some(PathBuf::from(word)) });
        }
        if files.len() == before {
            return Err(wrong("no file matches it".to_string()));
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files.dedup_by(|a, b| a.path == b.path);
    Ok(files)
}

impl Found {
    /// The path that is the same from wherever it is named.
    pub fn whole(&self) -> PathBuf {
        std::fs::canonicalize(&self.path).unwrap_or_else(|_| self.path.clone())
    }

    /// The name of the run that the file is: what varies in the pattern, else the folder of a file with a generic name, else
    /// the file's own name.
    pub fn run_name(&self) -> String {
        let whole = self.whole();
        let varying = self.varying();
        if !varying.is_empty() {
            return varying.join("/");
        }
        match is_generic(&whole) {
            true => name(whole.parent()).unwrap_or_else(|| stem(&whole)),
            false => stem(&whole),
        }
    }

    /// The name of the experiment, where nothing else says it; `is_run` where the file is one run of it.
    pub fn experiment(&self, is_run: bool) -> String {
        let whole = self.whole();
        let fixed = self.pattern.as_ref().map(|pattern| {
            let is_fixed = |part: &Component<'_>| !is_pattern_part(&part.as_os_str().to_string_lossy());
            pattern.components().take_while(is_fixed).collect::<PathBuf>()
        });
        let above = match (fixed, is_run, is_generic(&whole)) {
            // The last folder that is the same for all of them.
            (Some(fixed), true, _) => {
                std::fs::canonicalize(if fixed.as_os_str().is_empty() { Path::new(".") } else { &fixed }).ok()
            }
            (None, true, true) => whole.parent().and_then(Path::parent).map(Path::to_path_buf),
            (None, true, false) => whole.parent().map(Path::to_path_buf),
            (_, false, true) => whole.parent().map(Path::to_path_buf),
            (_, false, false) => return stem(&whole),
        };
        name(above.as_deref()).unwrap_or_else(|| "imported".to_string())
    }

    /// The parts of the path that a pattern left open; what is before and after them in a name is left out.
    fn varying(&self) -> Vec<String> {
        let Some(pattern) = &self.pattern else { return Vec::new() };
        let parts = |path: &Path| -> Vec<String> {
            path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect()
        };
        let (open, found) = (parts(pattern), parts(&self.path));
        let (from_front, from_back) = match open.iter().position(|part| part == "**") {
            None => (open.len(), 0),
            Some(place) => (place, open.len() - place - 1),
        };
        let mut varying = Vec::new();
        for (i, part) in found.iter().enumerate() {
            let behind = found.len() - i;
            let open = match () {
                () if i < from_front => open.get(i),
                () if behind <= from_back => open.get(open.len() - behind),
                // Stands for `**`.
                () => None,
            };
            match open {
                None => varying.push(part.clone()),
                Some(open) if is_pattern_part(open) => {
                    let kept = |c: &char| !matches!(c, '*' | '?' | '[');
                    let front: String = open.chars().take_while(kept).collect();
                    let back: String = open.chars().rev().take_while(|c| !matches!(c, '*' | '?' | ']')).collect();
                    let back: String = back.chars().rev().collect();
                    let inner = part.strip_prefix(front.as_str()).and_then(|part| part.strip_suffix(back.as_str()));
                    varying.push(inner.filter(|inner| !inner.is_empty()).unwrap_or(part).to_string());
                }
                Some(_) => {}
            }
        }
        varying
    }
}

fn is_pattern_part(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

fn is_generic(path: &Path) -> bool {
    GENERIC.contains(&stem(path).to_ascii_lowercase().as_str())
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn name(path: Option<&Path>) -> Option<String> {
    Some(path?.file_name()?.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_file_names_its_run() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("out");
        for file in ["a/metrics.csv", "b/metrics.csv", "b/deep/metrics.csv", "one.csv", "fold-3.csv"] {
            let path = root.join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x\n").unwrap();
        }
        let named = |pattern: &str, is_run: bool| -> Vec<String> {
            let found = find(&[root.join(pattern).display().to_string()]).unwrap();
            found.iter().map(|f| format!("{} in {}", f.run_name(), f.experiment(is_run))).collect()
        };
        assert_eq!(named("*/metrics.csv", true), ["a in out", "b in out"]);
        assert_eq!(named("a/metrics.csv", true), ["a in out"]);
        assert_eq!(named("**/metrics.csv", true), ["a in out", "b/deep in out", "b in out"]);
        assert_eq!(named("fold-*.csv", true), ["3 in out"]);
        assert_eq!(named("one.csv", true), ["one in out"]);
        assert_eq!(named("one.csv", false), ["one in one"]);
        assert_eq!(named("a/metrics.csv", false), ["metrics in a"].map(|_| "a in a"));
        let words = ["*.csv", "one.csv"].map(|word| root.join(word).display().to_string());
        assert_eq!(find(&words).unwrap().len(), 2, "a file that is named twice is one");
        let none = find(&[root.join("*.parquet").display().to_string()]).unwrap_err();
        assert!(none.to_string().ends_with("no file matches it"), "{none}");
        assert!(find(&["/gone/one.csv".to_string()]).is_err());
    }
}
