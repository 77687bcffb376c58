//! In-process S3 with faults, real servers for tests, fixtures

pub mod servers;
