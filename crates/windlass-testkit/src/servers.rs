//! Real servers for tests: PostgreSQL, SeaweedFS, moto, Azurite, `OpenSSH`, and servers of FTP, `WebDAV` and web
//! pages, each on free loopback ports.
//!
//! A server's processes and folder go away when its value is dropped, and also when the test
//! process dies in any other way. `make setup` installs the programs.

mod azurite;
mod client;
mod files;
mod moto;
mod postgres;
mod process;
mod seaweed;
mod sftp;

pub use azurite::Azurite;
pub use client::{Answer, Client, Keys};
pub use files::{FtpServer, GcsEmulator, PasswordSftpServer, WebDavServer, WebServer};
pub use moto::Moto;
pub use postgres::Postgres;
pub use process::{free_ports, program};
pub use seaweed::{ONE_BUCKET, SeaweedFs};
pub use sftp::{SftpServer, ssh_key};
