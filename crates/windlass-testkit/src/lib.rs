//! What tests and the demo stand on: an S3 in this process, real servers, sample data.
//!
//! [`TestS3`] is an S3 and STS on loopback, over ordered maps, with faults, conditions, versions,
//! tags and checksums; [`TestGcs`] is the same in small for Google Cloud Storage; [`FaultProxy`] lets
//! things go wrong before any service; [`servers`] starts programs that exist elsewhere; [`sample`] makes files.

mod access;
mod dice;
mod fault;
mod gcs;
mod identity;
mod listing;
mod log;
mod memory;
mod object;
mod operations;
mod proxy;
pub mod sample;
pub mod servers;
mod service;
mod sts;

pub use dice::Dice;
pub use fault::{Fault, FaultKind};
pub use gcs::TestGcs;
pub use identity::{AssumedSession, TestIdentity, TestRole};
pub use log::RequestLog;
pub use memory::{BucketOptions, ListingStyle, Memory, ObjectInfo, PutOptions};
pub use proxy::{FaultProxy, ProxyFault, Schedule};
pub use servers::*;
pub use service::{TestS3, TestS3Options};
