//! File formats: detected, inferred, read and written as Arrow batches.
//!
//! Nothing here opens a connection or names the query engine: bytes come in as streams or ranges
//! and go out as buffers.

pub mod write;
