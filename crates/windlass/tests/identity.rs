//! Every identity option reaches a service (U-C1 to U-C5, U-C25, M-C7, P-C1).

mod common;

use common::Home;
use std::io::{Read as _, Write as _};
use windlass_testkit::{BucketOptions, TestIdentity, TestRole, TestS3, TestS3Options};

const ROLE: &str = "arn:aws:iam::000000000000:role/loader";

async fn service() -> TestS3 {
    let mut temporary = TestIdentity::new("ASIATEMPORARY", "temporary-secret").read(["lake"]);
    temporary.session_token = Some("the-session-token".to_owned());
    let s3 = TestS3::start_with(TestS3Options {
        identities: vec![
            TestIdentity::new("AKIAREADER", "reader-secret").read(["lake"]),
            // May do nothing by itself: only assume the role.
            TestIdentity::new("AKIANOTHING", "nothing-secret"),
            temporary,
        ],
        roles: vec![TestRole::new(ROLE).external_id("hub-42").allow("AKIANOTHING")],
        ..TestS3Options::default()
    })
    .await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "a.csv", "x\n1\n");
    s3
}

fn create(home: &Home, name: &str, endpoint: &str, more: &str) -> common::Output {
    home.sql(&format!(
        "CREATE S3 CONNECTION {name} ENDPOINT = '{endpoint}' ALLOW_HTTP = TRUE BUCKET = 'lake' {more}"
    ))
}

