//! What is out there: keys become containers, containers get a structure.
//!
//! A crawl finds [`Found`] containers and says of each place whether it was listed to the end
//! ([`Listed`]). Keeping them is the store's and core's business; what changed ([`changes`]) and
//! what may be called gone ([`gone`]) is decided here.

pub mod changes;
pub mod crawl;
pub mod document;
pub mod filter;
pub mod find;
pub mod glob;
pub mod gone;
pub mod heap;
pub mod hints;
pub mod levels;
pub mod manifest;
pub mod model;
pub mod names;
pub mod openmetadata;
pub mod publish;
pub mod types;
pub mod workflow;
pub mod world;

#[cfg(test)]
mod testing;

pub use model::{
    Column, ContainerKind, Figures, Found, Hint, Listed, Sample, Seen, StorageClassFigures,
};
