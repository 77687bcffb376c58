//! What is out there: keys become containers, containers get a structure.
//!
//! A crawl finds [`Found`] containers and says of each place whether it was listed to the end
//! ([`Listed`]). Keeping them, and deciding what is gone, is the store's and core's business.

pub mod document;
pub mod filter;
pub mod glob;
pub mod levels;
pub mod manifest;
pub mod model;
pub mod workflow;

pub use model::{
    Column, ContainerKind, Figures, Found, Hint, Listed, Sample, Seen, StorageClassFigures,
};
