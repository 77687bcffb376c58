//! The catalogue: what crawls found, kept and shown.

mod api;
mod columns;
mod crawl;
mod crawling;
mod find;
pub(crate) mod keep;
mod kind;
mod lineage;
mod publish;
mod statements;
mod stored;
mod table;
mod tables;
mod workflow;
mod world;

pub(crate) use crawl::{CrawlWork, Ready};
pub(crate) use kind::{CRAWL, CrawlKind};
pub(crate) use tables::{COLUMNS, CONTAINERS, HISTORY};
