//! What a connection refuses, and how its test says so.

use crate::suite::all;
use crate::{Value, ftp, open, sftp, webdav};
use bytes::Bytes;
use futures::TryStreamExt as _;
use windlass_remotes::{Remote, probe_remote};
use windlass_s3::{ByteRange, GetOptions, ListOptions, PutOptions};
use windlass_testkit::servers::{FtpServer, SftpServer, WebDavServer, WebServer};
use windlass_types::{ConnectionKind, ErrorCode, Location, ObjectPath};

fn at(key: &str) -> ObjectPath {
    ObjectPath { bucket: ".".to_owned(), key: key.to_owned() }
}

async fn put(remote: &Remote, key: &str) -> Result<(), windlass_types::Error> {
    let body = Bytes::from_static(b"x");
    remote.storage().put(&at(key), body, PutOptions::default()).await.map(drop)
}

async fn keys(remote: &Remote) -> Result<Vec<String>, windlass_types::Error> {
    let location = Location { bucket: Some(".".to_owned()), key: String::new() };
    let options = ListOptions { recursive: true, ..ListOptions::default() };
    let entries: Vec<_> = remote.storage().list(&location, options).try_collect().await?;
    Ok(entries.into_iter().map(|entry| entry.key).collect())
}

/// The steps of a test, a line each, without what differs between runs.
async fn test(remote: &Remote, write: bool) -> String {
    let steps = probe_remote(remote, write).await;
    let line =
        |step: &windlass_s3::probe::ProbeStep| format!("{}: {}", step.step, step.status.as_str());
    steps.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn sftp_shows_the_key_of_a_server_that_is_not_known() {
    let server = SftpServer::start().await;
    let key = || ("PRIVATE_KEY", Value::Text(&server.private_key));
    let nobody = sftp(&server, vec![key()]).unwrap();
    let error = keys(&nobody).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionCredentials);
    assert!(error.message().contains("offers `SHA256:"), "{error:?}");
    assert!(error.hint_text().unwrap().contains(&server.host_key), "{error:?}");
    let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    let wrong = sftp(&server, vec![key(), ("HOST_KEY", Value::Text(other))]).unwrap();
    assert_eq!(keys(&wrong).await.unwrap_err().code(), ErrorCode::ConnectionDenied);
    let any = sftp(&server, vec![key(), ("ACCEPT_ANY_HOST_KEY", Value::Yes)]).unwrap();
    assert_eq!(keys(&any).await.unwrap(), Vec::<String>::new());
    assert_eq!(
        test(&any, true).await,
        "resolve host: passed\nconnect: passed\nsign in: passed\nlist: passed\nread one byte: skipped\nwrite a file: passed\ndelete a file: passed"
    );
    assert_eq!(keys(&any).await.unwrap(), Vec::<String>::new());
    let stranger = sftp(
        &server,
        vec![("PASSWORD", Value::Text("canary-pw")), ("ACCEPT_ANY_HOST_KEY", Value::Yes)],
    );
    let error = keys(&stranger.unwrap()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::ConnectionCredentials);
    assert!(!format!("{error:?}").contains("canary"), "{error:?}");
}

#[tokio::test]
async fn sftp_stays_inside_its_root() {
    let server = SftpServer::start().await;
    let outside = server.root.parent().unwrap().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("secret"), "no").unwrap();
    std::os::unix::fs::symlink(&outside, server.root.join("way-out")).unwrap();
    std::fs::create_dir(server.root.join("in")).unwrap();
    std::fs::write(server.root.join("in/file"), "yes").unwrap();
    std::os::unix::fs::symlink(server.root.join("in"), server.root.join("link")).unwrap();
    std::os::unix::fs::symlink(&server.root, server.root.join("in/circle")).unwrap();
    let remote = sftp(
        &server,
        vec![
            ("PRIVATE_KEY", Value::Text(&server.private_key)),
            ("HOST_KEY", Value::Text(&server.host_key)),
        ],
    )
    .unwrap();
    assert_eq!(keys(&remote).await.unwrap(), ["in/file", "link/file"]);
    let storage = remote.storage();
    // As the end of a copy that is written, a link makes no file two.
    let end = storage.as_end(windlass_s3::Links::Skip, Some("")).expect("it has links");
    let location = Location { bucket: Some(".".into()), key: String::new() };
    let listed = ListOptions { recursive: true, ..ListOptions::default() };
    let entries: Vec<_> = end.list(&location, listed).try_collect().await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["in/file"]);
    for key in ["link/file", "link/new/er"] {
        let put = end.put(&at(key), Bytes::from_static(b"x"), PutOptions::default()).await;
        assert_eq!(put.unwrap_err().code(), ErrorCode::PathOutside, "{key}");
        assert_eq!(end.delete(&at(key)).await.unwrap_err().code(), ErrorCode::PathOutside, "{key}");
    }
    end.put(&at("in/deep/er"), Bytes::from_static(b"x"), PutOptions::default()).await.unwrap();
    end.delete(&at("in/deep/er")).await.unwrap();
    let read = storage.get(&at("way-out/secret"), GetOptions::default()).await;
    assert_eq!(read.err().expect("outside").code(), ErrorCode::PathOutside);
    assert_eq!(put(&remote, "way-out/new").await.unwrap_err().code(), ErrorCode::PathOutside);
    assert_eq!(
        storage.delete(&at("way-out/secret")).await.unwrap_err().code(),
        ErrorCode::PathOutside
    );
    assert!(outside.join("secret").exists() && !outside.join("new").exists());
    let time = chrono::DateTime::from_timestamp(1_700_000_000, 0);
    let options = PutOptions { modified: time, ..PutOptions::default() };
    storage.put(&at("old"), Bytes::from_static(b"x"), options).await.unwrap();
    assert_eq!(storage.stat(&at("old"), None).await.unwrap().last_modified, time);
}

