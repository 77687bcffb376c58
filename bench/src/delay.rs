//! A proxy that holds each request back for a while, as a distant service would.
//!
//! It knows no HTTP: bytes from the client after bytes from the server begin a request. So it adds
//! one wait a request on connections kept alive, and none within a body.

use crate::listen;
use anyhow::Result;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Serves until killed; says on standard error every second how many requests came, when some did.
pub(crate) async fn serve(to: &str, wait: Duration) -> Result<()> {
    let listener = listen().await?;
    let requests = Arc::new(AtomicU64::new(0));
    let seen = Arc::clone(&requests);
    tokio::spawn(async move {
        let mut last = 0;
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = seen.load(Ordering::Relaxed);
            if now != last {
                eprintln!("{now} requests");
                last = now;
            }
        }
    });
    loop {
        let (client, _) = listener.accept().await?;
        let (to, requests) = (to.to_owned(), Arc::clone(&requests));
        tokio::spawn(async move { pass(client, &to, wait, &requests).await });
    }
}

async fn pass(client: TcpStream, to: &str, wait: Duration, requests: &AtomicU64) -> Result<()> {
    let server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let answered = Arc::new(AtomicBool::new(true));
    let flag = Arc::clone(&answered);
    let back = tokio::spawn(async move {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let length = from_server.read(&mut buffer).await?;
            flag.store(true, Ordering::Relaxed);
            if length == 0 {
                return to_client.shutdown().await;
            }
            to_client.write_all(&buffer[..length]).await?;
        }
    });
    let mut buffer = vec![0; 1 << 16];
    loop {
        let length = from_client.read(&mut buffer).await?;
        if length == 0 {
            break;
        }
        if answered.swap(false, Ordering::Relaxed) {
            requests.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(wait).await;
        }
        to_server.write_all(&buffer[..length]).await?;
    }
    to_server.shutdown().await?;
    back.await??;
    Ok(())
}
