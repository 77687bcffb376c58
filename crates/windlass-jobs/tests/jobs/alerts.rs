//! Alerts, against an HTTP sink and an SMTP sink of the test's own.

use crate::support::{Bench, name, spec, start_time};
use hmac::{KeyInit as _, Mac as _};
use secrecy::SecretString;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use windlass_jobs::{AlertSettings, SecretSource, Smtp, SmtpTls, Trigger};
use windlass_state::{Delivery, SecretOrigin};
use windlass_types::{Error, ErrorCode, FabricId, Name, Result, RunId};

const CANARY: &str = "canary-9d1f-secret";

/// Takes requests; answers with the statuses given, then 200.
#[derive(Clone)]
struct HttpSink {
    port: u16,
    taken: Arc<Mutex<Vec<(String, String)>>>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl HttpSink {
    async fn start(answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = Self {
            port: listener.local_addr().unwrap().port(),
            taken: Arc::default(),
            answers: Arc::new(Mutex::new(answers.iter().rev().copied().collect())),
        };
        let served = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream = BufReader::new(stream);
                let (mut head, mut length) = (String::new(), 0);
                loop {
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    if line.trim().is_empty() {
                        break;
                    }
                    let lower = line.to_ascii_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                    head.push_str(&lower);
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                served.taken.lock().unwrap().push((head, String::from_utf8(body).unwrap()));
                let status = served.answers.lock().unwrap().pop().unwrap_or(200);
                let answer = format!(
                    "HTTP/1.1 {status} X\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                );
                stream.get_mut().write_all(answer.as_bytes()).await.unwrap();
            }
        });
        sink
    }

    fn events(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        taken
            .iter()
            .map(|(_, body)| {
                let body: Value = serde_json::from_str(body).unwrap();
                format!("{} {}", body["event"].as_str().unwrap(), body["state"].as_str().unwrap())
            })
            .collect()
    }
}

/// Takes mails; refuses the first recipient that holds `refused`.
async fn smtp_sink() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mails: Arc<Mutex<Vec<String>>> = Arc::default();
    let taken = mails.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            stream.get_mut().write_all(b"220 sink\r\n").await.unwrap();
            let mut mail = String::new();
            let mut in_data = false;
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
                    break;
                }
                let answer = if in_data {
                    let done = line.trim_end() == ".";
                    in_data = !done;
                    if !done {
                        mail.push_str(&line);
                        continue;
                    }
                    taken.lock().unwrap().push(std::mem::take(&mut mail));
                    "250 taken\r\n"
                } else if line.starts_with("EHLO") {
                    "250-sink\r\n250 AUTH PLAIN LOGIN\r\n"
                } else if line.starts_with("AUTH") {
                    mail.push_str("AUTH\n");
                    "235 good\r\n"
                } else if line.contains("refused") {
                    "550 no such user\r\n"
                } else if line.starts_with("DATA") {
                    in_data = true;
                    "354 go on\r\n"
                } else {
                    if line.starts_with("RCPT") {
                        mail.push_str(&line);
                    }
                    "250 well\r\n"
                };
                if stream.get_mut().write_all(answer.as_bytes()).await.is_err() {
                    break;
                }
            }
        }
    });
    (port, mails)
}

struct Secrets(String);

#[async_trait::async_trait]
impl SecretSource for Secrets {
    async fn secret(&self, _: FabricId, name: &Name) -> Result<SecretString> {
        match name.as_str() {
            "hook" => Ok(SecretString::from(self.0.clone())),
            "signing" => Ok(SecretString::from("key".to_owned())),
            _ => Err(Error::new(ErrorCode::SecretNotFound, format!("no secret {name}"))),
        }
    }
}

async fn bench(url: String, smtp: Option<u16>) -> (Bench, CancellationToken) {
    bench_with(url, smtp, SmtpTls::None).await
}

async fn bench_with(url: String, smtp: Option<u16>, tls: SmtpTls) -> (Bench, CancellationToken) {
    let bench = unserved(url, smtp, tls).await;
    let cancel = CancellationToken::new();
    let (scheduler, token) = (bench.scheduler.clone(), cancel.clone());
    tokio::spawn(async move { scheduler.run_until(token).await });
    (bench, cancel)
}

