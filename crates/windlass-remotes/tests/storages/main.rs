//! One suite for every storage behind `ObjectAccess`: what a caller may rely on, whatever is there.

mod clouds;
mod refusals;
mod suite;

use windlass_remotes::{Remote, RemoteSecrets};
use windlass_s3::{ForgetfulRegions, LocalStore, S3Store, Secrets};
use windlass_testkit::TestS3;
use windlass_testkit::servers::{FtpServer, SftpServer, WebDavServer};
use windlass_types::connection::RemoteSpec;
use windlass_types::{ConnectionKind, LocalSpec, Name, OptionMap, OptionValue, Result, S3Spec};

/// An option's value.
#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    Number(u16),
    Yes,
    No,
}

/// Opens a connection as it would be from a statement.
fn open(kind: ConnectionKind, options: &[(&str, Value<'_>)]) -> Result<Remote> {
    let (mut map, mut secrets) = (OptionMap::new(), Vec::new());
    for (name, value) in options {
        let value = match value {
            Value::Text(text) => OptionValue::Text((*text).to_owned()),
            Value::Number(number) => OptionValue::Integer((*number).into()),
            Value::Yes => OptionValue::Bool(true),
            Value::No => OptionValue::Bool(false),
        };
        let def = windlass_types::options::find(kind.options(), name)?;
        let value = windlass_types::options::check(def, value)?;
        if let (true, OptionValue::Text(text)) = (def.secret, &value) {
            secrets.push(((*name).to_owned(), text.clone().into()));
        }
        map.insert((*name).to_owned(), value);
    }
    let spec = RemoteSpec::build(kind, &map)?;
    Remote::open(Name::new("remote").unwrap(), spec, RemoteSecrets::new(secrets)?)
}

fn sftp(server: &SftpServer, more: Vec<(&str, Value<'_>)>) -> Result<Remote> {
    let root = server.root.to_string_lossy();
    let mut options = vec![
        ("HOST", Value::Text("127.0.0.1")),
        ("PORT", Value::Number(server.port)),
        ("USER", Value::Text(&server.user)),
        ("ROOT", Value::Text(&root)),
        ("TIMEOUT", Value::Number(20)),
    ];
    options.extend(more);
    open(ConnectionKind::Sftp, &options)
}

fn ftp(server: &FtpServer, more: Vec<(&str, Value<'_>)>) -> Result<Remote> {
    let mut options = vec![
        ("HOST", Value::Text("127.0.0.1")),
        ("PORT", Value::Number(server.port())),
        ("USER", Value::Text(server.user())),
        ("PASSWORD", Value::Text(server.password())),
        ("TIMEOUT", Value::Number(20)),
    ];
    options.extend(more);
    open(ConnectionKind::Ftp, &options)
}

fn webdav(server: &WebDavServer, more: Vec<(&str, Value<'_>)>) -> Result<Remote> {
    let endpoint = server.endpoint();
    let mut options = vec![
        ("ENDPOINT", Value::Text(&endpoint)),
        ("ALLOW_HTTP", Value::Yes),
        ("USER", Value::Text(server.user())),
        ("TIMEOUT", Value::Number(20)),
    ];
    options.extend(more);
    open(ConnectionKind::WebDav, &options)
}

/// Nothing is connected for it.
#[tokio::test]
async fn a_server_tells_case_apart_unless_its_connection_says_otherwise() {
    let sftp = [
        ("HOST", Value::Text("nowhere.invalid")),
        ("USER", Value::Text("ann")),
        ("PASSWORD", Value::Text("p")),
        ("ACCEPT_ANY_HOST_KEY", Value::Yes),
    ];
    let ftp = [
        ("HOST", Value::Text("nowhere.invalid")),
        ("TLS", Value::Text("NONE")),
        ("ALLOW_PLAIN", Value::Yes),
    ];
    let webdav =
        [("ENDPOINT", Value::Text("http://nowhere.invalid/dav")), ("ALLOW_HTTP", Value::Yes)];
    let kinds: [(ConnectionKind, &[(&str, Value<'_>)]); 3] = [
        (ConnectionKind::Sftp, &sftp),
        (ConnectionKind::Ftp, &ftp),
        (ConnectionKind::WebDav, &webdav),
    ];
    for (kind, given) in kinds {
        for (said, tells) in [(None, true), (Some(Value::Yes), true), (Some(Value::No), false)] {
            let said = said.map(|said| ("CASE_SENSITIVE", said));
            let options: Vec<(&str, Value<'_>)> = given.iter().copied().chain(said).collect();
            let storage = open(kind, &options).unwrap().storage();
            let end = storage.as_end(windlass_s3::Links::Follow, Some("in/")).unwrap();
            for storage in [storage, end] {
                assert_eq!(storage.tells_case_apart("in/", true).await, tells, "{}", kind.as_str());
            }
        }
    }
}

#[tokio::test]
async fn a_local_folder_passes_the_suite() {
    let folder = tempfile::tempdir().unwrap();
    let spec = LocalSpec { root: folder.path().to_owned(), read_only: false, case_sensitive: None };
    let store = LocalStore::open(Name::new("disk").unwrap(), spec).unwrap();
    suite::run(std::sync::Arc::new(store), ".", "").await;
}

#[tokio::test]
async fn s3_passes_the_suite() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("suite");
    let (id, secret) = s3.admin();
    let text = |text: &str| OptionValue::Text(text.to_owned());
    let options: OptionMap = [
        ("ENDPOINT", text(&s3.endpoint())),
        ("ALLOW_HTTP", OptionValue::Bool(true)),
        ("AWS_ACCESS_KEY_ID", text(&id)),
        ("AWS_SECRET_ACCESS_KEY", text(&secret)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    let secrets = Secrets {
        access_key_id: Some(id.into()),
        secret_access_key: Some(secret.into()),
        ..Secrets::default()
    };
    let regions = std::sync::Arc::new(ForgetfulRegions);
    let spec = S3Spec::build(&options).unwrap();
    let store = S3Store::open(Name::new("lake").unwrap(), spec, secrets, regions).unwrap();
    suite::run(std::sync::Arc::new(store), "suite", "").await;
}

#[tokio::test]
async fn sftp_passes_the_suite() {
    let server = SftpServer::start().await;
    let remote = sftp(
        &server,
        vec![
            ("HOST_KEY", Value::Text(&server.host_key)),
            ("PRIVATE_KEY", Value::Text(&server.private_key)),
        ],
    )
    .unwrap();
    suite::run(remote.storage(), ".", "").await;
    suite::is_clean(&server.root);
}

#[tokio::test]
async fn ftp_passes_the_suite() {
    let server = FtpServer::start().await;
    let plain = || vec![("TLS", Value::Text("NONE")), ("ALLOW_PLAIN", Value::Yes)];
    suite::run(ftp(&server, plain()).unwrap().storage(), ".", "").await;
    suite::is_clean(server.root());
}

#[tokio::test]
async fn ftp_without_facts_passes_the_suite() {
    let server = FtpServer::start_old().await;
    let plain = || vec![("TLS", Value::Text("NONE")), ("ALLOW_PLAIN", Value::Yes)];
    suite::run(ftp(&server, plain()).unwrap().storage(), ".", "").await;
    suite::is_clean(server.root());
}

#[tokio::test]
async fn webdav_passes_the_suite() {
    let server = WebDavServer::start().await;
    let remote = webdav(&server, vec![("PASSWORD", Value::Text(server.password()))]).unwrap();
    suite::run(remote.storage(), ".", "").await;
    suite::is_clean(server.root());
}
