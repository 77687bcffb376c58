use super::*;
use crate::region::ForgetfulRegions;
use crate::secrets::Secrets;
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use windlass_types::{Name, OptionMap, OptionValue, S3Spec};

const ID: &str = "AKIAWINDLASSTEST0042";

/// A store at `endpoint` with keys and these options on top.
fn store(endpoint: &str, options: &[(&str, &str)]) -> S3Store {
    keyed(endpoint, (ID, "not-a-real-secret-access-key"), options)
}

fn keyed(endpoint: &str, keys: (&str, &str), options: &[(&str, &str)]) -> S3Store {
    let mut map = OptionMap::default();
    let mut set = |name: &str, value| map.insert(name.to_owned(), value);
    set("ENDPOINT", OptionValue::Text(endpoint.to_owned()));
    set("ALLOW_HTTP", OptionValue::Bool(true));
    let anonymous = options.iter().any(|(name, _)| *name == "ANONYMOUS");
    if !anonymous {
        set("AWS_ACCESS_KEY_ID", OptionValue::Text(keys.0.to_owned()));
        set("AWS_SECRET_ACCESS_KEY", OptionValue::Text(keys.1.to_owned()));
    }
    for (name, text) in options {
        let value = match *text {
            "TRUE" => OptionValue::Bool(true),
            text => OptionValue::Text(text.to_owned()),
        };
        set(name, value);
    }
    let spec = S3Spec::build(&map).unwrap();
    let secrets = if anonymous {
        Secrets::default()
    } else {
        Secrets {
            access_key_id: Some(keys.0.into()),
            secret_access_key: Some(keys.1.into()),
            ..Secrets::default()
        }
    };
    S3Store::open(Name::new("landing").unwrap(), spec, secrets, Arc::new(ForgetfulRegions)).unwrap()
}

/// Rows as text, without times and ports.
fn shown(steps: &[ProbeStep], endpoint: &str) -> String {
    let mut text = String::new();
    for step in steps {
        let _ = write!(text, "{:<7} {}", step.status.as_str(), step.step);
        if !step.permission.is_empty() {
            let _ = write!(text, " [{}]", step.permission);
        }
        let _ = write!(text, ": {}", step.message);
        if let Some(hint) = &step.hint {
            let _ = write!(text, "\n        hint: {hint}");
        }
        text.push('\n');
    }
    // The key of a probe is random.
    for start in text.match_indices(write::PROBE).map(|found| found.0).collect::<Vec<_>>() {
        let start = start + write::PROBE.len();
        text.replace_range(start..start + 16, "0123456789abcdef");
    }
    match endpoint.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => text.replace(port, "PORT"),
        _ => text,
    }
}

/// The first row that did not pass, and why.
fn failure(steps: &[ProbeStep], endpoint: &str) -> String {
    let first = steps.iter().find(|s| matches!(s.status, Status::Failed | Status::Warning));
    shown(&[first.expect("a step that fails").clone()], endpoint)
}

/// A server that does the same to every connection.
async fn server<F>(act: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(act(stream));
        }
    });
    format!("http://127.0.0.1:{port}")
}

/// Answers every request with these bytes, then closes.
async fn scripted(answer: impl Into<Vec<u8>>) -> String {
    let answer = Arc::new(answer.into());
    server(move |mut stream| {
        let answer = Arc::clone(&answer);
        async move {
            let mut buffer = [0; 16 * 1024];
            let _ = stream.read(&mut buffer).await;
            let _ = stream.write_all(&answer).await;
            let _ = stream.shutdown().await;
        }
    })
    .await
}