/// The same without a process that serves.
async fn unserved(url: String, smtp: Option<u16>, tls: SmtpTls) -> Bench {
    let bench = Bench::new(|options| {
        options.alerts = AlertSettings {
            smtp: smtp.map(|port| Smtp {
                host: "127.0.0.1".to_owned(),
                port,
                tls,
                login: Some(("me".to_owned(), SecretString::from(CANARY.to_owned()))),
                from: "Windlass <windlass@example.com>".to_owned(),
            }),
            base_url: Some("https://windlass.example.com/".to_owned()),
            secrets: Some(Arc::new(Secrets(url))),
        };
    })
    .await;
    for secret in ["hook", "signing", "nothing"] {
        let value = SecretString::from("elsewhere".to_owned());
        let (name, origin) = (name(secret), SecretOrigin::Value);
        bench.store.create_secret(bench.fabric, &name, &value, origin, start_time()).await.unwrap();
    }
    bench
}

async fn run(bench: &Bench, job: &str) -> RunId {
    let run = bench.scheduler.run_now(bench.fabric, &name(job), None).await.unwrap();
    bench.until(async || bench.store.run(run).await.unwrap().state.is_final().then_some(())).await;
    run
}

/// Waits until every alert of a run is delivered or given up.
async fn settled(bench: &Bench, run: RunId) -> Vec<(Delivery, u32, Option<String>)> {
    bench
        .until(async || {
            let alerts = bench.store.alerts(run).await.unwrap();
            alerts
                .iter()
                .all(|alert| alert.state != Delivery::Pending)
                .then(|| alerts.iter().map(|a| (a.state, a.attempts, a.error.clone())).collect())
        })
        .await
}

async fn create(bench: &Bench, job: &str, doing: &str, alerts: Value) {
    let mut spec = spec(job, doing, Trigger::Manual);
    spec.policy.retries = 0;
    spec.alerts = serde_json::from_value(alerts).unwrap();
    bench.scheduler.create_job(bench.fabric, spec).await.unwrap();
}

#[tokio::test]
async fn a_webhook_is_told_signed_and_told_again_until_it_listens() {
    let sink = HttpSink::start(&[503, 429]).await;
    let url = format!("http://127.0.0.1:{}/hook?token={CANARY}", sink.port);
    let (bench, cancel) = bench(url, None).await;
    let rule = json!([{
        "on": ["failed", "partial", "recovered"], "to": "webhook",
        "url": { "secret": "hook" }, "secret": "signing",
    }]);
    create(&bench, "j", "end", rule).await;
    bench.told.fail.lock().unwrap().insert("j".to_owned(), vec![ErrorCode::ConnectionDenied]);
    let failed = run(&bench, "j").await;
    assert_eq!(settled(&bench, failed).await, [(Delivery::Sent, 3, None)]);
    let recovered = run(&bench, "j").await;
    assert_eq!(settled(&bench, recovered).await, [(Delivery::Sent, 1, None)]);
    let well = run(&bench, "j").await;
    assert!(settled(&bench, well).await.is_empty(), "success was not asked for");
    assert_eq!(
        sink.events(),
        ["failed failed", "failed failed", "failed failed", "recovered succeeded"]
    );
    let (head, body) = sink.taken.lock().unwrap()[0].clone();
    assert!(head.starts_with(&format!("post /hook?token={CANARY} ")), "{head}");
    assert!(head.contains(&format!("x-windlass-delivery: {failed}.0")), "{head}");
    // The signature is what the guide says it is.
    let header = |name: &str| {
        let line = head.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim_start_matches(':').trim().to_owned()
    };
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(b"key").unwrap();
    mac.update(format!("{}.{body}", header("x-windlass-timestamp")).as_bytes());
    let mut expected = "sha256=".to_owned();
    for byte in mac.finalize().into_bytes() {
        write!(expected, "{byte:02x}").unwrap();
    }
    assert_eq!(header("x-windlass-signature"), expected);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["url"], format!("https://windlass.example.com/api/v1/runs/{failed}"));
    assert_eq!(body["error"]["code"], "connection.denied");
    assert_eq!((&body["job"], &body["fabric"]), (&json!("j"), &json!("default")));
    // The store knows the secrets by name only.
    let stored = format!(
        "{:?} {:?}",
        bench.store.alerts(failed).await,
        bench.store.job(bench.fabric, &name("j")).await
    );
    assert!(!stored.contains(CANARY), "{stored}");
    cancel.cancel();
}

