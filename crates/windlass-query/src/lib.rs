//! DataFusion: file tables, system tables, the SQL engine.
//!
//! A statement is resolved first (names to files with their state and schemas, asynchronously), then planned
//! against what was found. Nothing here writes, and nothing reaches a disk but through a connection.

mod archive;
mod blocking;
mod careful;
mod describe;
mod engine;
mod entry_expr;
mod error;
mod files;
mod format;
mod identifiers;
mod memory;
mod parquet_file;
mod partition;
mod pg;
mod read;
mod records;
mod resolve;
mod sample;
mod schema;
mod shape;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod text;
pub mod write;

pub use engine::{Engine, Rows};
pub use entry_expr::EntryExpr;
pub use format::check_options;
pub use memory::Budget;
pub use parquet_file::ParquetFile;
pub use pg::Given;
pub use resolve::{FileTable, Resolver};
pub use shape::Shape;
