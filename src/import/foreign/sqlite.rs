//! SQLite files that somebody else wrote, and perhaps still writes: opened for reading only, tables and columns that an
//! older version lacks read as empty.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Result, Row, params_from_iter};

use super::{ImportError, fingerprint, tree};

/// How long to wait for a writer.
const WAIT: Duration = Duration::from_secs(30);
/// Longest text that is read, in bytes.
const LONGEST: usize = 16 << 20;

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
pub struct Schema(HashMap<String, HashSet<String>>);

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
        Ok(Schema(tables))
    }

    /// All tables.
    pub fn tables(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether there is a table.
    pub fn has_table(&self, table: &str) -> bool {
        self.0.contains_key(table)
    }

    /// Whether a table has a column.
    pub fn has(&self, table: &str, column: &str) -> bool {
        self.0.get(table).is_some_and(|columns| columns.contains(column))
    }

    /// `SELECT` of these columns, NULL for those that there are not; `None` without the table.
    pub fn select(&self, table: &str, columns: &[&str]) -> Option<String> {
        let known = self.0.get(table)?;
        let columns: Vec<String> =
            columns.iter().map(|c| if known.contains(*c) { format!("\"{c}\"") } else { "NULL".to_string() }).collect();
        Some(format!("SELECT {} FROM \"{table}\"", columns.join(", ")))
    }

    /// Visits rows of a table that may not exist; `end` is what follows the `FROM`, `values` its `?`.
    pub fn each(
        &self,
        db: &Connection,
        table: &str,
        columns: &[&str],
        end: &str,
        values: &[i64],
        mut visit: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let Some(select) = self.select(table, columns) else { return Ok(()) };
        let mut statement = db.prepare(&format!("{select}{end}"))?;
        let mut rows = statement.query(params_from_iter(values))?;
        while let Some(row) = rows.next()? {
            visit(row)?;
        }
        Ok(())
    }
}

/// What stands in a column, in whatever type SQLite keeps it.
pub trait Cells {
    /// As text; numbers are written out.
    fn text(&self, i: usize) -> Result<Option<String>>;
    /// As a whole number, if it is one.
    fn int(&self, i: usize) -> Result<Option<i64>>;
    /// As a number, if it is one.
    fn real(&self, i: usize) -> Result<Option<f64>>;
}

impl Cells for Row<'_> {
    fn text(&self, i: usize) -> Result<Option<String>> {
        Ok(match self.get_ref(i)? {
            ValueRef::Null => None,
            ValueRef::Integer(n) => Some(n.to_string()),
            ValueRef::Real(x) => Some(x.to_string()),
            ValueRef::Text(t) | ValueRef::Blob(t) => {
                Some(String::from_utf8_lossy(&t[..t.len().min(LONGEST)]).into_owned())
            }
        })
    }

    fn int(&self, i: usize) -> Result<Option<i64>> {
        Ok(match self.get_ref(i)? {
            ValueRef::Integer(n) => Some(n),
            ValueRef::Real(x) if x.fract() == 0.0 && x.abs() < 9.0e15 => Some(x as i64),
            ValueRef::Text(t) => std::str::from_utf8(t).ok().and_then(|t| t.parse().ok()),
            _ => None,
        })
    }

    fn real(&self, i: usize) -> Result<Option<f64>> {
        Ok(match self.get_ref(i)? {
            ValueRef::Integer(n) => Some(n as f64),
            ValueRef::Real(x) => Some(x),
            ValueRef::Text(t) => std::str::from_utf8(t).ok().and_then(|t| t.parse().ok()),
            _ => None,
        })
    }
}
