//! `serve` and `--server`: the same commands, the same answers.

mod common;

use common::{Home, Server};
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

#[test]
fn only_loopback_is_served() {
    let home = Home::new();
    assert!(home.run(&["serve", "--listen", "0.0.0.0:0"]).refused(1).contains("server.listen"));
}