#[track_caller]
fn reads(home: &Home, name: &str) {
    assert_eq!(home.rows(&format!("SELECT x FROM {name}.\"a.csv\""))[0]["x"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_temporary_keys() {
    let s3 = service().await;
    let home = Home::new();
    create(
        &home,
        "keys",
        &s3.endpoint(),
        "AWS_ACCESS_KEY_ID = 'AKIAREADER' AWS_SECRET_ACCESS_KEY = 'reader-secret'",
    )
    .good();
    reads(&home, "keys");
    let temporary =
        "AWS_ACCESS_KEY_ID = 'ASIATEMPORARY' AWS_SECRET_ACCESS_KEY = 'temporary-secret'";
    create(&home, "half", &s3.endpoint(), temporary).refused(1);
    create(
        &home,
        "temporary",
        &s3.endpoint(),
        &format!("{temporary} AWS_SESSION_TOKEN = 'the-session-token'"),
    )
    .good();
    reads(&home, "temporary");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_a_profile_and_a_container_are_the_default_chain() {
    let s3 = service().await;
    let mut home = Home::new();
    create(&home, "nobody", &s3.endpoint(), "").refused(1);
    std::fs::write(
        home.path().join("aws-credentials"),
        "[reader]\naws_access_key_id = AKIAREADER\naws_secret_access_key = reader-secret\n",
    )
    .unwrap();
    create(&home, "profile", &s3.endpoint(), "AWS_PROFILE = 'reader'").good();
    reads(&home, "profile");
    create(&home, "absent", &s3.endpoint(), "AWS_PROFILE = 'no-such-profile'").refused(1);

    // As on ECS: a local address hands out credentials.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let body = r#"{"AccessKeyId":"ASIATEMPORARY","SecretAccessKey":"temporary-secret","Token":"the-session-token","Expiration":"2099-01-01T00:00:00Z"}"#;
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    home.set("AWS_ACCESS_KEY_ID", "AKIAREADER");
    home.set("AWS_SECRET_ACCESS_KEY", "reader-secret");
    create(&home, "environment", &s3.endpoint(), "").good();
    reads(&home, "environment");

    let mut container = Home::new();
    container.set("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("http://{address}/credentials"));
    create(&container, "container", &s3.endpoint(), "").good();
    reads(&container, "container");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_needs_its_external_id() {
    let s3 = service().await;
    let home = Home::new();
    let endpoint = s3.endpoint();
    let role = format!(
        "AWS_ACCESS_KEY_ID = 'AKIANOTHING' AWS_SECRET_ACCESS_KEY = 'nothing-secret' AWS_ROLE = '{ROLE}' STS_ENDPOINT = '{endpoint}'"
    );
    let text =
        create(&home, "wrong", &endpoint, &format!("{role} EXTERNAL_ID = 'guess'")).refused(1);
    assert!(text.contains("assume role") && text.contains("EXTERNAL_ID"), "{text}");
    create(
        &home,
        "role",
        &endpoint,
        &format!("{role} EXTERNAL_ID = 'hub-42' ROLE_SESSION_NAME = 'nightly' ROLE_SOURCE_IDENTITY = 'ops' ROLE_DURATION = 15 MINUTES"),
    )
    .good();
    reads(&home, "role");
    let session = s3.state().sessions().into_iter().rfind(|s| s.session_name == "nightly").unwrap();
    assert_eq!(session.source_identity.as_deref(), Some("ops"));
    assert_eq!(session.duration.as_secs(), 900);
}

/// The keys of the role end while one command is still reading through them.
#[tokio::test(flavor = "multi_thread")]
async fn a_role_is_assumed_again_before_its_keys_end_also_in_the_middle_of_work() {
    let s3 = service().await;
    s3.state().add_role(TestRole::new(ROLE).lifetime(std::time::Duration::from_secs(11)));
    let home = Home::new();
    let endpoint = s3.endpoint();
    for number in 0..100 {
        s3.state().put("lake", &format!("many/{number}.txt"), vec![b'x'; 1 << 16]);
    }
    create(
        &home,
        "role",
        &endpoint,
        &format!(
            "AWS_ACCESS_KEY_ID = 'AKIANOTHING' AWS_SECRET_ACCESS_KEY = 'nothing-secret' \
             AWS_ROLE = '{ROLE}' STS_ENDPOINT = '{endpoint}' MAX_REQUESTS_PER_SECOND = 12"
        ),
    )
    .good();
    let before = s3.state().sessions().len();
    let to = home.scratch("many");
    home.run(&["cp", "role:many/", &format!("{}/", to.display())]).good();
    assert_eq!(std::fs::read_dir(to).unwrap().count(), 100);
    assert!(s3.state().sessions().len() > before + 1, "one process assumed the role twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn public_buckets_need_nobody() {
    let s3 = TestS3::start().await;
    let public = BucketOptions { public: true, ..BucketOptions::default() };
    assert!(s3.state().create_bucket_with("lake", public));
    s3.state().put("lake", "a.csv", "x\n1\n");
    let home = Home::new();
    create(&home, "anyone", &s3.endpoint(), "ANONYMOUS = TRUE").good();
    reads(&home, "anyone");
    assert!(s3.state().requests().iter().all(|request| request.access_key_id.is_none()));
}

/// Forwards plain HTTP to whatever the absolute request line names, and counts.
fn proxy() -> (std::net::SocketAddr, std::sync::Arc<std::sync::atomic::AtomicUsize>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let count = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let seen = count.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, seen) = (client.unwrap(), seen.clone());
            std::thread::spawn(move || -> std::io::Result<()> {
                let mut head = [0; 16 * 1024];
                let length = client.read(&mut head)?;
                let text = String::from_utf8_lossy(&head[..length]).into_owned();
                let Some((start, rest)) = text.split_once("http://") else { return Ok(()) };
                let (host, path) = rest.split_once('/').unwrap();
                let mut server = std::net::TcpStream::connect(host)?;
                seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                // One request a connection, so that nothing has to be parsed further.
                let request =
                    format!("{start}/{path}").replacen("\r\n", "\r\nconnection: close\r\n", 1);
                server.write_all(request.as_bytes())?;
                std::io::copy(&mut server, &mut client)?;
                client.shutdown(std::net::Shutdown::Both)
            });
        }
    });
    (address, count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_and_headers_are_used() {
    let s3 = TestS3::start_with(TestS3Options {
        identities: vec![TestIdentity::new("AKIAREADER", "reader-secret").read(["lake"])],
        require_header: Some(("x-tenant".to_owned(), "blue".to_owned())),
        ..TestS3Options::default()
    })
    .await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "a.csv", "x\n1\n");
    let home = Home::new();
    let keys = "AWS_ACCESS_KEY_ID = 'AKIAREADER' AWS_SECRET_ACCESS_KEY = 'reader-secret'";
    create(&home, "bare", &s3.endpoint(), keys).refused(1);
    let headers = format!("{keys} HEADERS = ('x-tenant: blue', 'x-other: 1')");
    create(&home, "tenant", &s3.endpoint(), &headers).good();
    reads(&home, "tenant");
    let (address, count) = proxy();
    create(&home, "proxied", &s3.endpoint(), &format!("{headers} PROXY = 'http://{address}'"))
        .good();
    reads(&home, "proxied");
    assert!(count.load(std::sync::atomic::Ordering::Relaxed) > 3);
}
