//! Data files: how they are written, and what the log says of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field};
use deltalake::kernel::Add;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{DEFAULT_PAGE_SIZE, EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};

use super::encode::{Columns, ROWS_OF_A_PAGE, encode};
use super::sample::{self, Layout};
use super::sort::sort;
use crate::model::{Month, RunId, unique};
use crate::schema::wide::KeyCounts;
use crate::schema::{HIDDEN_STATE, Table};
use crate::store::error::{Result, StoreError};
use crate::store::io::Io;
use crate::store::{checksum, layout};

/// Marks in `Add.tags`.
pub(super) mod tag {
    /// Present on files that this code wrote; the value is the version of their layout. A file without it was written by
    /// another engine: its structs are gone.
    pub const LAYOUT: &str = "runlake.layout";
    /// `1` on the one file of runs that have not ended.
    pub const OPEN: &str = "runlake.open";
    /// blake3 of the file.
    pub const DIGEST: &str = "runlake.digest";
    /// `1` on a file with checksums of its pages.
    pub const SUMS: &str = "runlake.sums";
}

/// Version of the layout of data files.
const LAYOUT: &str = "1";
/// Values longer than this are not put into the log as minimum or maximum.
const STAT_BYTES: usize = 128;
/// Columns whose range the log keeps, where a table has them.
const STAT_COLUMNS: [&str; 3] = ["experiment_id", "run_id", "key"];

/// A file that was written and is not in the log yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NewFile {
    /// Relative to the table.
    pub path: String,
    /// Its partition.
    pub month: Option<Month>,
    /// Size in bytes.
    pub size: u64,
    /// Number of rows.
    pub rows: u64,
    /// Whether its runs have not ended.
    pub open: bool,
    /// blake3 of the file.
    pub digest: String,
    /// Whether it has checksums of its pages; one that an early runlake prepared has none.
    #[serde(default)]
    pub sums: bool,
    /// Smallest and greatest value of some columns.
    pub ranges: BTreeMap<String, (String, String)>,
}

/// A file that the log names.
#[derive(Debug, Clone)]
pub struct DataFile {
    /// Relative to the table.
    pub path: String,
    /// Its partition.
    pub month: Option<Month>,
    /// Size in bytes.
    pub size: u64,
    /// Number of rows.
    pub rows: u64,
    /// Whether its runs have not ended.
    pub open: bool,
    /// Whether this code wrote it, structs and all.
    pub ours: bool,
    /// blake3 of the file.
    pub digest: Option<String>,
    /// Whether it has checksums of its pages.
    pub sums: bool,
    /// Smallest and greatest value of some columns.
    pub ranges: BTreeMap<String, (String, String)>,
    pub(super) add: Add,
}

impl DataFile {
    /// The least and the greatest id of a run in it, where they are known.
    pub fn run_range(&self) -> Option<RangeInclusive<RunId>> {
        let (min, max) = self.ranges.get("run_id")?;
        let (min, max) = (RunId::parse(min).ok()?, RunId::parse(max).ok()?);
        // The wrong way round they say nothing.
        (min <= max).then_some(min..=max)
    }

    /// Whether any of these runs may have rows in it.
    pub fn may_hold_any(&self, runs: &BTreeSet<RunId>) -> bool {
        self.run_range().is_none_or(|range| runs.range(range).next().is_some())
    }

    pub(super) fn from_add(add: Add) -> Self {
        let tags = add.tags.clone().unwrap_or_default();
        let tag = |name: &str| tags.get(name).cloned().flatten();
        #[derive(Deserialize, Default)]
        #[serde(rename_all = "camelCase", default)]
        struct Stats {
            num_records: u64,
            min_values: HashMap<String, serde_json::Value>,
            max_values: HashMap<String, serde_json::Value>,
        }
        let stats: Stats = add.stats.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let ours = tag(tag::LAYOUT).is_some();
        let mut ranges = BTreeMap::new();
        // Another engine may cut its statistics short; ours are whole or absent.
        for column in STAT_COLUMNS.iter().filter(|_| ours) {
            if let (Some(min), Some(max)) = (
                stats.min_values.get(*column).and_then(|v| v.as_str()),
                stats.max_values.get(*column).and_then(|v| v.as_str()),
            ) {
                ranges.insert(column.to_string(), (min.to_string(), max.to_string()));
            }
        }
        DataFile {
            path: add.path.clone(),
            month: add.partition_values.get("month").cloned().flatten().and_then(|m| Month::parse(&m).ok()),
            size: add.size as u64,
            rows: stats.num_records,
            open: tag(tag::OPEN).is_some(),
            ours,
            digest: tag(tag::DIGEST),
            sums: tag(tag::SUMS).is_some(),
            ranges,
            add,
        }
    }
}

impl NewFile {
    pub(super) fn to_add(&self, data_change: bool, now_ms: i64) -> Add {
        let side = |pick: fn(&(String, String)) -> &String| {
            let map = self.ranges.iter().map(|(column, range)| (column.clone(), pick(range).clone().into()));
            serde_json::Value::Object(map.collect())
        };
        let stats = serde_json::json!({
            "numRecords": self.rows,
            "minValues": side(|r| &r.0),
            "maxValues": side(|r| &r.1),
            "nullCount": {},
        });
        let mut tags = HashMap::from([
            (tag::LAYOUT.to_string(), Some(LAYOUT.to_string())),
            (tag::DIGEST.to_string(), Some(self.digest.clone())),
        ]);
        if self.sums {
            tags.insert(tag::SUMS.to_string(), Some("1".to_string()));
        }
        if self.open {
            tags.insert(tag::OPEN.to_string(), Some("1".to_string()));
        }
        Add {
            path: self.path.clone(),
            partition_values: self.month.iter().map(|m| ("month".to_string(), Some(m.to_string()))).collect(),
            size: self.size as i64,
            modification_time: now_ms,
            data_change,
            stats: Some(stats.to_string()),
            tags: Some(tags),
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        }
    }
}

