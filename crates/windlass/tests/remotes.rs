//! Every kind of remote storage through the binary: created, tested, listed, and copied, synchronised
//! and moved to and from S3.

mod common;

use common::{Home, Output};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use windlass_testkit::servers::{
    Azurite, FtpServer, GcsEmulator, PasswordSftpServer, SftpServer, WebDavServer, WebServer,
};
use windlass_testkit::{TestGcs, TestS3};

/// What lies in the bucket at the beginning: names that addresses must not change, an empty file.
fn tree() -> BTreeMap<&'static str, Vec<u8>> {
    BTreeMap::from([
        ("a.txt", b"hello".to_vec()),
        ("deep/er/x.csv", b"x,y\n1,2\n".to_vec()),
        ("empty", Vec::new()),
        ("großes ö/100% + #1.txt", b"odd".to_vec()),
    ])
}

/// What goes in parts.
fn large() -> Vec<u8> {
    (0..(16 << 20) + 5).map(|at: u32| at.to_le_bytes()[at as usize % 3]).collect()
}

/// A home with the connection `lake` to an S3 that holds the tree below `lake/src/`.
async fn home() -> (Home, TestS3) {
    let home = Home::new();
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for (key, bytes) in tree() {
        s3.state().put("lake", &format!("src/{key}"), bytes);
    }
    s3.state().put("lake", "large.bin", large());
    let (id, secret) = s3.admin();
    home.connect("lake", &s3.endpoint(), &id, &secret, "BUCKET = 'lake'").good();
    (home, s3)
}

#[track_caller]
fn counts(home: &Home, arguments: &[&str]) -> [u64; 4] {
    let row: Value = home.run(&[&["-o", "json"], arguments].concat()).json();
    ["copied", "updated", "deleted", "failed"].map(|name| row[name].as_u64().unwrap())
}

#[track_caller]
fn keys(home: &Home, place: &str) -> Vec<String> {
    let rows: Value = home.run(&["-o", "json", "ls", "-r", place]).json();
    let name = place.split_once(':').unwrap().1;
    let mut keys: Vec<String> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["path"].as_str().unwrap().strip_prefix(name).unwrap().to_owned())
        .collect();
    keys.sort();
    keys
}

/// Runs a statement that makes a connection: the first requests to a server on a busy machine may take
/// longer than a step of the test may.
fn patient(home: &Home, sql: &str) -> Output {
    let mut said = home.sql(sql);
    for _ in 0..10 {
        if !format!("{said:?}").contains("took too long") {
            break;
        }
        said = home.sql(sql);
    }
    said
}

/// Every step of the test passed, also writing where that is possible.
#[track_caller]
fn tested(home: &Home, name: &str, writes: bool) {
    let with = if writes { " WITH WRITE" } else { "" };
    // As in `patient`.
    for _ in 0..10 {
        let rows = home.rows(&format!("TEST CONNECTION {name}{with}"));
        assert!(rows.len() >= 5, "{rows:?}");
        let late =
            rows.iter().any(|row| row["message"].as_str().unwrap().contains("took too long"));
        let bad = rows.iter().find(|row| {
            let there = row["step"] == "read one byte" && row["status"] == "skipped";
            row["status"] != "passed" && !there
        });
        match bad {
            None => return,
            Some(row) => assert!(late, "{row}"),
        }
    }
    panic!("{name} is always late");
}

/// A copy of the tree out of `place` has the bytes of the tree.
#[track_caller]
fn holds_the_tree(home: &Home, place: &str) {
    let folder = home.scratch(&format!("got-{}", place.replace([':', '/'], "-")));
    let folder = format!("{}/", folder.display());
    let copied = counts(home, &["cp", place, &folder]);
    assert_eq!(copied, [tree().len() as u64, 0, 0, 0]);
    for (name, bytes) in tree() {
        assert!(std::fs::read(Path::new(&folder).join(name)).unwrap() == bytes, "{place} {name}");
    }
}

