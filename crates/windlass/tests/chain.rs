//! Every source of the default chain that hands out temporary keys reaches a service.

mod common;

use common::Home;
use std::io::{Read as _, Write as _};
use windlass_testkit::{TestIdentity, TestRole, TestS3, TestS3Options};

const ROLE: &str = "arn:aws:iam::000000000000:role/pod";

async fn service() -> TestS3 {
    let mut temporary = TestIdentity::new("ASIATEMPORARY", "temporary-secret").read(["lake"]);
    temporary.session_token = Some("the-session-token".to_owned());
    let mut role = TestRole::new(ROLE);
    role.web_identity_token = Some("the-pod-token".to_owned());
    let s3 = TestS3::start_with(TestS3Options {
        identities: vec![temporary],
        roles: vec![role],
        ..TestS3Options::default()
    })
    .await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "a.csv", "x\n1\n");
    s3
}

/// A local service that answers JSON by method and path; None is 404.
fn answers(
    answer: impl Fn(&str, &str) -> Option<String> + Send + Sync + 'static,
) -> std::net::SocketAddr {
    answers_in("content-type: application/json", move |method, path| {
        answer(method, path).map(String::into_bytes)
    })
}

fn answers_in(
    headers: &'static str,
    answer: impl Fn(&str, &str) -> Option<Vec<u8>> + Send + Sync + 'static,
) -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let head = asked(&mut stream);
            let mut words = head.split(' ');
            let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            let (status, body) = match answer(method, path) {
                Some(body) => ("200 OK", body),
                None => ("404 Not Found", Vec::new()),
            };
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\n{headers}\r\nx-aws-ec2-metadata-token-ttl-seconds: 600\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&body);
        }
    });
    address
}

/// The head of a request, once all of it is there: an answer before that may be lost.
fn asked(stream: &mut std::net::TcpStream) -> String {
    let (mut all, mut piece) = (Vec::new(), [0; 8192]);
    loop {
        let length = stream.read(&mut piece).unwrap_or_default();
        all.extend_from_slice(&piece[..length]);
        let text = String::from_utf8_lossy(&all);
        let whole = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let length =
                head.to_lowercase().split_once("content-length: ").map_or(0, |(_, rest)| {
                    rest.lines().next().unwrap_or_default().trim().parse::<usize>().unwrap()
                });
            body.len() >= length
        });
        if whole || length == 0 {
            return text.into_owned();
        }
    }
}

