//! The catalogue: what crawls found, kept and shown.

mod api;
mod find;
pub(crate) mod keep;
mod lineage;
mod statements;
mod stored;
mod table;
mod tables;

pub(crate) use tables::{COLUMNS, CONTAINERS, HISTORY};
