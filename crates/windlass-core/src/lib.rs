//! Every verb of the product: resolves names, checks rules, calls the engines.
//!
//! Above this room nobody acts; below it nobody knows who asks. [`engine::Engine`] is what the
//! command line and the server see; [`Windlass`] is the engine in this process.

// The AWS SDK's futures are deeper than the default of 128.
#![recursion_limit = "256"]

pub mod csv;
pub mod engine;

pub mod json;
pub mod report;
pub mod value;
mod views;

mod catalog;
mod connections;
mod describe;
mod doctor;
mod filter;
mod jobs;
mod limit;
mod list;
mod local_engine;
mod resolve;
mod rows;
mod secrets;
pub mod session;
mod settings;
mod shape;
mod statements;
mod system;
mod tables;
mod windlass;

pub use local_engine::copy_between;
pub use settings::{Environment, Settings};
pub use windlass::Windlass;
/// Storage of bare local paths, for the command line.
pub use windlass_s3::local;
/// Statements: parsing, completion, help.
pub use windlass_sql as sql;
/// Copies, differences, sums.
pub use windlass_transfer as transfer;