/// The chain finds its keys, and they read.
#[track_caller]
fn reaches(home: &Home, s3: &TestS3) {
    home.sql(&format!(
        "CREATE S3 CONNECTION lake ENDPOINT = '{}' ALLOW_HTTP = TRUE BUCKET = 'lake' SKIP_VALIDATION = TRUE",
        s3.endpoint()
    ))
    .good();
    // A second is what is waited for a machine's own service: too little where much else is done.
    for _ in 0..5 {
        let said = home.run(&["-o", "json", "sql", "-c", "SELECT x FROM lake.\"a.csv\""]);
        if said.code == 0 {
            assert_eq!(said.json()[0]["x"], 1);
            return;
        }
    }
    panic!("it is never reached");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_identity_token_becomes_a_role() {
    let s3 = service().await;
    let mut home = Home::new();
    let token = home.scratch("token");
    std::fs::write(&token, "the-pod-token").unwrap();
    home.set("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap());
    home.set("AWS_ROLE_ARN", ROLE);
    home.set("AWS_ENDPOINT_URL_STS", &s3.endpoint());
    reaches(&home, &s3);
    assert!(s3.state().sessions().iter().all(|session| session.caller == "web-identity"));

    std::fs::write(&token, "a-forged-token").unwrap();
    let text = home.run(&["ls", "lake:"]).refused(1);
    assert!(!text.contains("forged") && text.contains("connection.credentials"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_has_the_keys_of_its_instance_profile() {
    let s3 = service().await;
    let mut home = Home::new();
    let metadata = answers(|method, path| {
        match (method, path) {
        ("PUT", "/latest/api/token") => Some("a-metadata-token".to_owned()),
        ("GET", "/latest/meta-data/iam/security-credentials/") => Some("machine".to_owned()),
        ("GET", "/latest/meta-data/iam/security-credentials/machine") => Some(
            r#"{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z","AccessKeyId":"ASIATEMPORARY","SecretAccessKey":"temporary-secret","Token":"the-session-token","Expiration":"2099-01-01T00:00:00Z"}"#
                .to_owned(),
        ),
        _ => None,
    }
    });
    home.set("AWS_EC2_METADATA_DISABLED", "false");
    home.set("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{metadata}"));
    reaches(&home, &s3);
}

#[tokio::test(flavor = "multi_thread")]
async fn single_sign_on_and_a_credential_process_are_profiles() {
    let s3 = service().await;
    let mut home = Home::new();
    let portal = answers(|method, path| {
        (method == "GET" && path.starts_with("/federation/credentials")).then(|| {
            r#"{"roleCredentials":{"accessKeyId":"ASIATEMPORARY","secretAccessKey":"temporary-secret","sessionToken":"the-session-token","expiration":4070908800000}}"#
                .to_owned()
        })
    });
    std::fs::write(
        home.path().join("aws-config"),
        "[profile people]\nsso_start_url = https://acme.example/start\nsso_region = us-east-1\nsso_account_id = 000000000000\nsso_role_name = reader\nregion = us-east-1\n[profile process]\ncredential_process = cat keys.json\n",
    )
    .unwrap();
    std::fs::write(
        home.path().join("keys.json"),
        r#"{"Version":1,"AccessKeyId":"ASIATEMPORARY","SecretAccessKey":"temporary-secret","SessionToken":"the-session-token"}"#,
    )
    .unwrap();
    // Named by the SHA-1 of the start URL, as `aws sso login` leaves it.
    let cache = home.path().join(".aws/sso/cache");
    std::fs::create_dir_all(&cache).unwrap();
    std::fs::write(
        cache.join("32b9d3c1dabf96c36d5542a011699561d2dee1fa.json"),
        r#"{"accessToken":"a-portal-token","expiresAt":"2099-01-01T00:00:00Z","region":"us-east-1","startUrl":"https://acme.example/start"}"#,
    )
    .unwrap();
    home.set("HOME", home.path().to_str().unwrap().to_owned().as_str());
    home.set("AWS_ENDPOINT_URL_SSO", &format!("http://{portal}"));
    for profile in ["people", "process"] {
        home.sql(&format!(
            "CREATE S3 CONNECTION {profile} ENDPOINT = '{}' ALLOW_HTTP = TRUE BUCKET = 'lake' AWS_PROFILE = '{profile}'",
            s3.endpoint()
        ))
        .good();
        assert_eq!(home.rows(&format!("SELECT x FROM {profile}.\"a.csv\""))[0]["x"], 1);
    }
}

/// Metrics are asked for where the connection says, and their absence refuses nothing.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_asked_for_at_their_own_endpoint() {
    let s3 = service().await;
    let home = Home::new();
    let cloudwatch = answers_in("content-type: text/xml", |method, path| {
        let none = "<GetMetricDataResponse><GetMetricDataResult><MetricDataResults/></GetMetricDataResult></GetMetricDataResponse>";
        (method == "POST" && path == "/").then(|| none.as_bytes().to_vec())
    });
    let web = answers(|_, _| None);
    let metrics = |name: &str, at: std::net::SocketAddr| {
        home.connect(
            name,
            &s3.endpoint(),
            "ASIATEMPORARY",
            "temporary-secret",
            &format!(
                "AWS_SESSION_TOKEN = 'the-session-token' BUCKET = 'lake' CLOUDWATCH_ENDPOINT = 'http://{at}'"
            ),
        )
        .good();
        let rows = home.rows(&format!("TEST CONNECTION {name}"));
        let row = rows.iter().find(|row| row["step"] == "CloudWatch metrics").unwrap().clone();
        format!("{}: {} ({})", row["status"], row["message"], row["hint"])
    };
    let said = [metrics("measured", cloudwatch), metrics("unmeasured", web)].join("\n");
    insta::assert_snapshot!(common::steady(&said));
}
