//! SQLite files that somebody else wrote, and perhaps still writes: opened for reading only, tables and columns that an
//! older version lacks read as empty.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use rusqlite::types::{ToSql, ValueRef};
use rusqlite::{Connection, OpenFlags, Result, Row, params_from_iter};

use super::{ImportError, Out, fingerprint, tree};

/// How long to wait for a writer.
const WAIT: Duration = Duration::from_secs(30);
/// Longest text that is read, in bytes.
const LONGEST: usize = 16 << 20;
/// Altered texts of a column that are told one by one.
const TOLD: usize = 100;

/// Whether a file is a database, by its first bytes.
pub fn is_database(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    tree::open(path)?.take(16).read_to_end(&mut head)?;
    Ok(head == b"SQLite format 3\0")
}

/// Opens a database for reading.
pub fn open(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(WAIT)?;
    // Nothing in the file may make this process do anything but read tables.
    db.pragma_update(None, "trusted_schema", false)?;
    db.pragma_update(None, "cell_size_check", true)?;
    Ok(db)
}

/// Text that is another one after a database has changed.
pub fn fingerprint(path: &Path) -> std::result::Result<String, ImportError> {
    let mut log = path.to_path_buf().into_os_string();
    log.push("-wal");
    let log = Path::new(&log);
    // Reading alone may leave an empty one.
    let has_log = std::fs::metadata(log).is_ok_and(|meta| meta.len() > 0);
    fingerprint::of([path].into_iter().chain(has_log.then_some(log)))
}

/// Tables and their columns.
pub struct Schema {
    tables: HashMap<String, HashSet<String>>,
    altered: RefCell<Altered>,
}

impl Schema {
    /// Reads them.
    pub fn read(db: &Connection) -> Result<Schema> {
        let mut tables: HashMap<String, HashSet<String>> = HashMap::new();
        let mut names = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
        for name in names.query_map([], |row| row.get::<_, String>(0))? {
            let name = name?;
            let mut columns = db.prepare("SELECT name FROM pragma_table_info(?)")?;
            let columns = columns.query_map([&name], |row| row.get::<_, String>(0))?.collect::<Result<_>>()?;
            tables.insert(name, columns);
        }
        Ok(Schema { tables, altered: RefCell::default() })
    }

    /// All tables.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.tables.keys().map(String::as_str)
    }

    /// Whether there is a table.
    pub fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table)
    }

    /// Whether a table has a column.
    pub fn has(&self, table: &str, column: &str) -> bool {
        self.tables.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// `SELECT` of these columns, NULL for those that there are not; `None` without the table.
    fn select(&self, table: &str, columns: &[&str]) -> Option<String> {
        let known = self.tables.get(table)?;
        let columns: Vec<String> =
            columns.iter().map(|c| if known.contains(*c) { format!("\"{c}\"") } else { "NULL".to_string() }).collect();
        Some(format!("SELECT {} FROM \"{table}\"", columns.join(", ")))
    }

    /// Visits rows of a table that may not exist; `end` is what follows the `FROM`, `values` its `?`. The first two columns
    /// should tell rows apart.
    pub fn each<V: ToSql>(
        &self,
        db: &Connection,
        table: &str,
        columns: &[&str],
        end: &str,
        values: &[V],
        mut visit: impl FnMut(&Line<'_, '_>) -> Result<()>,
    ) -> Result<()> {
        let Some(select) = self.select(table, columns) else { return Ok(()) };
        let mut statement = db.prepare(&format!("{select}{end}"))?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            visit(&Line { row, table, columns, altered: &self.altered })?;
        }
        Ok(())
    }

    /// Tells of text that came otherwise than it stands in the database.
    pub fn tell_altered(&self, out: &mut Out<'_>) {
        let Altered { cells, more } = self.altered.take();
        cells.into_iter().for_each(|(place, reason)| out.skip(place, reason));
        for ((table, column), n) in more {
            out.skip(
                format!("table {table}, column {column}"),
                format!("{n} more of its texts came with such changes"),
            );
        }
    }
}

