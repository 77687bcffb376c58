//! The catalogue: what crawls found, kept and shown.

mod api;
mod find;
#[allow(dead_code, reason = "a crawl begins it")]
pub(crate) mod keep;
mod lineage;
#[allow(dead_code, reason = "a crawl whose workflow file names a server calls it")]
mod publish;
mod statements;
#[allow(dead_code, reason = "what is written is written by `keep`")]
mod stored;
mod table;
mod tables;

pub(crate) use tables::{COLUMNS, CONTAINERS, HISTORY};
