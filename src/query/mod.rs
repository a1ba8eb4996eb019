//! SQL over one consistent state of a store.
//!
//! A statement is read, checked, and searched for the keys that it names (`params.lr`); only those get into the schema
//! of `runs` that it is planned with. Every table is a view over a plain Parquet scan and the live rows.

mod check;
mod columns;
mod describe;
mod error;
mod experiment;
mod experiments;
mod functions;
mod guard;
mod in_order;
mod in_turn;
mod joins;
mod keys;
mod late;
mod memory;
mod names;
mod rewrite;
mod runs;
mod scan;
mod session;
pub mod statements;
mod stop;
mod structs;
mod udf;

pub use describe::{ColumnInfo, TableSummary};
pub use error::QueryError;
pub use functions::FunctionError;
pub(crate) use functions::{is_function, quoted};
pub use guard::{DIALECT, check_condition};
pub(crate) use guard::{check_sql, parse};
pub(crate) use keys::near;
pub use memory::MemoryWatch;
pub use session::{Query, Session, SessionOptions, within};