/// Text that could not come as it stands.
#[derive(Default)]
struct Altered {
    /// Where, and what became of it.
    cells: Vec<(String, String)>,
    /// How many more there are, by table and column.
    more: BTreeMap<(String, String), u64>,
}

/// A row: what stands in a column, in whatever type SQLite keeps it.
pub struct Line<'a, 's> {
    row: &'a Row<'s>,
    table: &'a str,
    columns: &'a [&'a str],
    altered: &'a RefCell<Altered>,
}

impl Line<'_, '_> {
    /// As text; numbers are written out. What is no text is made one, and noted.
    pub fn text(&self, i: usize) -> Result<Option<String>> {
        let bytes = match self.row.get_ref(i)? {
            ValueRef::Null => return Ok(None),
            ValueRef::Integer(n) => return Ok(Some(n.to_string())),
            ValueRef::Real(x) => return Ok(Some(x.to_string())),
            ValueRef::Text(t) | ValueRef::Blob(t) => t,
        };
        let (text, is_cut, is_replaced) = text(bytes);
        if is_cut {
            let (long, most) = (bytes.len(), LONGEST);
            self.note(i, format!("it has {long} bytes; those behind the first {most} were left out"));
        }
        if is_replaced {
            self.note(i, "its bytes that are no UTF-8 were replaced by \u{fffd}".to_string());
        }
        Ok(Some(text))
    }

    /// As a whole number, if it is one.
    pub fn int(&self, i: usize) -> Result<Option<i64>> {
        Ok(match self.row.get_ref(i)? {
            ValueRef::Integer(n) => Some(n),
            ValueRef::Real(x) if x.fract() == 0.0 && x.abs() < 9.0e15 => Some(x as i64),
            ValueRef::Text(t) => std::str::from_utf8(t).ok().and_then(|t| t.parse().ok()),
            _ => None,
        })
    }

    /// As a number, if it is one.
    pub fn real(&self, i: usize) -> Result<Option<f64>> {
        Ok(match self.row.get_ref(i)? {
            ValueRef::Integer(n) => Some(n as f64),
            ValueRef::Real(x) => Some(x),
            ValueRef::Text(t) => std::str::from_utf8(t).ok().and_then(|t| t.parse().ok()),
            _ => None,
        })
    }

    fn note(&self, i: usize, reason: String) {
        let (table, column) = (self.table, self.columns[i]);
        let mut altered = self.altered.borrow_mut();
        let is_here = |(place, _): &&(String, String)| place.starts_with(&format!("table {table}, column {column},"));
        if altered.cells.iter().filter(is_here).count() >= TOLD {
            *altered.more.entry((table.to_string(), column.to_string())).or_default() += 1;
            return;
        }
        let keys = self.columns.iter().take(2).enumerate().filter_map(|(i, name)| {
            let shown: String = match self.row.get_ref(i).ok()? {
                ValueRef::Integer(n) => n.to_string(),
                ValueRef::Text(t) | ValueRef::Blob(t) => String::from_utf8_lossy(&t[..t.len().min(60)]).into_owned(),
                _ => return None,
            };
            Some(format!(", {name} '{shown}'"))
        });
        let place = format!("table {table}, column {column}{}", keys.collect::<String>());
        altered.cells.push((place, reason));
    }
}

/// The text in these bytes, whether something was cut off, and whether something was replaced.
fn text(bytes: &[u8]) -> (String, bool, bool) {
    let mut head = &bytes[..bytes.len().min(LONGEST)];
    let is_cut = head.len() < bytes.len();
    // Not through a character.
    while is_cut && head.len() > LONGEST - 4 && bytes[head.len()] & 0xc0 == 0x80 {
        head = &head[..head.len() - 1];
    }
    match String::from_utf8_lossy(head) {
        Cow::Borrowed(text) => (text.to_string(), is_cut, false),
        Cow::Owned(text) => (text, is_cut, true),
    }
}
