//! What is out there: keys become containers, containers get a structure.
//!
//! A crawl finds [`Found`] containers and says of each place whether it was listed to the end
//! ([`Listed`]). Keeping them, and deciding what is gone, is the store's and core's business.

pub mod crawl;
pub mod document;
pub mod filter;
pub mod find;
pub mod glob;
pub mod heap;
pub mod hints;
pub mod levels;
pub mod manifest;
pub mod model;
pub mod types;
pub mod workflow;
pub mod world;

pub use model::{
    Column, ContainerKind, Figures, Found, Hint, Listed, Sample, Seen, StorageClassFigures,
};