/// Rows of a query as one file, as many, and instead of those that were there.
#[track_caller]
fn writes_from_sql(home: &Home, name: &str) {
    let rows = "SELECT id, id % 3 AS p FROM (SELECT unnest(range(0, 300)) AS id) AS s";
    let one = format!("COPY ({rows}) TO '{name}:sql/one.parquet'");
    home.sql(&one).good();
    let refused = home.sql(&one).refused(1);
    assert!(refused.contains("error[object.changed]"), "{name}: {refused}");
    let many = format!(
        "COPY ({rows}) TO '{name}:sql/many/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = OVERWRITE)"
    );
    for _ in 0..2 {
        home.sql(&many).good();
    }
    for path in ["sql/one.parquet", "sql/many/"] {
        let row = home.rows(&format!("SELECT count(*) AS n, sum(id) AS s FROM {name}.\"{path}\""));
        assert_eq!(
            (row[0]["n"].as_i64(), row[0]["s"].as_i64()),
            (Some(300), Some(44_850)),
            "{name} {path}"
        );
    }
    assert_eq!(keys(home, &format!("{name}:sql/many/")).len(), 3, "{name}");
}

/// There and back: copy, list, read, copy inside, synchronise, move.
#[track_caller]
fn round(home: &Home, s3: &TestS3, name: &str) {
    let all = tree().len() as u64;
    let at = |path: &str| format!("{name}:{path}");
    tested(home, name, true);
    assert_eq!(counts(home, &["cp", "lake:src/", &at("in/")]), [all, 0, 0, 0]);
    let names: Vec<&str> = tree().into_keys().collect();
    assert_eq!(keys(home, &at("in/")), names);
    assert_eq!(home.run(&["cat", &at("in/großes ö/100% + #1.txt")]).good(), "odd");
    assert_eq!(home.run(&["cat", "--range", "1-3", &at("in/a.txt")]).good(), "ell");
    let row = home.rows(&format!("SELECT sum(y) AS total FROM {name}.\"in/deep/er/x.csv\""));
    assert_eq!(row[0]["total"], 2);
    holds_the_tree(home, &at("in/"));
    // Back to S3, and inside the storage.
    let back = format!("lake:back-{name}/");
    assert_eq!(counts(home, &["cp", &at("in/"), &back]), [all, 0, 0, 0]);
    holds_the_tree(home, &back);
    assert_eq!(counts(home, &["cp", &at("in/"), &at("copy/")]), [all, 0, 0, 0]);
    holds_the_tree(home, &at("copy/"));
    writes_from_sql(home, name);
    // In parts.
    assert_eq!(counts(home, &["cp", "lake:large.bin", &at("large.bin")]), [1, 0, 0, 0]);
    let (back, key) = (format!("lake:back-{name}.bin"), format!("back-{name}.bin"));
    assert_eq!(counts(home, &["mv", &at("large.bin"), &back]), [1, 0, 1, 0]);
    assert!(s3.state().get("lake", &key).unwrap() == large());
    // A second sync finds nothing to do; one that deletes leaves what the source has.
    assert_eq!(counts(home, &["sync", "lake:src/", &at("sync/")]), [all, 0, 0, 0]);
    assert_eq!(counts(home, &["sync", "lake:src/", &at("sync/")]), [0; 4]);
    let more = home.scratch("more.txt");
    std::fs::write(&more, "new words, of another length").unwrap();
    let more = more.to_string_lossy();
    for target in ["sync/a.txt", "sync/more/extra.txt"] {
        home.run(&["cp", &more, &at(target)]).good();
    }
    let done = counts(home, &["sync", "--delete", "lake:src/", &at("sync/")]);
    assert_eq!(done, [0, 1, 1, 0]);
    holds_the_tree(home, &at("sync/"));
    // Moved away, it is gone here and whole there; and back again.
    let moved = format!("lake:moved-{name}/");
    assert_eq!(counts(home, &["mv", &at("copy/"), &moved]), [all, 0, all, 0]);
    assert_eq!(keys(home, &at("copy/")), Vec::<String>::new());
    assert_eq!(counts(home, &["mv", &moved, &at("home/")]), [all, 0, all, 0]);
    holds_the_tree(home, &at("home/"));
    assert!(s3.state().get("lake", &format!("moved-{name}/a.txt")).is_none());
    // What is there is not written over unless that was meant.
    let held = home.run(&["-o", "json", "cp", "--if-exists", "fail", &more, &at("in/a.txt")]);
    assert_ne!(held.code, 0, "{held:?}");
    home.run(&["rm", "-r", "--yes", &at("in/")]).good();
    assert_eq!(keys(home, &at("in/")), Vec::<String>::new());
}