fn http(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn s3_error(status: &str, headers: &str, code: &str, message: &str, more: &str) -> String {
    let body = format!(
        "<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"
    );
    scripted(http(status, &format!("content-type: application/xml\r\n{headers}"), &body)).await
}

const BOUND: &[(&str, &str)] = &[("BUCKET", "lake"), ("PREFIX", "raw/")];

#[tokio::test]
async fn each_refusal_of_a_service_is_told_apart() {
    let denied = "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: s3:ListBucket on resource: &quot;arn:aws:s3:::lake&quot; because no identity-based policy allows it";
    let servers = [
        s3_error("403 Forbidden", "", "InvalidAccessKeyId", "no such key", "").await,
        s3_error("403 Forbidden", "", "SignatureDoesNotMatch", "no match", "").await,
        s3_error("400 Bad Request", "", "ExpiredToken", "expired", "").await,
        s3_error("400 Bad Request", "", "InvalidToken", "malformed", "").await,
        s3_error("403 Forbidden", "", "AccessDenied", denied, "").await,
        s3_error("403 Forbidden", "", "AccessDenied", "Access Denied.", "").await,
        s3_error("404 Not Found", "", "NoSuchBucket", "none", "").await,
        s3_error(
            "400 Bad Request",
            "",
            "AuthorizationHeaderMalformed",
            "wrong",
            "<Region>eu-west-1</Region>",
        )
        .await,
        s3_error("403 Forbidden", "", "RequestTimeTooSkewed", "skew", "").await,
        s3_error(
            "403 Forbidden",
            "date: Mon, 05 Jan 2099 10:00:00 GMT\r\n",
            "SignatureDoesNotMatch",
            "no match",
            "",
        )
        .await,
        s3_error("400 Bad Request", "", "KMS.NotFoundException", "no such key", "").await,
        s3_error("400 Bad Request", "", "SomethingElse", "who knows", "").await,
    ];
    let mut text = String::new();
    for endpoint in servers {
        let steps = probe_s3(&store(&endpoint, BOUND), false).await;
        text.push_str(&failure(&steps, &endpoint));
    }
    // How far the clock is off depends on the day.
    insta::with_settings!({filters => vec![(r"\d+ h( \d+ min)? behind", "N h behind")]}, {
        insta::assert_snapshot!(text);
    });
}

#[tokio::test]
async fn a_busy_service_is_told_apart() {
    let endpoint = s3_error("503 Slow Down", "", "SlowDown", "reduce", "").await;
    let limits = Limits {
        step: Duration::from_secs(20),
        total: Duration::from_secs(25),
        ..Limits::default()
    };
    let steps = probe_within(&store(&endpoint, BOUND), false, limits).await;
    insta::assert_snapshot!(failure(&steps, &endpoint));
}

#[tokio::test]
async fn each_way_not_to_be_s3_is_told_apart() {
    let page =
        http("200 OK", "content-type: text/html\r\n", "<!doctype html><title>Console</title>");
    let gateway = http("502 Bad Gateway", "content-type: text/html\r\n", "<html>nginx</html>");
    let nginx = http(
        "400 Bad Request",
        "content-type: text/html\r\n",
        "<html>The plain HTTP request was sent to HTTPS port</html>",
    );
    let go = http("400 Bad Request", "", "Client sent an HTTP request to an HTTPS server.\n");
    // A TLS alert: unexpected message.
    let alert = vec![0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x0a];
    let servers = [
        scripted(page.clone()).await,
        scripted(http("200 OK", "content-type: application/json\r\n", "{\"ok\": true}")).await,
        scripted(http("404 Not Found", "content-type: text/html\r\n", "<html>not here</html>"))
            .await,
        scripted(gateway).await,
        scripted(nginx).await,
        scripted(go).await,
        scripted(alert).await,
        scripted(Vec::new()).await,
        scripted(http("200 OK", "", "")).await,
        scripted(http("404 Not Found", "", "")).await,
        scripted(page).await.replace("http://", "https://"),
    ];
    let mut text = String::new();
    for (number, endpoint) in servers.into_iter().enumerate() {
        let _ = writeln!(text, "{number}");
        for options in [&[][..], BOUND] {
            let steps = probe_s3(&store(&endpoint, options), false).await;
            assert!(steps.iter().any(|step| step.status == Status::Failed && step.required));
            let line = failure(&steps, &endpoint);
            if !text.ends_with(&line) {
                text.push_str(&line);
            }
        }
    }
    insta::assert_snapshot!(text);
}

#[tokio::test]
async fn an_address_without_a_service_is_told_apart() {
    // It is held, so that nobody else gets it, and nobody listens.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused = format!("http://{}", socket.local_addr().unwrap());
    let steps = probe_s3(&store(&refused, &[]), true).await;
    insta::assert_snapshot!(shown(&steps, &refused));
    let unknown = "https://nonexistent.invalid";
    let steps = probe_s3(&store(unknown, &[]), false).await;
    insta::assert_snapshot!("unknown_host", failure(&steps, unknown));
    let proxied = store("https://s3.example.com", &[("PROXY", &refused)]);
    let secrets = Secrets {
        access_key_id: Some(ID.into()),
        secret_access_key: Some("x".into()),
        proxy: Some(refused.as_str().into()),
        ..Secrets::default()
    };
    let proxied = S3Store::open(
        proxied.name().clone(),
        proxied.spec().clone(),
        secrets,
        Arc::new(ForgetfulRegions),
    )
    .unwrap();
    let steps = probe_s3(&proxied, false).await;
    insta::assert_snapshot!("proxy", failure(&steps, &refused));
}

/// Accepts, reads, says nothing, or one byte a second.
async fn slow(drip: bool) -> String {
    server(move |mut stream| async move {
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n".iter().cycle() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if drip && stream.write_all(&[*byte]).await.is_err() {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_service_that_does_not_answer_ends_in_time() {
    let (mute, drip) = (slow(false).await, slow(true).await);
    // Documentation addresses (RFC 5737): packets go nowhere.
    let hole = "http://192.0.2.1:9000".to_owned();
    let began = Instant::now();
    let (a, b, c) = (store(&mute, BOUND), store(&drip, BOUND), store(&hole, BOUND));
    let (a, b, c) = tokio::join!(probe_s3(&a, true), probe_s3(&b, true), probe_s3(&c, true));
    assert!(began.elapsed() < Duration::from_mins(1), "took {:?}", began.elapsed());
    insta::assert_snapshot!(shown(&a, &mute));
    insta::assert_snapshot!("one_byte_a_second", failure(&b, &drip));
    // Where the network says so at once it is `no route` or refused instead.
    assert!(c.iter().any(|step| step.step == "reach endpoint" && step.status == Status::Failed));
}

#[tokio::test]
async fn the_time_of_the_whole_is_bounded_whatever_the_steps_take() {
    let listing = "<?xml version=\"1.0\"?><ListBucketResult></ListBucketResult>";
    let answer = http("200 OK", "content-type: application/xml\r\n", listing);
    let endpoint = server(move |mut stream| {
        let answer = answer.clone();
        async move {
            let mut buffer = [0; 4096];
            let _ = stream.read(&mut buffer).await;
            tokio::time::sleep(Duration::from_millis(700)).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await;
    let limits = Limits {
        step: Duration::from_secs(3),
        total: Duration::from_millis(1600),
        cleanup: Duration::from_millis(300),
        connect: Duration::from_millis(200),
    };
    let began = Instant::now();
    let steps = probe_within(&store(&endpoint, BOUND), true, limits).await;
    assert!(began.elapsed() < Duration::from_mins(1), "took {:?}", began.elapsed());
    // On a busy machine the first step may have had all of it.
    let late = steps.iter().filter(|step| {
        step.message.contains("time for the whole test")
            || step.step == "reach endpoint" && step.status == Status::Failed
    });
    assert!(late.count() > 0, "{}", shown(&steps, &endpoint));
}

#[tokio::test]
async fn what_the_causes_say_below_http_is_told_apart() {
    let session = Session::new(store("https://s3.example.com:9443", &[]), Limits::default());
    let scene = session.scene(Verb::ListBuckets, None, "");
    let causes = [
        "client error (Connect): invalid peer certificate: UnknownIssuer",
        "client error (Connect): invalid peer certificate: certificate not valid for name \"s3.example.com\"",
        "client error (Connect): invalid peer certificate: certificate expired",
        "client error (Connect): tcp connect error: No route to host (os error 113)",
        "client error (SendRequest): connection closed before message completed",
        "something nobody has seen",
    ];
    let mut text = String::new();
    for cause in causes {
        let error = Error::new(ErrorCode::ConnectionUnreachable, "unreachable")
            .source(std::io::Error::other(cause));
        let found = diagnose::diagnose_error(&error, &scene);
        let _ = writeln!(text, "{}\n    hint: {}", found.message, found.hint.unwrap_or_default());
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_defaults_stay_under_thirty_seconds() {
    let limits = Limits::default();
    assert!(limits.total + limits.cleanup < Duration::from_secs(30));
}

#[test]
fn a_row_is_the_contract() {
    let step = ProbeStep {
        step: "list objects".into(),
        permission: "s3:ListBucket".into(),
        status: Status::Warning,
        milliseconds: 7,
        message: "m".into(),
        hint: None,
        required: true,
    };
    assert_eq!(
        serde_json::to_string(&step).unwrap(),
        r#"{"step":"list objects","permission":"s3:ListBucket","status":"warning","milliseconds":7,"message":"m","hint":null}"#
    );
}

#[test]
fn an_access_key_id_shows_its_last_four_characters() {
    assert_eq!(masked(ID), "****0042");
    assert_eq!(masked("short"), "****");
}

mod local {
    use super::*;
    use windlass_types::LocalSpec;

    fn spec(root: std::path::PathBuf) -> LocalSpec {
        LocalSpec { root, read_only: false, case_sensitive: None }
    }

    async fn rows(spec: &LocalSpec, write: bool) -> String {
        let root = spec.root.display().to_string();
        shown(&probe_local(spec, write).await, "").replace(&root, "ROOT")
    }

    #[tokio::test]
    async fn a_folder_is_found_listed_and_written_and_stays_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let spec = spec(folder.path().to_owned());
        insta::assert_snapshot!(rows(&spec, true).await);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let spec = LocalSpec { read_only: true, ..spec };
        insta::assert_snapshot!("local_read_only", rows(&spec, true).await);
    }

    #[tokio::test]
    async fn what_is_no_folder_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let missing = spec(folder.path().join("nothing"));
        let file = spec(folder.path().join("file"));
        std::fs::write(&file.root, b"x").unwrap();
        insta::assert_snapshot!(format!(
            "{}\n{}",
            rows(&missing, true).await,
            rows(&file, false).await
        ));
    }
}

mod rights;
