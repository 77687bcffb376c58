//! File formats: detected, inferred, read and written as Arrow batches.
//!
//! Nothing here opens a connection or names the query engine: bytes come in as streams or ranges
//! ([`Source`]) and go out as buffers. A [`Format`] is read on a thread of its own, which may block.

pub mod archive;
mod arrow_ipc;
mod avro;
pub mod bad;
mod character;
pub mod compress;
pub mod conform;
pub mod detect;
mod digits;
pub mod encoding;
mod fixed;
pub mod format;
pub mod infer;
mod json;
mod lines;
mod locked;
mod number;
mod orc;
pub mod quietly;
pub mod schema;
pub mod source;
mod typed;
pub mod write;
mod xlsx;
mod xml;
pub mod zip;

pub use arrow_ipc::ArrowIpc;
pub use avro::Avro;
pub use character::character;
pub use fixed::{FixedColumn, FixedWidth};
pub use format::{Failure, Format, Limits, OnError, Reading, Rows};
pub use json::Json;
pub use lines::{Lines, Regex};
pub use number::NUMBER;
pub use orc::Orc;
pub use source::Source;
pub use typed::{Place, typed};
pub use xlsx::{RowRule, SHEETS, Sheets, Xlsx};
pub use xml::Xml;

#[cfg(test)]
mod tests;
