//! Tables in Delta Lake: the log is the library's, the data files are ours.
//!
//! Every commit names exactly the snapshot that it was made from, carries the number of its operation, and is never
//! retried by the library: two commits that remove files could otherwise both win.

mod commit;
mod encode;
mod file;
mod footer;
mod located;
mod narrow;
mod sample;
mod scan;
mod schema;
mod sort;
mod version;

pub use commit::Change;
pub use file::{DataFile, NewFile, write_file, write_sorted};
pub use located::{RowPlaces, located, only};
pub use narrow::text_views;
pub use scan::{FilesTable, Place, Places, register_files};
pub use version::{APP_ID, TableVersion, Tables};
