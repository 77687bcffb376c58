//! A connection becomes clients: credentials, region, listing, probe, policy, encryption.

pub mod access;
pub mod local;
pub mod policy;

pub use access::{
    ByteRange, GetOptions, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, Part, PresignMethod,
    PutOptions, PutResult, Storage, Upload,
};
pub use local::LocalStore;
