use super::*;
use crate::options::{check, find};

fn options(kind: ConnectionKind, pairs: &[(&str, &str)]) -> OptionMap {
    let option = |(name, value): &(&str, &str)| {
        let def = find(kind.options(), name).unwrap();
        let value = match *value {
            "TRUE" => OptionValue::Bool(true),
            "FALSE" => OptionValue::Bool(false),
            text => OptionValue::Text(text.to_owned()),
        };
        (def.name.to_owned(), check(def, value).unwrap())
    };
    pairs.iter().map(option).collect()
}

fn refused(kind: ConnectionKind, pairs: &[(&str, &str)]) -> String {
    let error = RemoteSpec::build(kind, &options(kind, pairs)).expect_err("a refusal");
    format!("{error}\n  {}", error.hint_text().expect("a hint"))
}

const HOST: (&str, &str) = ("HOST", "h");
const USER: (&str, &str) = ("USER", "ann");
const PASSWORD: (&str, &str) = ("PASSWORD", "canary-password");
const URL: (&str, &str) = ("ENDPOINT", "https://h/dav");

const ACCOUNT: (&str, &str) = ("ACCOUNT", "acmestore");
const KEY: (&str, &str) = ("ACCOUNT_KEY", "Y2FuYXJ5");
const FILE: (&str, &str) =
    ("SERVICE_ACCOUNT_JSON", r#"{"client_email": "a@b", "private_key": "canary"}"#);

#[test]
fn contradictions_say_which_and_why() {
    use ConnectionKind::{AzureBlob, Ftp, Gcs, Http, Sftp, WebDav};
    let cases: &[(ConnectionKind, &[(&str, &str)])] = &[
        (Sftp, &[USER, PASSWORD]),
        (Sftp, &[HOST, PASSWORD]),
        (Sftp, &[HOST, USER]),
        (Sftp, &[("HOST", "sftp://ann:canary@h/x"), USER, PASSWORD]),
        (Sftp, &[("HOST", "h:22"), USER, PASSWORD]),
        (Sftp, &[HOST, USER, PASSWORD, ("PRIVATE_KEY_PASSPHRASE", "x")]),
        (Sftp, &[HOST, USER, ("PRIVATE_KEY", "/home/ann/.ssh/id")]),
        (Sftp, &[HOST, USER, ("PRIVATE_KEY", "ssh-ed25519 AAAA")]),
        (Sftp, &[HOST, USER, PASSWORD, ("HOST_KEY", "MD5:1:2")]),
        (
            Sftp,
            &[HOST, USER, PASSWORD, ("HOST_KEY", "SHA256:AAAA"), ("ACCEPT_ANY_HOST_KEY", "TRUE")],
        ),
        (Sftp, &[HOST, USER, PASSWORD, ("ROOT", "/srv/../etc")]),
        (Sftp, &[HOST, USER, ("PASSWORD", "canary\n")]),
        (Ftp, &[HOST, ("TLS", "NONE")]),
        (Ftp, &[HOST, ("ALLOW_PLAIN", "TRUE")]),
        (Ftp, &[HOST, ("TLS", "NONE"), ("ALLOW_PLAIN", "TRUE"), ("CA_FILE", "/x")]),
        (Ftp, &[HOST, PASSWORD]),
        (WebDav, &[]),
        (WebDav, &[("ENDPOINT", "http://h/")]),
        (WebDav, &[("ENDPOINT", "https://u:canary@h/")]),
        (WebDav, &[("ENDPOINT", "https://h/?x=1")]),
        (WebDav, &[("ENDPOINT", "https://169.254.169.254/")]),
        (WebDav, &[URL, USER]),
        (WebDav, &[URL, PASSWORD]),
        (WebDav, &[URL, USER, PASSWORD, ("TOKEN", "t")]),
        (Http, &[URL, USER, PASSWORD, ("TOKEN", "t")]),
        (WebDav, &[URL, ("ROOT", "/a")]),
        (Http, &[URL, ("READ_ONLY", "FALSE")]),
        (Http, &[URL, ("INDEX", "/a")]),
        (Http, &[URL, ("HEADERS", "no colon")]),
        (AzureBlob, &[KEY]),
        (AzureBlob, &[("ACCOUNT", "https://acme.blob.core.windows.net"), KEY]),
        (AzureBlob, &[ACCOUNT]),
        (AzureBlob, &[ACCOUNT, KEY, ("SAS_TOKEN", "sv=1&sig=canary")]),
        (AzureBlob, &[ACCOUNT, KEY, ("ANONYMOUS", "TRUE")]),
        (AzureBlob, &[ACCOUNT, ("ACCOUNT_KEY", "AccountKey=canary")]),
        (AzureBlob, &[ACCOUNT, ("SAS_TOKEN", "canary")]),
        (AzureBlob, &[ACCOUNT, ("SAS_TOKEN", "https://h/c?sv=1&sig=canary")]),
        (AzureBlob, &[ACCOUNT, KEY, ("ENDPOINT", "http://127.0.0.1:10000/acmestore")]),
        (AzureBlob, &[ACCOUNT, KEY, ("CONTAINER", "a/b")]),
        (AzureBlob, &[ACCOUNT, KEY, ("PREFIX", "a/")]),
        (AzureBlob, &[ACCOUNT, KEY, ("CONTAINER", "c"), ("PREFIX", "/a")]),
        (AzureBlob, &[ACCOUNT, KEY, ("CONTAINER", "c"), ("PREFIX", "a/../b")]),
        (Gcs, &[]),
        (Gcs, &[FILE, ("ANONYMOUS", "TRUE")]),
        (Gcs, &[("SERVICE_ACCOUNT_JSON", "/home/ann/canary.json")]),
        (Gcs, &[FILE, ("BUCKET", "arn:aws:s3:::b")]),
        (Gcs, &[FILE, ("ENDPOINT", "https://metadata.google.internal")]),
    ];
    let all: Vec<String> = cases.iter().map(|(kind, case)| refused(*kind, case)).collect();
    let all = all.join("\n");
    assert!(!all.contains("canary"), "{all}");
    insta::assert_snapshot!(all);
}

#[test]
fn a_host_key_is_the_same_as_its_fingerprint() {
    let line = "[h]:22 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ ann@h";
    let sum = fingerprint(line).unwrap();
    assert!(sum.starts_with("SHA256:") && sum.len() == 50, "{sum}");
    assert_eq!(fingerprint(&sum).unwrap(), sum);
    assert_eq!(fingerprint(&format!("{sum}=")).unwrap(), sum);
}

#[test]
fn a_server_tells_case_apart_unless_it_is_said_not_to() {
    use ConnectionKind::{Ftp, Gcs, Sftp, WebDav};
    let any = ("ACCEPT_ANY_HOST_KEY", "TRUE");
    let kinds: [(ConnectionKind, &[(&str, &str)]); 3] =
        [(Sftp, &[HOST, USER, PASSWORD, any]), (Ftp, &[HOST]), (WebDav, &[URL])];
    for (kind, given) in kinds {
        let tells = |more: &[(&str, &str)]| {
            let all = [given, more].concat();
            RemoteSpec::build(kind, &options(kind, &all)).unwrap().case_sensitive
        };
        assert!(tells(&[]) && tells(&[("CASE_SENSITIVE", "TRUE")]), "{}", kind.as_str());
        assert!(!tells(&[("CASE_SENSITIVE", "FALSE")]), "{}", kind.as_str());
    }
    assert!(find(Gcs.options(), "CASE_SENSITIVE").is_err(), "keys of a service are exact");
}

#[test]
fn good_options_build() {
    let kind = ConnectionKind::Sftp;
    let given = [HOST, USER, PASSWORD, ("ROOT", "/srv/files/"), ("ACCEPT_ANY_HOST_KEY", "TRUE")];
    let spec = RemoteSpec::build(kind, &options(kind, &given)).unwrap();
    let RemoteService::Sftp(sftp) = spec.service else { panic!("SFTP") };
    assert_eq!((sftp.root.as_str(), sftp.port, sftp.host_keys), ("/srv/files", 22, HostKeys::Any));
    let kind = ConnectionKind::Ftp;
    let spec = RemoteSpec::build(kind, &options(kind, &[HOST, ("TLS", "IMPLICIT")])).unwrap();
    let RemoteService::Ftp(ftp) = spec.service else { panic!("FTP") };
    assert_eq!((ftp.port, ftp.user.as_str()), (990, "anonymous"));
    let kind = ConnectionKind::Http;
    assert!(RemoteSpec::build(kind, &options(kind, &[URL])).unwrap().read_only);
    let kind = ConnectionKind::AzureBlob;
    let given = [ACCOUNT, KEY, ("CONTAINER", "box"), ("PREFIX", "team")];
    let spec = RemoteSpec::build(kind, &options(kind, &given)).unwrap();
    let RemoteService::AzureBlob(azure) = &spec.service else { panic!("Azure") };
    assert_eq!(azure.endpoint, "https://acmestore.blob.core.windows.net");
    assert_eq!((azure.binding.prefix.as_str(), spec.max_concurrency), ("team/", 64));
    let kind = ConnectionKind::Gcs;
    let spec = RemoteSpec::build(kind, &options(kind, &[FILE])).unwrap();
    let RemoteService::Gcs(gcs) = spec.service else { panic!("GCS") };
    assert_eq!(gcs.endpoint, "https://storage.googleapis.com");
    assert!(gcs.binding.bucket.is_none() && !gcs.anonymous);
}
