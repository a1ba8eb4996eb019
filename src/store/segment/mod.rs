//! Live files: what training processes append to and everybody may read.
//!
//! ```text
//! segment = magic, header frame, record frame, record frame, ...
//! frame   = length of payload (u32 LE), CRC32C of kind and payload (u32 LE), kind (u8),
//!           low half of the CRC32C of the nine bytes before (u16 LE), payload
//! ```
//!
//! Payloads are postcard. A frame that was written in part ends the segment; anything else that does not check is damage.

mod frame;
mod process;
mod reader;
mod writer;

pub use frame::{enclose, header_for};
pub use reader::{Content, Damage, RawRecord, Scan, SegmentRecord, read_header, scan, scan_raw};
pub use writer::{Durability, SegmentWriter, WriteFailure, WriterOptions, host};