/// A refusal with what to do, and without the secret.
#[track_caller]
fn refused(output: Output, secret: &str, hint: &str) {
    let text = output.refused(1);
    assert!(text.contains("hint:") && text.contains(hint), "{text}");
    assert!(!text.contains(secret), "{text}");
}

/// A certificate for 127.0.0.1 with its key, and the authority to trust for it.
fn certificate(home: &Home) -> (PathBuf, PathBuf) {
    let authority_key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = authority.self_signed(&authority_key).unwrap().pem();
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().unwrap();
    let names = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let own = names.signed_by(&key, &issuer).unwrap();
    let (ca, server) = (home.scratch("ca.pem"), home.scratch("server.pem"));
    std::fs::write(&ca, pem).unwrap();
    std::fs::write(&server, format!("{}{}", own.pem(), key.serialize_pem())).unwrap();
    (ca, server)
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_with_a_key_goes_there_and_back() {
    let (home, s3) = home().await;
    let server = SftpServer::start().await;
    let file = home.scratch("key");
    std::fs::write(&file, &server.private_key).unwrap();
    home.sql(&format!("CREATE SECRET partner_key FROM FILE '{}'", file.display())).good();
    let create = |name: &str, key: &str| {
        patient(
            &home,
            &format!(
                "CREATE SFTP CONNECTION {name} HOST = '127.0.0.1' PORT = {} USER = '{}' ROOT = '{}' \
             PRIVATE_KEY = SECRET partner_key HOST_KEY = '{key}'",
                server.port,
                server.user,
                server.root.display(),
            ),
        )
    };
    create("partner", &server.host_key).good();
    let other = "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    refused(create("stranger", other), "PRIVATE KEY", "HOST_KEY");
    round(&home, &s3, "partner");
}

#[tokio::test(flavor = "multi_thread")]
async fn sftp_with_a_password_goes_there_and_back() {
    let (home, s3) = home().await;
    let server = PasswordSftpServer::start().await;
    let create = |name: &str, password: &str| {
        patient(
            &home,
            &format!(
                "CREATE SFTP CONNECTION {name} HOST = '127.0.0.1' PORT = {} USER = '{}' \
             PASSWORD = '{password}' HOST_KEY = '{}'",
                server.port(),
                server.user(),
                server.host_key(),
            ),
        )
    };
    create("partner", server.password()).good();
    refused(create("wrong", "canary-password"), "canary-password", "PASSWORD");
    round(&home, &s3, "partner");
}

#[tokio::test(flavor = "multi_thread")]
async fn ftp_in_clear_text_goes_there_and_back() {
    let (home, s3) = home().await;
    let server = FtpServer::start().await;
    let create = |name: &str, password: &str, tls: &str| {
        patient(
            &home,
            &format!(
                "CREATE FTP CONNECTION {name} HOST = '127.0.0.1' PORT = {} USER = '{}' PASSWORD = '{password}' {tls}",
                server.port(),
                server.user(),
            ),
        )
    };
    let plain = "TLS = NONE ALLOW_PLAIN = TRUE";
    create("press", server.password(), plain).good();
    refused(create("wrong", "canary-password", plain), "canary-password", "PASSWORD");
    refused(create("tls", "canary-password", ""), "canary-password", "ALLOW_PLAIN");
    round(&home, &s3, "press");
}

#[tokio::test(flavor = "multi_thread")]
async fn ftp_with_tls_goes_there_and_back() {
    let (home, s3) = home().await;
    let (ca, own) = certificate(&home);
    let server = FtpServer::start_tls(&own).await;
    let create = |name: &str, more: &str| {
        patient(
            &home,
            &format!(
                "CREATE FTP CONNECTION {name} HOST = '127.0.0.1' PORT = {} USER = '{}' PASSWORD = '{}' {more}",
                server.port(),
                server.user(),
                server.password(),
            ),
        )
    };
    create("press", &format!("CA_FILE = '{}'", ca.display())).good();
    refused(create("stranger", ""), server.password(), "CA_FILE");
    round(&home, &s3, "press");
}

#[tokio::test(flavor = "multi_thread")]
async fn webdav_with_a_token_goes_there_and_back_and_copies_by_itself() {
    let (home, s3) = home().await;
    let server = WebDavServer::start_with_token("canary-token").await;
    let create = |name: &str, token: &str| {
        patient(
            &home,
            &format!(
                "CREATE WEBDAV CONNECTION {name} ENDPOINT = '{}' ALLOW_HTTP = TRUE TOKEN = '{token}'",
                server.endpoint()
            ),
        )
    };
    create("share", "canary-token").good();
    refused(create("wrong", "canary-wrong"), "canary-wrong", "token");
    round(&home, &s3, "share");
    let shown = home.sql("SHOW CREATE CONNECTION share; DESCRIBE CONNECTION share").good();
    assert!(!shown.contains("canary"), "{shown}");
    // Names that some servers cut are known before anything is written.
    for key in ["odd/a?b", "odd/c;d", "odd/e"] {
        s3.state().put("lake", key, key);
    }
    let copy = |names: &str| home.run(&["cp", "--names", names, "lake:odd/", "share:odd/"]);
    let talk = copy("fail").refused(1);
    assert!(talk.contains("at which some WebDAV servers cut a name"), "{talk}");
    assert!(!keys(&home, "share:").iter().any(|key| key.starts_with("odd/")));
    copy("skip").good();
    assert_eq!(keys(&home, "share:odd/"), ["e"]);
    copy("rename").good();
    assert_eq!(keys(&home, "share:odd/").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_is_read_with_headers_and_its_own_authority() {
    let (home, s3) = home().await;
    let (ca, own) = certificate(&home);
    let server = WebServer::start_tls(&own, "canary-key").await;
    for (name, bytes) in tree() {
        let path = server.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    let create = |name: &str, more: &str| {
        patient(
            &home,
            &format!(
                "CREATE HTTP CONNECTION {name} ENDPOINT = 'https://127.0.0.1:{}' {more}",
                server.port()
            ),
        )
    };
    let ca = format!("CA_FILE = '{}'", ca.display());
    create("open_data", &format!("{ca} HEADERS = ('X-Key: canary-key')")).good();
    refused(create("stranger", "HEADERS = ('X-Key: canary-key')"), "canary-key", "CA_FILE");
    tested(&home, "open_data", false);
    let all = tree().len() as u64;
    holds_the_tree(&home, "open_data:");
    assert_eq!(counts(&home, &["cp", "open_data:", "lake:web/"]), [all, 0, 0, 0]);
    assert_eq!(counts(&home, &["sync", "open_data:", "lake:web/"]), [0; 4]);
    assert_eq!(s3.state().get("lake", "web/a.txt").unwrap(), "hello");
    let wrote = home.run(&["cp", "lake:src/a.txt", "open_data:new.txt"]);
    assert_ne!(wrote.code, 0, "{wrote:?}");
    let moved = home.run(&["mv", "open_data:a.txt", "lake:moved.txt"]);
    assert_ne!(moved.code, 0, "{moved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn azure_blob_goes_there_and_back() {
    let (home, s3) = home().await;
    let server = Azurite::start().await;
    let create = |name: &str, key: &str, more: &str| {
        patient(
            &home,
            &format!(
                "CREATE AZURE_BLOB CONNECTION {name} ACCOUNT = '{}' ENDPOINT = '{}' ALLOW_HTTP = TRUE \
             ACCOUNT_KEY = '{key}' {more}",
                server.account(),
                server.endpoint()
            ),
        )
    };
    create("account", &Azurite::key(), "").good();
    let wrong = "Y2FuYXJ5LWtleS1jYW5hcnkta2V5";
    refused(create("wrong", wrong, ""), wrong, "ACCOUNT_KEY");
    home.run(&["mb", "account:archive"]).good();
    assert_eq!(home.run(&["-o", "json", "ls", "account:"]).json()[0]["key"], "archive");
    create("archive", &Azurite::key(), "CONTAINER = 'archive' PREFIX = 'team'").good();
    round(&home, &s3, "archive");
    assert!(keys(&home, "account:archive/").iter().all(|key| key.starts_with("team/")));
    create("reading", &Azurite::key(), "CONTAINER = 'archive' READ_ONLY = TRUE").good();
    let wrote = home.run(&["cp", "lake:src/a.txt", "reading:new.txt"]).refused(1);
    assert!(wrote.contains("READ_ONLY"), "{wrote}");
    let shown = home.sql("SHOW CREATE CONNECTION archive; SHOW CONNECTIONS").good();
    assert!(shown.contains("AZURE_BLOB") && !shown.contains(&Azurite::key()), "{shown}");
    let full = home.run(&["rb", "account:archive"]).refused(1);
    assert!(full.contains("not empty"), "{full}");
    home.run(&["rm", "-r", "--yes", "account:archive/"]).good();
    home.run(&["rb", "account:archive"]).good();
}

#[tokio::test(flavor = "multi_thread")]
async fn gcs_goes_there_and_back() {
    let (home, s3) = home().await;
    let server = TestGcs::start().await;
    let file = home.scratch("account.json");
    let create = |name: &str, account: &str, more: &str| {
        std::fs::write(&file, account).unwrap();
        let secret = format!("CREATE SECRET {name}_account FROM FILE '{}'", file.display());
        home.sql(&secret).good();
        patient(
            &home,
            &format!(
                "CREATE GCS CONNECTION {name} ENDPOINT = '{}' ALLOW_HTTP = TRUE \
             SERVICE_ACCOUNT_JSON = SECRET {name}_account {more}",
                server.endpoint()
            ),
        )
    };
    create("project", &server.service_account(), "").good();
    refused(create("wrong", &server.replaced_service_account(), ""), "PRIVATE KEY", "key");
    home.run(&["mb", "project:models"]).good();
    create("models", &server.service_account(), "BUCKET = 'models' PREFIX = 'team'").good();
    round(&home, &s3, "models");
    assert_eq!(server.open_uploads(), 0);
    assert!(server.keys("models").iter().all(|key| key.starts_with("team/")));
    create("reading", &server.service_account(), "BUCKET = 'models' READ_ONLY = TRUE").good();
    let wrote = home.run(&["cp", "lake:src/a.txt", "reading:new.txt"]).refused(1);
    assert!(wrote.contains("READ_ONLY"), "{wrote}");
    // Between two connections to one service.
    let done = counts(&home, &["mv", "models:sync/", "project:models/other/"]);
    let all = tree().len() as u64;
    assert_eq!(done, [all, 0, all, 0]);
    holds_the_tree(&home, "project:models/other/");
    home.run(&["rm", "-r", "--yes", "project:models/"]).good();
    home.run(&["rb", "project:models"]).good();
}

/// Not of our making: what we take for Google's protocol, others do too.
#[tokio::test(flavor = "multi_thread")]
async fn gcs_is_what_another_emulator_takes_it_for() {
    let (home, s3) = home().await;
    let server = GcsEmulator::start().await;
    home.sql(&format!(
        "CREATE GCS CONNECTION emulated ENDPOINT = '{}' ALLOW_HTTP = TRUE ANONYMOUS = TRUE PROJECT = 'test'",
        server.endpoint()
    ))
    .good();
    home.run(&["mb", "emulated:box"]).good();
    let all = tree().len() as u64;
    assert_eq!(counts(&home, &["cp", "lake:src/", "emulated:box/in/"]), [all, 0, 0, 0]);
    holds_the_tree(&home, "emulated:box/in/");
    assert_eq!(counts(&home, &["cp", "lake:large.bin", "emulated:box/large.bin"]), [1, 0, 0, 0]);
    assert_eq!(counts(&home, &["mv", "emulated:box/large.bin", "lake:back.bin"]), [1, 0, 1, 0]);
    assert!(s3.state().get("lake", "back.bin").unwrap() == large());
    assert_eq!(counts(&home, &["sync", "lake:src/", "emulated:box/in/"]), [0; 4]);
    home.run(&["rm", "-r", "--yes", "emulated:box/"]).good();
    home.run(&["rb", "emulated:box"]).good();
}
