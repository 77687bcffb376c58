//! A connection becomes clients: credentials, region, listing, probe, policy, encryption.

pub mod access;
pub mod buffers;
mod checksum;
mod codes;
mod credentials;
mod encryption;
pub mod error;
mod failure;
mod guard;
mod http;
mod keep;
mod lifecycle;
mod list;
pub mod local;
mod metrics;
mod order;
mod payload;
mod pinned;
pub mod policy;
mod presign;
pub mod probe;
mod read;
pub mod region;
mod row;
mod scan;
mod sdk;
pub mod secrets;
pub mod store;
mod tags;
mod uploads;
mod versions;
mod wire;
mod write;

pub use access::{
    ByteRange, FileRange, GetOptions, Links, ListOptions, ObjectAccess, ObjectBody, ObjectMeta,
    OpenUpload, Part, PartRange, PresignMethod, PutOptions, PutResult, See, Storage, StoredPart,
    Turns, Upload, VersionEntry,
};
pub use checksum::StoredCrc;
pub use local::LocalStore;
pub use metrics::BucketMetrics;
pub use order::{Evidence, ListingOrder};
pub use pinned::AtVersion;
pub use region::{ForgetfulRegions, MemoryRegions, RegionMemory};
pub use secrets::Secrets;
pub use store::S3Store;
pub use wire::Traffic;
