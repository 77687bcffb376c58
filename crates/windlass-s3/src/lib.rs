//! A connection becomes clients: credentials, region, listing, probe, policy, encryption.

pub mod access;
mod checksum;
mod credentials;
mod encryption;
pub mod error;
mod guard;
mod http;
mod lifecycle;
mod list;
pub mod local;
pub mod policy;
mod presign;
pub mod probe;
mod read;
pub mod region;
pub mod secrets;
pub mod store;
mod write;

pub use access::{
    ByteRange, GetOptions, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, Part, PresignMethod,
    PutOptions, PutResult, Storage, Upload,
};
pub use local::LocalStore;
pub use region::{ForgetfulRegions, MemoryRegions, RegionMemory};
pub use secrets::Secrets;
pub use store::S3Store;
