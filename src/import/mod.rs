//! Runs from outside: the JSON lines of `docs/log.md`, read, checked and applied through the writing API.
//!
//! A line is applied as a whole or not at all, and a bad one says what is wrong with it:
//!
//! ```
//! use runlake::{Store, import::{LineOptions, LineReader}};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = Store::create(dir.path())?;
//! let mut reader = LineReader::new(&store, LineOptions::default());
//! reader.feed(1, r#"{"type":"run","run":"r1","experiment":"churn"}"#).await?;
//! let wrong = reader.feed(2, r#"{"type":"metrics","run":"r1","stpe":1,"values":{"auc":0.6}}"#).await.unwrap_err();
//! assert!(wrong.to_string().starts_with("line 2: unknown field 'stpe'"));
//! # Ok(())
//! # }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```

mod big;
mod fields;
pub mod foreign;
mod line;
mod message;
mod reader;
mod source;
mod table;
mod typed;
mod values;

pub use line::Line;
pub(crate) use line::parse as parse_line;
pub use reader::{Applied, FeedError, LineError, LineOptions, LineReader};
pub use source::{Lines, RawLine};

#[cfg(test)]
mod tests;