#[tokio::test]
async fn a_webhook_that_refuses_or_points_elsewhere_is_given_up() {
    let sink = HttpSink::start(&[302, 404]).await;
    let url = format!("http://localhost:{}/hook?token={CANARY}", sink.port);
    let (bench, cancel) = bench(url, None).await;
    let hook =
        |secret: &str| json!([{ "on": ["success"], "to": "webhook", "url": { "secret": secret } }]);
    create(&bench, "refused", "end", hook("hook")).await;
    create(&bench, "unknown", "end", hook("nothing")).await;
    let first = run(&bench, "refused").await;
    let alerts = settled(&bench, first).await;
    let error = alerts[0].2.clone().unwrap();
    // The redirect was not followed; it is tried again, and then refused.
    assert_eq!((alerts[0].0, alerts[0].1), (Delivery::Failed, 2), "{error}");
    assert_eq!(error, "the webhook at `localhost` answered 404");
    let said = bench.store.run_events(first, 0, 99).await.unwrap().pop().unwrap();
    assert_eq!(said.level, windlass_types::Level::Error);
    assert_eq!(said.message, format!("an alert was not delivered: {error}"));
    let second = run(&bench, "unknown").await;
    let alerts = settled(&bench, second).await;
    assert_eq!(alerts, [(Delivery::Failed, 1, Some("no secret nothing".to_owned()))]);
    cancel.cancel();
}

#[tokio::test]
async fn a_mail_says_what_failed_and_how() {
    let (port, mails) = smtp_sink().await;
    let (bench, cancel) = bench(String::new(), Some(port)).await;
    let rule =
        |to: &[&str]| json!([{ "on": ["failed", "partial"], "to": "email", "recipients": to }]);
    create(&bench, "nightly", "partial", rule(&["ops@example.com", "Ada <ada@example.com>"])).await;
    create(&bench, "lost", "partial", rule(&["refused@example.com"])).await;
    let sent = run(&bench, "nightly").await;
    assert_eq!(settled(&bench, sent).await, [(Delivery::Sent, 1, None)]);
    let mail = mails.lock().unwrap()[0].clone();
    assert!(!mail.contains(CANARY) && mail.starts_with("AUTH\n"), "{mail}");
    let shown = mail
        .lines()
        .filter(|line| !line.starts_with("Date:"))
        .map(|line| line.trim_end().replace(&sent.to_string(), "RUN"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut settings = insta::Settings::clone_current();
    settings.add_filter(r"20\d\d-\d\d-\d\dT[0-9:.]+Z", "TIME");
    settings.bind(|| insta::assert_snapshot!(shown));
    let refused = run(&bench, "lost").await;
    let alerts = settled(&bench, refused).await;
    assert_eq!((alerts[0].0, alerts[0].1), (Delivery::Failed, 1));
    assert!(alerts[0].2.as_ref().unwrap().contains("no such user"), "{alerts:?}");
    cancel.cancel();
}

#[tokio::test]
async fn a_mail_that_should_be_protected_is_not_sent_in_the_open() {
    for tls in [SmtpTls::StartTls, SmtpTls::Implicit] {
        let (port, mails) = smtp_sink().await;
        let (bench, cancel) = bench_with(String::new(), Some(port), tls).await;
        let rule = json!([{ "on": ["partial"], "to": "email", "recipients": ["ops@example.com"] }]);
        create(&bench, "j", "partial", rule).await;
        let run = run(&bench, "j").await;
        let error =
            bench.until(async || bench.store.alerts(run).await.unwrap().remove(0).error).await;
        assert!(error.starts_with("the mail server `127.0.0.1` "), "{error}");
        assert!(!error.contains(CANARY), "{error}");
        assert!(mails.lock().unwrap().is_empty());
        cancel.cancel();
    }
}

#[tokio::test]
async fn who_runs_a_job_without_a_server_tells_of_it_and_leaves_what_could_not_be_told() {
    let sink = HttpSink::start(&[503]).await;
    let url = format!("http://127.0.0.1:{}/hook", sink.port);
    let bench = unserved(url, None, SmtpTls::None).await;
    let hook = json!([{ "on": ["success"], "to": "webhook", "url": { "secret": "hook" } }]);
    create(&bench, "j", "end", hook).await;
    let most = std::time::Duration::from_secs(20);
    let run = run(&bench, "j").await;
    assert!(sink.events().is_empty());
    bench.scheduler.deliver(most).await.unwrap();
    let alerts = bench.store.alerts(run).await.unwrap();
    assert_eq!((alerts[0].state, alerts[0].attempts), (Delivery::Pending, 1));
    let said = bench.store.run_events(run, 0, 99).await.unwrap().pop().unwrap();
    assert_eq!(said.level, windlass_types::Level::Warning);
    let why = "an alert is not delivered yet: the webhook at `127.0.0.1` answered 503";
    assert_eq!(said.message, why);
    // Not at once again; but when somebody runs a job later, or serves.
    bench.scheduler.deliver(most).await.unwrap();
    assert_eq!(sink.events().len(), 1);
    bench.clock.advance(std::time::Duration::from_mins(10));
    bench.scheduler.deliver(most).await.unwrap();
    assert_eq!(settled(&bench, run).await, [(Delivery::Sent, 2, None)]);
    assert_eq!(sink.events(), ["success succeeded"; 2]);
}
