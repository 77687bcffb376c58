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

#[test]
fn contradictions_say_which_and_why() {
    use ConnectionKind::{Ftp, Http, Sftp, WebDav};
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
        (WebDav, &[URL, ("ROOT", "/a")]),
        (Http, &[URL, ("READ_ONLY", "FALSE")]),
        (Http, &[URL, ("INDEX", "/a")]),
        (Http, &[URL, ("HEADERS", "no colon")]),
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
}
