//! One suite for both databases: each test runs on SQLite, and on PostgreSQL where there is one.

#![allow(unreachable_pub, missing_docs, reason = "tests")]

#[macro_use]
mod place;
mod catalog;
mod jobs;
mod store;
