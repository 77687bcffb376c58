//! `serve` and `--server`: the same commands, the same answers.

mod common;

use common::{Home, Pg, Server};
use std::time::{Duration, Instant};
use windlass_testkit::TestS3;

#[tokio::test(flavor = "multi_thread")]
async fn every_command_works_through_a_server() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "a.csv", "x,y\n1,2\n");
    s3.state().put("lake", "ünï/b.txt", "bytes");
    let (id, secret) = s3.admin();
    let home = Home::new();
    let server = Server::start(&home);
    let client = Home::new();
    let through = |arguments: &[&str], input: &[u8]| {
        let all = [&["--server", &server.url], arguments].concat();
        client.run_with(&all, input)
    };
    let create = format!(
        "CREATE S3 CONNECTION lake ENDPOINT = '{}' ALLOW_HTTP = TRUE AWS_ACCESS_KEY_ID = '{id}' AWS_SECRET_ACCESS_KEY = '{secret}'",
        s3.endpoint()
    );
    through(&["sql", "-c", "-"], create.as_bytes()).good();
    // Local and remote print the same.
    for arguments in [
        vec!["-o", "json", "sql", "-c", "SELECT * FROM lake.\"lake/a.csv\""],
        vec!["-o", "json", "ls", "-r", "lake:lake/"],
        vec!["ls", "lake:"],
        vec!["cat", "lake:lake/ünï/b.txt"],
        vec!["cat", "--range", "1-2", "lake:lake/ünï/b.txt"],
        vec!["-o", "json", "stat", "lake:lake/a.csv"],
        vec!["policy", "lake", "--for", "read"],
        vec!["-o", "json", "du", "lake:lake/"],
    ] {
        let local = home.run(&arguments).good();
        assert_eq!(through(&arguments, b"").good(), local, "{arguments:?}");
        assert!(!local.is_empty());
    }
    // Errors keep code, causes, hint and exit code.
    for arguments in [
        vec!["cat", "lake:lake/missing"],
        vec!["sql", "-c", "SELECT nope FROM lake.\"lake/a.csv\""],
        vec!["ls", "nowhere:"],
    ] {
        let local = home.run(&arguments);
        let remote = through(&arguments, b"");
        let text =
            |output: common::Output| (output.code, common::without_request_ids(&output.stderr));
        assert_eq!(text(local), text(remote), "{arguments:?}");
    }
    // Bytes of this machine go through the API; copies between connections stay there.
    let big: Vec<u8> = (0..20_000_000u32).map(|n| (n % 251) as u8).collect();
    let file = client.scratch("big.bin");
    std::fs::write(&file, &big).unwrap();
    through(&["cp", file.to_str().unwrap(), "lake:lake/big.bin"], b"").good();
    assert_eq!(s3.state().get("lake", "big.bin").unwrap().as_ref(), big.as_slice());
    through(&["cp", "lake:lake/big.bin", "lake:lake/copy/"], b"").good();
    let back = client.scratch("back.bin");
    through(&["cp", "lake:lake/copy/big.bin", back.to_str().unwrap()], b"").good();
    assert_eq!(std::fs::read(back).unwrap(), big);
    through(&["rm", "-r", "--yes", "lake:lake/copy/"], b"").good();
    // A test that fails exits 1 there too.
    through(&["sql", "-c", "-"], b"CREATE S3 CONNECTION bad ENDPOINT = 'http://127.0.0.1:9' ALLOW_HTTP = TRUE ANONYMOUS = TRUE SKIP_VALIDATION = TRUE").good();
    assert_eq!(through(&["connection", "test", "bad"], b"").code, 1);
    // Files and environment of the server are not the client's to name.
    assert!(
        through(&["sql", "-c", "CREATE SECRET s FROM FILE '/etc/hostname'"], b"")
            .refused(1)
            .contains("secret.source")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_programs_find_json_lines_and_an_openapi_document() {
    let home = Home::new();
    let server = Server::start(&home);
    let http = reqwest::Client::new();
    let document: serde_json::Value = http
        .get(format!("{}/api/v1/openapi.json", server.url))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert!(document["paths"].as_object().unwrap().contains_key("/api/v1/sql"));
    let body = serde_json::json!({ "sql": "SELECT 1 AS a UNION ALL SELECT 2 ORDER BY a" });
    let text = http
        .post(format!("{}/api/v1/sql", server.url))
        .json(&body)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert_eq!(text, "{\"a\":1}\n{\"a\":2}\n");
    let answer = http
        .post(format!("{}/api/v1/sql", server.url))
        .json(&serde_json::json!({ "sql": "SELEC" }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    let error: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(error["error"]["code"], "sql.syntax");
    // A page of another site cannot use it.
    let answer = http
        .get(format!("{}/api/v1/connections", server.url))
        .header("origin", "http://evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
    let answer = http
        .get(format!("{}/api/v1/connections", server.url))
        .header("host", "evil.example")
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_in_the_format_that_is_asked_for_and_failures_show_in_each() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "good.csv", "n,t\n1,\"a,b\"\n2,\n");
    let mut bad = String::from("n\n");
    bad.extend((0..400_000).map(|n| format!("{n}\n")));
    bad.push_str("oops\n");
    s3.state().put("lake", "bad.csv", bad);
    let (id, secret) = s3.admin();
    let home = Home::new();
    home.connect("lake", &s3.endpoint(), &id, &secret, "BUCKET = 'lake'").good();
    let server = Server::start(&home);
    let http = reqwest::Client::new();
    let ask = async |sql: &str, accept: &str, format: Option<&str>| {
        let mut body = serde_json::json!({ "sql": sql });
        if let Some(format) = format {
            body["format"] = format.into();
        }
        let request = http.post(format!("{}/api/v1/sql", server.url)).json(&body);
        request.header("accept", accept).send().await.unwrap()
    };
    let good = "SELECT n, t FROM lake.\"good.csv\" ORDER BY n";
    let answer = ask(good, "text/csv", None).await;
    assert_eq!(answer.headers()["content-type"], "text/csv");
    assert_eq!(answer.text().await.unwrap(), "n,t\n1,\"a,b\"\n2,\n");
    let two = ask("SELECT 1 AS a; SET jit = off; SELECT 2 AS b", "*/*", Some("csv")).await;
    assert_eq!(two.text().await.unwrap(), "a\n1\n\nb\n2\n");
    let bytes = ask(good, "application/vnd.apache.arrow.stream", None).await.bytes().await.unwrap();
    let reader = arrow::ipc::reader::StreamReader::try_new(bytes.as_ref(), None).unwrap();
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
    assert_eq!(ask(good, "image/png", None).await.status(), 400);
    for format in ["jsonl", "csv", "arrow"] {
        // Before the first row it is an error answer.
        let answer = ask("SELECT nope FROM lake.\"good.csv\"", "*/*", Some(format)).await;
        assert_eq!(answer.status(), 400, "{format}");
        assert_eq!(answer.json::<serde_json::Value>().await.unwrap()["error"]["code"], "sql.plan");
        // After it the end of the body tells.
        let mut answer = ask("SELECT n FROM lake.\"bad.csv\"", "*/*", Some(format)).await;
        assert_eq!(answer.status(), 200, "{format}");
        let (mut last, mut cut): (Vec<u8>, _) = (Vec::new(), false);
        loop {
            match answer.chunk().await {
                Ok(Some(chunk)) => last.extend_from_slice(&chunk),
                Ok(None) => break,
                Err(_) => {
                    cut = true;
                    break;
                }
            }
        }
        let last = String::from_utf8_lossy(&last).into_owned();
        match format {
            "jsonl" => {
                let line = last.trim_end().lines().last().unwrap();
                let line: serde_json::Value = serde_json::from_str(line).unwrap();
                assert!(line["error"]["message"].is_string() && !cut, "{line}");
            }
            _ => assert!(cut, "{format}: {last}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_ends_its_statement() {
    let home = Home::new();
    let server = Pg::start(&home, &[]);
    let sql = "SELECT count(*) FROM generate_series(1, 40000000000) a WHERE a.value % 7 = 8";
    let before = server.cpu();
    let request = reqwest::Client::new()
        .post(format!("{}/api/v1/sql", server.url))
        .json(&serde_json::json!({ "sql": sql }));
    let asked = tokio::spawn(request.send());
    let until = Instant::now() + Duration::from_mins(4);
    while server.cpu() < before + 20 {
        assert!(Instant::now() < until && !asked.is_finished(), "the statement does not run");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    asked.abort();
    loop {
        let before = server.cpu();
        tokio::time::sleep(Duration::from_millis(700)).await;
        if server.cpu() - before < 10 {
            break;
        }
        assert!(Instant::now() < until, "the statement still runs");
    }
}

#[test]
fn only_loopback_is_served() {
    let home = Home::new();
    assert!(home.run(&["serve", "--listen", "0.0.0.0:0"]).refused(1).contains("server.listen"));
}
