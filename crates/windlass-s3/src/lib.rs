//! A connection becomes clients: credentials, region, listing, probe, policy, encryption.

pub mod access;

pub use access::{
    ByteRange, GetOptions, ListOptions, ObjectAccess, ObjectBody, ObjectMeta, Part, PresignMethod,
    PutOptions, PutResult, Storage, Upload,
};
