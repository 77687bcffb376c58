//! What is out there: keys become containers, containers get a structure.
//!
//! A crawl finds [`Found`] containers and says of each place whether it was listed to the end
//! ([`Listed`]). Keeping them is the store's and core's business; what changed ([`changes`]) and
//! what may be called gone ([`gone`]) is decided here.

pub mod changes;
pub mod gone;
pub mod model;
pub mod names;
pub mod openmetadata;
pub mod publish;

#[cfg(test)]
mod testing;

pub use model::{
    Column, ContainerKind, Figures, Found, Hint, Listed, Sample, Seen, StorageClassFigures,
};
