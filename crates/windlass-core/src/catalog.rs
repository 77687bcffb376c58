//! The catalogue: what crawls found, kept and shown.

mod api;
mod columns;
mod crawl;
mod crawling;
mod find;
#[allow(dead_code, reason = "a crawl begins it")]
pub(crate) mod keep;
mod kind;
mod lineage;
#[allow(dead_code, reason = "a crawl whose workflow file names a server calls it")]
mod publish;
mod statements;
#[allow(dead_code, reason = "what is written is written by `keep`")]
mod stored;
mod table;
mod tables;
mod workflow;
mod world;

pub(crate) use crawl::{CrawlWork, Ready};
pub(crate) use kind::{CRAWL, CrawlKind};
pub(crate) use tables::{COLUMNS, CONTAINERS, HISTORY};
