//! Wrong configurations: each is one line, says why, and what to do.

mod common;

use common::{Home, steady};
use std::fmt::Write as _;
use windlass_testkit::TestS3;

/// Statements that are refused before anything is sent.
#[test]
fn contradictions_are_refused_at_once() {
    let home = Home::new();
    let statements = [
        "CREATE S3 CONNECTION x AWS_ACCESS_KEY_ID = 'AKIA'",
        "CREATE S3 CONNECTION x AWS_ACCESS_KEY_ID = 'AKIA' AWS_SECRET_ACCESS_KEY = 'x' AWS_PROFILE = 'p'",
        "CREATE S3 CONNECTION x ENDPOINT = 'http://127.0.0.1:9000'",
        "CREATE S3 CONNECTION x ENDPOINT = 'https://user:pw@minio.example'",
        "CREATE S3 CONNECTION x ENDPOINT = 'https://minio.example/bucket'",
        "CREATE S3 CONNECTION x ENDPOINT = 'http://169.254.169.254' ALLOW_HTTP = TRUE",
        "CREATE S3 CONNECTION x ENCRYPTION_KMS_KEY = 'alias/a' ENCRYPTION = 'AES256'",
        "CREATE S3 CONNECTION x ENCRYPTION_CUSTOMER_MANAGED_KEY = 'c2hvcnQ='",
        "CREATE S3 CONNECTION x AWS_ROLE = 'arn:aws:iam::1:role/x'",
        "CREATE S3 CONNECTION x AWS_SECRET_ACCESS_KEY = SECRET nowhere AWS_ACCESS_KEY_ID = 'A'",
        "CREATE S3 CONNECTION x REGON = 'eu-west-1'",
        "CREATE S3 CONNECTION x REGION = 'eu-west-1' REGION = 'eu-west-2'",
        "CREATE S3 CONNECTION x READ_ONLY = 'yes'",
        "CREATE S3 CONNECTION x CHECKSUMS = MAYBE",
        "CREATE S3 CONNECTION x ROLE_DURATION = 5 MINUTES AWS_ROLE = 'arn:aws:iam::123456789012:role/x'",
        "CREATE S3 CONNECTION x BUCKET = 'Not a bucket'",
        "CREATE S3 CONNECTION x PREFIX = 'raw/'",
        "CREATE S3 CONNECTION x CA_FILE = '/nonexistent/ca.pem' ANONYMOUS = TRUE ENDPOINT = 'https://127.0.0.1:9'",
        "CREATE S3 CONNECTION system",
        "CREATE S3 CONNECTION 9lives",
        "CREATE LOCAL CONNECTION x",
        "CREATE LOCAL CONNECTION x ROOT = 'relative'",
        "CREATE LOCAL CONNECTION x ROOT = '/nonexistent/folder'",
        "CREAT S3 CONNECTION x",
        "CREATE SECRET s FROM ENV 'WINDLASS_NO_SUCH_VARIABLE'",
        "CREATE SECRET s FROM FILE '/nonexistent'",
        "DROP CONNECTION nothing",
        "DROP SECRET nothing",
        "ALTER S3 CONNECTION s3 SET READ_ONLY = TRUE",
        "ALTER S3 CONNECTION s3 RESET READ_ONLY",
        "TEST CONNECTION s33",
        "SHOW CONECTIONS",
        "USE FABRIC nowhere",
        "LIST nowhere.\"a/\"",
        "SELECT * FROM nowhere.\"a/b.csv\"",
        "SELECT * FROM system.conections",
        "SELECT 'unclosed",
        "SELECT nam FROM system.connections",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    ];
    let mut all = String::new();
    for statement in statements {
        let output = home.sql(statement);
        writeln!(all, "> {statement}\n{}", steady(&output.refused(1))).unwrap();
    }
    insta::assert_snapshot!(all);
}

/// Connections to a real service with something wrong: the failed step and its hint.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_connection_is_refused_with_the_failed_step() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let (id, secret) = s3.admin();
    let home = Home::new();
    let endpoint = s3.endpoint();
    let mut all = String::new();
    let mut refuse = |what: &str, output: common::Output| {
        writeln!(all, "{what}\n{}", steady(&output.refused(1))).unwrap();
    };
    refuse("wrong key id", home.connect("x", &endpoint, "AKIANOBODY", &secret, ""));
    refuse("wrong secret", home.connect("x", &endpoint, &id, "wrong-secret-value", ""));
    refuse("no such bucket", home.connect("x", &endpoint, &id, &secret, "BUCKET = 'nolake'"));
    refuse("nobody listens", home.connect("x", "http://127.0.0.1:9", &id, &secret, ""));
    refuse("no such host", home.connect("x", "http://nowhere.invalid:9000", &id, &secret, ""));
    refuse(
        "https on a plain port",
        home.connect("x", &endpoint.replace("http://", "https://"), &id, &secret, ""),
    );
    let role = "AWS_ROLE = 'arn:aws:iam::123456789012:role/loader' STS_ENDPOINT =";
    let sts = |url: &str| home.connect("x", &endpoint, &id, &secret, &format!("{role} '{url}'"));
    // Refused at once, or out of time on a busy machine: either way it names the right option.
    let text = sts("http://127.0.0.1:9").refused(1);
    assert!(text.contains("`assume role` failed") && text.contains("STS_ENDPOINT"), "{text}");
    refuse("STS knows no such role", sts(&endpoint));
    insta::assert_snapshot!(all);
    // Nothing was stored, and SKIP_VALIDATION stores it anyway.
    assert!(home.rows("SHOW CONNECTIONS LIKE 'x'").is_empty());
    home.connect("x", "http://127.0.0.1:9", &id, &secret, "SKIP_VALIDATION = TRUE").good();
    assert_eq!(home.rows("SHOW CONNECTIONS LIKE 'x'").len(), 1);
}
