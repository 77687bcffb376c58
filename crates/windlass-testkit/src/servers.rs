//! Real servers for tests: PostgreSQL, SeaweedFS and moto, each on free loopback ports.
//!
//! A server's processes and folder go away when its value is dropped, and also when the test
//! process dies in any other way. `make setup` installs the programs.

mod client;
mod moto;
mod postgres;
mod process;
mod seaweed;

pub use client::{Answer, Client, Keys};
pub use moto::Moto;
pub use postgres::Postgres;
pub use process::{free_ports, program};
pub use seaweed::{ONE_BUCKET, SeaweedFs};