#[tokio::test]
async fn read_only_refuses_every_write() {
    let server = FtpServer::start().await;
    std::fs::write(server.root().join("a"), "a").unwrap();
    let remote = ftp(
        &server,
        vec![("TLS", Value::Text("NONE")), ("ALLOW_PLAIN", Value::Yes), ("READ_ONLY", Value::Yes)],
    )
    .unwrap();
    assert_eq!(put(&remote, "b").await.unwrap_err().code(), ErrorCode::ConnectionReadOnly);
    let storage = remote.storage();
    assert_eq!(storage.delete(&at("a")).await.unwrap_err().code(), ErrorCode::ConnectionReadOnly);
    let begun = storage.create_upload(&at("c"), PutOptions::default()).await;
    assert_eq!(begun.unwrap_err().code(), ErrorCode::ConnectionReadOnly);
    assert_eq!(
        test(&remote, true).await,
        "resolve host: passed\nconnect: passed\nsign in: passed\nlist: passed\nread one byte: passed\nwrite a file: skipped\ndelete a file: skipped"
    );
}

#[tokio::test]
async fn wrong_passwords_and_servers_that_are_not_there_are_told_apart() {
    let server = WebDavServer::start().await;
    let wrong = webdav(&server, vec![("PASSWORD", Value::Text("canary-wrong"))]).unwrap();
    assert_eq!(keys(&wrong).await.unwrap_err().code(), ErrorCode::ConnectionCredentials);
    assert_eq!(
        test(&wrong, false).await,
        "resolve host: passed\nconnect: passed\nsign in: failed\nlist: skipped\nread one byte: skipped"
    );
    let ftp_server = FtpServer::start().await;
    let tls = ftp(&ftp_server, vec![]).unwrap();
    let error = keys(&tls).await.unwrap_err();
    assert!(error.hint_text().unwrap().contains("ALLOW_PLAIN"), "{error:?}");
    let nowhere = open(
        ConnectionKind::Ftp,
        &[("HOST", Value::Text("127.0.0.1")), ("PORT", Value::Number(1))],
    )
    .unwrap();
    assert_eq!(keys(&nowhere).await.unwrap_err().code(), ErrorCode::ConnectionUnreachable);
    assert_eq!(put(&tls, "a\nDELE b").await.unwrap_err().code(), ErrorCode::PathInvalid);
}

#[tokio::test]
async fn a_web_server_is_read_by_its_pages_or_by_an_index_file() {
    let server = WebServer::start().await;
    std::fs::create_dir_all(server.root().join("sub/deep")).unwrap();
    std::fs::write(server.root().join("a b&c.txt"), "hello").unwrap();
    std::fs::write(server.root().join("sub/deep/x.csv"), "1,2").unwrap();
    std::fs::write(server.root().join("files.txt"), "a b&c.txt\nsub/deep/x.csv\ngone.txt\n")
        .unwrap();
    let endpoint = server.endpoint();
    let options = || vec![("ENDPOINT", Value::Text(&endpoint)), ("ALLOW_HTTP", Value::Yes)];
    let pages = open(ConnectionKind::Http, &options()).unwrap();
    assert_eq!(keys(&pages).await.unwrap(), ["a b&c.txt", "files.txt", "sub/deep/x.csv"]);
    let storage = pages.storage();
    // Python's server knows no ranges: what is not wanted is passed over.
    let range = Some(ByteRange::Bounded(1, 3));
    let body =
        storage.get(&at("a b&c.txt"), GetOptions { range, ..GetOptions::default() }).await.unwrap();
    assert_eq!(all(body).await.unwrap(), b"ell");
    assert_eq!(storage.stat(&at("sub"), None).await.unwrap_err().code(), ErrorCode::ObjectNotFound);
    assert_eq!(put(&pages, "new").await.unwrap_err().code(), ErrorCode::ConnectionReadOnly);
    let mut more = options();
    more.push(("INDEX", Value::Text("files.txt")));
    let indexed = open(ConnectionKind::Http, &more).unwrap();
    assert_eq!(keys(&indexed).await.unwrap(), ["a b&c.txt", "sub/deep/x.csv"]);
    std::fs::write(server.root().join("index.html"), "<title>Welcome</title>").unwrap();
    let error = keys(&pages).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::UsageInvalid);
    assert!(test(&pages, false).await.contains("list: warning"));
}
