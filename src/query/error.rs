//! What can go wrong with a query.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

use super::functions::FunctionError;
use super::keys::near;
use crate::error::ErrorKind;
use crate::store::StoreError;

/// An error of a query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// The text is no SQL.
    #[error("{message}")]
    Syntax {
        /// What the parser said.
        message: String,
    },
    /// A statement that would change something, in a session that only reads.
    #[error("{statement} is not allowed: this session only reads")]
    ReadOnly {
        /// What kind of statement it is.
        statement: String,
    },
    /// A key that no run has.
    #[error("no key '{group}.{key}' in table 'runs'")]
    UnknownKey {
        /// params, metrics, tags, ...
        group: String,
        /// The key.
        key: String,
        /// The nearest keys there are, best first.
        near: Vec<String>,
        /// How many keys the group has.
        keys: usize,
    },
    /// A key that fits several, save for case.
    #[error("'{group}.{key}' fits {} keys: {}", .fits.len(), .fits.join(", "))]
    AmbiguousKey {
        /// params, metrics, tags, ...
        group: String,
        /// The key.
        key: String,
        /// The keys that it fits.
        fits: Vec<String>,
    },
    /// A key that is compared with a constant of another type.
    #[error("'{group}.{key}' is {data_type} and is compared with {literal}")]
    KeyType {
        /// params, metrics, tags, ...
        group: String,
        /// The key.
        key: String,
        /// The type of its column.
        data_type: &'static str,
        /// The constant as it is written.
        literal: String,
        /// Whether that is a number.
        number: bool,
    },
    /// A table that does not exist.
    #[error("no table '{table}'")]
    UnknownTable {
        /// The table.
        table: String,
        /// The tables there are.
        tables: Vec<String>,
    },
    /// A column that does not exist.
    #[error("no column '{column}'")]
    UnknownColumn {
        /// The column.
        column: String,
        /// The nearest columns there are, best first.
        near: Vec<String>,
    },
    /// The statement is nested or chained too deeply to be planned safely.
    #[error("the statement {what} {found} deep; the limit is {limit}")]
    TooDeep {
        /// How.
        what: &'static str,
        /// How deep.
        found: usize,
        /// How deep it may be.
        limit: usize,
    },
    /// It took longer than it was given.
    #[error("the query took longer than {seconds} s")]
    Timeout {
        /// What it was given.
        seconds: f64,
    },
    /// It took more memory than it was given.
    #[error("the query took {} MB of memory, and may take {}", .taken / 1_000_000, .allowed / 1_000_000)]
    Memory {
        /// Bytes that it took.
        taken: u64,
        /// Bytes that it was given.
        allowed: u64,
    },
    /// The engine refused or failed.
    #[error("{}", engine_message(.0))]
    Engine(Box<DataFusionError>),
    /// A table function could not answer.
    #[error(transparent)]
    Function(#[from] FunctionError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DataFusionError> for QueryError {
    fn from(e: DataFusionError) -> Self {
        match e.find_root() {
            DataFusionError::SQL(parser, _) => {
                QueryError::Syntax { message: parser.to_string().trim_start_matches("sql parser error: ").to_string() }
            }
            DataFusionError::SchemaError(schema, _) => match schema.as_ref() {
                SchemaError::FieldNotFound { field, valid_fields } => {
                    let names: Vec<&str> = valid_fields.iter().map(|f| f.name()).collect();
                    QueryError::UnknownColumn { column: field.name().to_string(), near: near(&names, field.name()) }
                }
                _ => QueryError::Engine(Box::new(e)),
            },
            root => {
                let damage = match root {
                    DataFusionError::ParquetError(e) => StoreError::damage(e.as_ref()),
                    DataFusionError::External(e) => StoreError::damage(e.as_ref()),
                    _ => None,
                };
                damage.map_or_else(|| QueryError::Engine(Box::new(e)), QueryError::Store)
            }
        }
    }
}

impl QueryError {
    /// What sort of error it is.
    pub fn kind(&self) -> ErrorKind {
        match self {
            QueryError::UnknownKey { .. } | QueryError::UnknownTable { .. } | QueryError::UnknownColumn { .. } => {
                ErrorKind::NotFound
            }
            QueryError::TooDeep { .. } | QueryError::Timeout { .. } | QueryError::Memory { .. } => ErrorKind::Limit,
            QueryError::Engine(e) => match e.find_root() {
                DataFusionError::ResourcesExhausted(_) => ErrorKind::Limit,
                DataFusionError::Internal(_) => ErrorKind::Internal,
                DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => ErrorKind::Io,
                _ => ErrorKind::InvalidInput,
            },
            QueryError::Function(e) => e.kind(),
            QueryError::Store(e) => crate::error::store_kind(e),
            _ => ErrorKind::InvalidInput,
        }
    }
}

/// The engine's message without the layers that mean nothing to whoever wrote the SQL.
fn engine_message(e: &DataFusionError) -> String {
    let text = e.find_root().strip_backtrace();
    for prefix in ["Error during planning: ", "Execution error: ", "This feature is not implemented: "] {
        if let Some(rest) = text.strip_prefix(prefix) {
            return rest.to_string();
        }
    }
    text
}
