//! DataFusion: file tables, system tables, the SQL engine.
//!
//! A statement is resolved first (names to files with their state and schemas, asynchronously), then planned
//! against what was found. Nothing here writes, and nothing reaches a disk but through a connection.

mod ahead;
mod archive;
mod as_views;
mod associate;
mod blocking;
mod cache;
mod calls;
mod careful;
mod date_letters;
mod date_pattern;
mod decoder;
mod delta;
mod delta_scan;
mod describe;
mod dialect;
mod engine;
mod entry_expr;
mod error;
mod files;
mod footer;
mod format;
mod free;
mod guarded;
mod identifiers;
mod learn;
mod listing;
mod look;
mod memory;
mod parquet_file;
mod parted;
mod partition;
mod passed_over;
mod pg;
mod profile;
mod prune;
mod read;
mod records;
mod resolve;
mod sample;
mod schema;
mod scope;
mod shape;
mod sources;
mod spelled;
mod statistics;
mod store;
mod stored;
mod table;
mod temporary;
#[cfg(test)]
mod tests;
mod text;
mod unlock;
mod using;
pub mod write;

pub use engine::{Engine, Rows};
pub use entry_expr::EntryExpr;
pub use learn::{LearntFiles, OneFile, learn_files, unpack};
pub use look::LookAt;
pub use memory::Budget;
pub use parquet_file::ParquetFile;
pub use pg::Given;
pub use resolve::{Catalogued, FileTable, Resolver, View};
pub use shape::Shape;
pub use sources::{check_options, declared_columns};
pub use stored::{SchemaChange, SchemaColumn, StoredColumns};
pub use temporary::{Temporaries, Temporary};
pub use unlock::{password_secret, without_name};
