//! Every path and file name in a store; nothing else knows them.

use crate::model::{Month, RunId, WriterId};
use crate::schema::Table;

/// Format version and id of the store.
pub const MANIFEST: &str = "runlake.json";
/// Folder of the cuts.
pub const CUTS: &str = "cuts";
/// Folder of what is not sealed yet.
pub const LIVE: &str = "live";
/// Folder of damaged files that a repair set aside.
pub const DAMAGED: &str = "live/damaged";
/// Folder of logged files.
pub const ARTIFACTS: &str = "artifacts";
/// Folder of the tables that runs logged.
pub const FRAMES: &str = "frames";
/// Held while a process seals, to save others the work.
pub const SEAL_LOCK: &str = "live/seal.lock";

/// Held while a process joins small files.
pub const COMPACT_LOCK: &str = "live/compact.lock";
/// Folder of the leases of readers.
pub const READERS: &str = "live/readers";

/// Held while a process copies runs into the store.
pub const COPY_LOCK: &str = "live/copy.lock";

/// The file of one cut.
pub fn cut(n: u64) -> String {
    format!("{CUTS}/{n:012}.json")
}

/// A cut that no reader takes any more, kept so that the newest one could be made again from it.
pub fn base(n: u64) -> String {
    format!("{CUTS}/{n:012}.base")
}

/// The number in the name of such a file.
pub fn base_number(name: &str) -> Option<u64> {
    name.strip_suffix(".base")?.parse().ok()
}

/// The number in the name of a cut's file.
pub fn cut_number(name: &str) -> Option<u64> {
    name.strip_suffix(".json")?.parse().ok()
}

/// The runs that are purged, as of operation `n`.
pub fn purged(n: u64) -> String {
    format!("{CUTS}/purged-{n:012}.json")
}

/// The number in the name of such a file.
pub fn purged_number(name: &str) -> Option<u64> {
    name.strip_prefix("purged-")?.strip_suffix(".json")?.parse().ok()
}

/// The lease of a reader of state `n`.
pub fn reader(n: u64, unique: &str) -> String {
    format!("{READERS}/{n:012}-{unique}.lock")
}

/// The state in the name of a lease.
pub fn reader_state(name: &str) -> Option<u64> {
    name.strip_suffix(".lock")?.split_once('-')?.0.parse().ok()
}

/// The file that says what an operation is to do.
pub fn batch(n: u64) -> String {
    format!("{LIVE}/batch-{n:012}.json")
}

/// The number in the name of a batch file.
pub fn batch_number(name: &str) -> Option<u64> {
    name.strip_prefix("batch-")?.strip_suffix(".json")?.parse().ok()
}

/// A segment of a writer; segments of a writer are numbered from 0.
pub fn segment(writer: WriterId, number: u32) -> String {
    format!("{LIVE}/{writer}-{number:06}.seg")
}

/// Writer and number in the name of a segment.
pub fn segment_name(name: &str) -> Option<(WriterId, u32)> {
    let (writer, number) = name.strip_suffix(".seg")?.split_once('-')?;
    Some((WriterId::parse(writer)?, number.parse().ok()?))
}

/// Whether a file of this name in [`DAMAGED`] is a copy of that one, which was repaired.
pub fn is_copy_of(name: &str, path: &str) -> bool {
    let original = path.rsplit('/').next().unwrap_or(path);
    name.strip_prefix(original).is_some_and(|again| again.is_empty() || again.starts_with('.'))
}

/// The folder of a table.
pub fn table(table: &Table) -> String {
    match table {
        Table::Frame(name) => format!("{FRAMES}/{}", escape(name)),
        // Not beside the logged files: whatever vacuums a table removes files in its folder that its log does not name.
        Table::Artifacts => "artifact_list".to_string(),
        fixed => fixed.name().to_string(),
    }
}

/// The folder of a table's log.
pub fn log(table: &Table) -> String {
    format!("{}/_delta_log", self::table(table))
}

/// The file that says which Delta checkpoint of a table is the newest.
pub fn last_checkpoint(table: &Table) -> String {
    format!("{}/_last_checkpoint", log(table))
}

/// The file of one commit of a table.
pub fn commit(table: &Table, version: u64) -> String {
    format!("{}/{version:020}.json", log(table))
}

/// The version in the name of a commit's file.
pub fn commit_version(name: &str) -> Option<u64> {
    name.strip_suffix(".json").filter(|stem| stem.len() == 20)?.parse().ok()
}

/// The table of a folder under [`FRAMES`].
pub fn frame_of(folder: &str) -> Option<Table> {
    unescape(folder).map(Table::Frame)
}

/// A data file of a table, relative to the table; `month` for tables that are filed by month.
pub fn data_file(month: Option<Month>, op: u64, unique: &str) -> String {
    match month {
        Some(month) => format!("month={month}/{op:012}-{unique}.parquet"),
        None => format!("{op:012}-{unique}.parquet"),
    }
}

/// The counts of keys beside a file of `runs`, relative to the table. Delta tools leave names with `_` alone.
pub fn key_counts(data_file: &str) -> String {
    let stem = data_file.rsplit('/').next().unwrap_or(data_file);
    format!("_keys/{}.json", stem.trim_end_matches(".parquet"))
}

/// A file of a run, relative to the store.
pub fn artifact(run: &RunId, path: &str) -> String {
    format!("{ARTIFACTS}/{run}/{path}")
}

// Frame names are free text; folders are not. `+` and two hex digits stand for a byte: `%` would be decoded on the way
// through a URL.
fn escape(name: &str) -> String {
    let mut out = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') {
            out.push(byte as char);
        } else {
            out.push_str(&format!("+{byte:02X}"));
        }
    }
    out
}

fn unescape(folder: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = folder.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'+' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        let writer = WriterId::generate();
        assert_eq!(segment_name(segment(writer, 7).strip_prefix("live/").unwrap()), Some((writer, 7)));
        assert_eq!(cut_number("000000000012.json"), Some(12));
        assert_eq!((cut_number("000000000012.base"), base_number("000000000012.base")), (None, Some(12)));
        assert_eq!(batch_number("batch-000000000012.json"), Some(12));
        assert!(Table::FIXED.iter().all(|t| ![ARTIFACTS, LIVE, CUTS, FRAMES].contains(&table(t).as_str())));
        assert_eq!(
            (cut_number("purged-000000000012.json"), purged_number("purged-000000000012.json")),
            (None, Some(12))
        );
        assert_eq!(reader_state(reader(12, "ab").strip_prefix("live/readers/").unwrap()), Some(12));
        let odd = Table::Frame("confusion matrix/ü..%".into());
        let folder = table(&odd);
        assert!(!folder["frames/".len()..].contains(['/', '.', ' ', '%']));
        assert_eq!(frame_of(&folder["frames/".len()..]), Some(odd));
    }
}