/// Sorts rows as their table wants it and writes them to a new file, durable on return.
///
/// `counts` go into a file beside it: the keys of the structs of `runs`.
pub fn write_file(
    io: &dyn Io,
    table: &Table,
    month: Option<Month>,
    op: u64,
    open: bool,
    rows: &RecordBatch,
    counts: Option<&KeyCounts>,
) -> Result<NewFile> {
    write_sorted(io, table, month, op, open, &sort(table, rows)?, counts)
}

/// Like [`write_file`], for rows that are sorted already.
pub fn write_sorted(
    io: &dyn Io,
    table: &Table,
    month: Option<Month>,
    op: u64,
    open: bool,
    rows: &dyn Columns,
    counts: Option<&KeyCounts>,
) -> Result<NewFile> {
    let unique = unique::name();
    let path = layout::data_file(month, op, &unique[..12]);
    let folder = layout::table(table);
    let full = format!("{folder}/{path}");
    let bytes = encode(rows, properties(table, rows)).map_err(StoreError::parquet(&full))?;
    if let Some(counts) = counts {
        let json = checksum::json::signed(counts);
        let beside = format!("{folder}/{}", layout::key_counts(&path));
        io.create(&beside, &[&json]).map_err(StoreError::io(beside.clone()))?;
    }
    io.create(&full, &[&bytes]).map_err(StoreError::io(&full))?;
    let short = |(min, max): &(String, String)| min.len() <= STAT_BYTES && max.len() <= STAT_BYTES;
    Ok(NewFile {
        path,
        month,
        size: bytes.len() as u64,
        rows: rows.rows() as u64,
        open,
        digest: blake3::hash(&bytes).to_hex().to_string(),
        sums: true,
        ranges: STAT_COLUMNS.iter().filter_map(|c| Some((c.to_string(), rows.range(c).filter(short)?))).collect(),
    })
}

/// Files of fewer rows are not compressed: a zstd context for each column costs more than it saves. Compaction makes large
/// files of them.
const WORTH_COMPRESSING: usize = 256;

fn properties(table: &Table, rows: &dyn Columns) -> WriterProperties {
    let compression = match rows.rows() < WORTH_COMPRESSING {
        true => Compression::UNCOMPRESSED,
        false => Compression::ZSTD(ZstdLevel::default()),
    };
    // One page has no need of an index: of tens of thousands of columns it takes as long to read as the rest of the footer.
    let is_small = rows.rows() < ROWS_OF_A_PAGE && has_small_columns(rows);
    let mut builder = WriterProperties::builder()
        .set_compression(compression)
        .set_statistics_enabled(if is_small { EnabledStatistics::Chunk } else { EnabledStatistics::Page })
        .set_offset_index_disabled(is_small)
        .set_created_by(format!("runlake {}", env!("CARGO_PKG_VERSION")));
    // Row groups of `runs` are shared among cores, and its small pages are skipped where none of their runs passes a filter.
    if *table == Table::Runs {
        builder = builder.set_max_row_group_row_count(Some(32 * 1024)).set_data_page_row_count_limit(4096);
    }
    for field in rows.schema().fields() {
        if field.name() == HIDDEN_STATE {
            builder = builder.set_column_statistics_enabled(ColumnPath::from(HIDDEN_STATE), EnabledStatistics::None);
        }
        // With NaN among the values, what an engine does with minimum and maximum depends on the layout of files.
        for path in float_columns(field, Vec::new()) {
            builder = builder.set_column_statistics_enabled(ColumnPath::new(path), EnabledStatistics::None);
        }
    }
    for Layout { path, dictionary, raw } in sample::layouts(rows) {
        let path = ColumnPath::new(path);
        if raw {
            builder = builder.set_column_compression(path.clone(), Compression::UNCOMPRESSED);
        }
        builder = builder.set_column_dictionary_enabled(path, dictionary);
    }
    builder.build()
}

/// Whether the values of each column fit into a page.
fn has_small_columns(rows: &dyn Columns) -> bool {
    fn is_small(values: &dyn Array) -> bool {
        match values.as_struct_opt() {
            Some(leaves) => leaves.columns().iter().all(|leaf| is_small(leaf)),
            None => values.to_data().get_slice_memory_size().is_ok_and(|bytes| bytes <= DEFAULT_PAGE_SIZE),
        }
    }
    (0..rows.schema().fields().len()).all(|column| is_small(&rows.column(column, 0..rows.rows())))
}

/// Paths of the leaves below a column that hold doubles, as Parquet spells them.
fn float_columns(field: &Field, mut path: Vec<String>) -> Vec<Vec<String>> {
    path.push(field.name().clone());
    match field.data_type() {
        DataType::Float64 => vec![path],
        DataType::Struct(leaves) => leaves.iter().flat_map(|leaf| float_columns(leaf, path.clone())).collect(),
        DataType::List(item) => {
            path.push("list".to_string());
            float_columns(item, path)
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_an_early_runlake_prepared_has_no_checksums() {
        let early = r#"{"path":"a.parquet","month":null,"size":1,"rows":1,"open":false,"digest":"","ranges":{}}"#;
        let early: NewFile = serde_json::from_str(early).unwrap();
        let now = NewFile { sums: true, ..early.clone() };
        let read = |file: &NewFile| DataFile::from_add(file.to_add(true, 0)).sums;
        assert_eq!((read(&early), read(&now)), (false, true));
    }
}
