//! `windlass-bench delay|listing`: what `make bench` puts beside the tools it measures.

mod delay;
mod listing;

use anyhow::{Context as _, Result, bail};
use std::time::Duration;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["delay", to, milliseconds] => {
            let wait = Duration::from_millis(milliseconds.parse().context("milliseconds")?);
            delay::serve(to, wait).await
        }
        ["listing", all, in_folder] => {
            let all = all.parse().context("number of keys")?;
            let in_folder = in_folder.parse().context("keys in a folder")?;
            listing::serve(listing::Keys { all, in_folder }).await
        }
        _ => bail!("use `delay HOST:PORT MILLISECONDS` or `listing KEYS KEYS_IN_A_FOLDER`"),
    }
}

/// A listener on a free port, which is told on standard output.
async fn listen() -> Result<tokio::net::TcpListener> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    Ok(listener)
}
