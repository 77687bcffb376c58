//! What somebody meets who uses Windlass for the first time: slips, odd keys, refusals.

mod common;

use common::Home;
use std::process::{Child, Stdio};
use windlass_testkit::{SeaweedFs, TestS3};

struct Place {
    s3: TestS3,
    home: Home,
}

impl Place {
    /// A service with the bucket `lake`; `sl` is bound to it, `sw` to nothing.
    async fn new() -> Self {
        let s3 = TestS3::start().await;
        s3.state().create_bucket("lake");
        let (id, secret) = s3.admin();
        let home = Home::new();
        home.connect("sl", &s3.endpoint(), &id, &secret, "BUCKET = 'lake'").good();
        home.connect("sw", &s3.endpoint(), &id, &secret, "").good();
        Self { s3, home }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slash_before_a_key_is_part_of_it_and_nothing_else_is_touched() {
    let Place { s3, home } = Place::new().await;
    for key in ["a.txt", "/a.txt", "a/b", "a//b"] {
        s3.state().put("lake", key, key.to_owned());
    }
    assert_eq!(home.run(&["cat", "sl:/a.txt"]).good(), "/a.txt");
    assert_eq!(home.run(&["cat", "sw:lake//a.txt"]).good(), "/a.txt");
    assert_eq!(home.run(&["cat", "sw:/lake/a.txt"]).good(), "a.txt");
    // Every path that `ls` prints is what to type after the colon.
    for connection in ["sl", "sw"] {
        let place = if connection == "sl" { "sl:" } else { "sw:lake" };
        for row in home.run(&["-o", "json", "ls", "-r", place]).json().as_array().unwrap() {
            let typed = format!("{connection}:{}", row["path"].as_str().unwrap());
            assert_eq!(home.run(&["cat", &typed]).good(), row["key"].as_str().unwrap());
        }
    }
    home.run(&["rm", "sl:/a.txt"]).good();
    assert_eq!(s3.state().keys("lake"), ["a.txt", "a//b", "a/b"]);
    // Nothing is below `/`, and so nothing goes.
    home.run(&["rm", "-r", "--yes", "sl:/"]).refused(1);
    assert_eq!(s3.state().keys("lake").len(), 3);
    let (id, secret) = s3.admin();
    home.connect("sp", &s3.endpoint(), &id, &secret, "BUCKET = 'lake' PREFIX = 'a'").good();
    home.run(&["rm", "sp:/b"]).good();
    assert_eq!(s3.state().keys("lake"), ["a.txt", "a/b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_told_from_a_missing_object() {
    let Place { home, s3: _s3 } = Place::new().await;
    for arguments in [
        vec!["stat", "sw:nolake/a"],
        vec!["cat", "sw:nolake/a"],
        vec!["ls", "sw:nolake/"],
        vec!["sql", "-c", "SELECT * FROM sw.\"nolake/a.csv\""],
    ] {
        let text = home.run(&arguments).refused(1);
        assert!(text.contains("error[bucket.not_found]"), "{arguments:?}: {text}");
    }
    assert!(home.run(&["stat", "sw:lake/a"]).refused(1).contains("object.not_found"));
    // A statement that fails before its first row prints nothing on standard output.
    let output = home.run(&["-o", "json", "sql", "-c", "LIST sw.\"nolake/\""]);
    assert_eq!((output.code, output.stdout.as_str()), (1, ""));
}

#[test]
fn slips_are_refused_at_once_with_what_to_do() {
    let mut home = Home::new();
    let mut all = String::new();
    for statement in [
        "CREATE S3 CONNECTION x BUCKET = ''",
        "CREATE S3 CONNECTION x BUCKET = 'lake' PREFIX = ''",
        "CREATE S3 CONNECTION x BUCKET = 'lake' PREFIX = 'a/../b'",
        "CREATE S3 CONNECTION x ENDPOINT = 'https://h.example?key=canary-4711'",
        "CREATE S3 CONNECTION x ENDPOINT = 'http://h.example?key=canary-4711'",
        "CREATE S3 CONNECTION x BUCKET = 'arn:aws:s3:eu-west-1:123456789012:accesspoint/a' ENDPOINT = 'https://h.example'",
        "CREATE S3 CONNECTION x AWS_ACCESS_KEY_ID = 'AKIA' AWS_SECRET_ACCESS_KEY = 'canary 4711'",
        "ALTER S3 CONNECTION s3 RESET NOPE",
        "ALTER S3 CONNECTION s3 RESET REGOIN",
        "CREATE FILE TABLE t ON s3 LOCATION = 's3://b00/x/' CONTENT_TYPE = (TYPE = CSV, DELIMITER = ';;')",
        "DROP SCHEMA main",
        "DROP FABRIC default",
        "DROP FABRIC nowhere",
        "USE FABRIC nowhere",
        "SELECT",
        "SELECT 1 FORM x",
        "SELECT a FROM b WERE c = 1",
    ] {
        let text = home.sql(statement).refused(1);
        assert!(!text.contains("4711") && text.contains("\nhint: "), "{statement}: {text}");
        all.extend(["> ", statement, "\n", &text, "\n"]);
    }
    insta::assert_snapshot!(all);
    assert!(home.run(&["ls", "--limit", "-1", "s3:"]).refused(1).contains("error[usage.invalid]"));
    // What is no URL makes no state, and no file.
    home.set("WINDLASS_DATABASE_URL", "nonsense");
    let text = home.sql("SHOW CONNECTIONS").refused(2);
    assert!(text.contains("postgres://") && text.contains("sqlite:"), "{text}");
    assert!(!home.path().join("nonsense").exists());
}

#[test]
fn a_fabric_is_dropped_only_when_it_is_empty() {
    let home = Home::new();
    home.sql("CREATE FABRIC staging").good();
    let text = home
        .sql("USE FABRIC staging; CREATE SECRET k = 'value'; USE FABRIC default; DROP FABRIC staging")
        .refused(1);
    assert!(text.contains("fabric.in_use") && text.contains("1 secret"), "{text}");
    assert!(home.sql("USE FABRIC staging; DROP FABRIC staging").refused(1).contains("in use"));
    home.sql("USE FABRIC staging; DROP SECRET k; USE FABRIC default; DROP FABRIC staging").good();
    home.sql("DROP FABRIC IF EXISTS staging").good();
    assert_eq!(home.rows("SHOW FABRICS").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_are_printed_so_that_they_can_be_run() {
    let Place { home, s3 } = Place::new().await;
    s3.state().put("lake", "t.csv", "n\n1\n");
    let text = home.run(&["connection", "show", "sl", "--sql"]).good();
    assert!(text.starts_with("CREATE S3 CONNECTION sl\n") && text.contains("\n  BUCKET = 'lake'"));
    assert!(!text.contains("\\n") && !text.contains('│'), "{text}");
    let plan = home.sql("EXPLAIN SELECT n FROM sl.\"t.csv\"").good();
    assert!(plan.starts_with("logical_plan:\n") && !plan.contains("\\n"), "{plan}");
    // Only tables of one's own are shown, and a table says where its files are.
    assert!(home.rows("SHOW TABLES").is_empty());
    home.sql("CREATE FILE TABLE t ON sl LOCATION = 't.csv'").good();
    let tables = home.rows("SHOW TABLES");
    assert_eq!((tables.len(), tables[0]["table_name"].as_str()), (1, Some("t")));
    assert_eq!(home.rows("SHOW FILE TABLES")[0]["location"], "s3://lake/t.csv");
    assert_eq!(home.rows("SELECT n FROM t")[0]["n"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_whole_is_an_error_and_what_fails_in_part_is_not() {
    let Place { home, s3 } = Place::new().await;
    for n in 0..3 {
        s3.state().put("lake", &format!("in/{n}"), "x");
    }
    s3.state().create_bucket("other");
    let (id, secret) = s3.admin();
    home.connect("ro", &s3.endpoint(), &id, &secret, "BUCKET = 'lake' READ_ONLY = TRUE").good();
    let text = home.run(&["mv", "ro:in/", home.scratch("out").to_str().unwrap()]);
    assert_eq!(text.code, 1, "{text:?}");
    assert!(text.stderr.contains("error[") && text.stderr.contains("hint: "), "{}", text.stderr);
    // A stream is one object.
    let text = home.run(&["cp", "sl:in/", "-"]).refused(1);
    assert!(text.contains("is a folder") && text.contains("hint: "), "{text}");
    for (arguments, word) in [
        (vec!["rb", "sl:"], ""),
        (vec!["mb", "sw:"], "names no bucket"),
        (vec!["mb", "sl:foo"], "bound to the bucket `lake`"),
    ] {
        let text = home.run(&arguments).refused(1);
        assert!(text.contains(word) && text.contains("hint: "), "{arguments:?}: {text}");
    }
    let folder = home.scratch("disk");
    std::fs::create_dir_all(&folder).unwrap();
    home.sql(&format!("CREATE LOCAL CONNECTION loc ROOT = '{}'", folder.display())).good();
    assert!(home.run(&["mb", "loc:foo"]).refused(1).contains("has no buckets"));
    assert!(home.run(&["ls", "loc:/"]).refused(1).contains("leave the first `/` out"));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_were_never_ended_are_listed_and_given_up() {
    let Place { home, s3 } = Place::new().await;
    // A stream that breaks off, as when its process is killed.
    let mut child = home
        .command()
        .args(["cp", "-", "sl:in/big.bin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let feeding = std::thread::spawn(move || {
        use std::io::Write as _;
        let chunk = vec![7_u8; 1 << 20];
        for _ in 0..200 {
            if input.write_all(&chunk).is_err() {
                break;
            }
        }
        input
    });
    wait_for(&mut child, || !s3.state().uploads("lake").is_empty());
    child.kill().unwrap();
    child.wait().unwrap();
    drop(feeding.join());
    let rows = home.run(&["-o", "json", "uploads", "sl:"]).json();
    assert_eq!(
        (rows[0]["path"].as_str(), rows[0]["status"].as_str()),
        (Some("in/big.bin"), Some("open"))
    );
    assert_eq!(home.run(&["-o", "json", "uploads", "sl:elsewhere/"]).json(), serde_json::json!([]));
    // One that is young may still be somebody's.
    let text = home.run(&["uploads", "sl:in/", "--abort"]);
    assert!(text.stderr.contains("1 left as too young"), "{}", text.stderr);
    assert_eq!(s3.state().uploads("lake").len(), 1);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    home.run(&["uploads", "sl:in/", "--abort", "--older-than", "1s"]).good();
    assert!(s3.state().uploads("lake").is_empty());
}

fn wait_for(child: &mut Child, done: impl Fn() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_mins(4);
    while !done() && child.try_wait().unwrap().is_none() {
        assert!(std::time::Instant::now() < end, "it never came so far");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
}

#[test]
fn no_credentials_anywhere_says_three_ways_to_give_them() {
    let home = Home::new();
    let text = home.run(&["ls", "s3://some-bucket/"]).stderr;
    assert!(text.contains("no credentials were found"), "{text}");
    for way in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "aws sso login"] {
        assert!(text.contains(way), "{way}: {text}");
    }
}

#[test]
fn a_lost_key_is_not_taken_for_one_that_was_never_made() {
    let home = Home::new();
    home.sql("CREATE SECRET k = 'value'").good();
    std::fs::remove_file(home.path().join("home/key")).unwrap();
    let checks = home.run(&["-o", "json", "doctor"]).stdout;
    assert!(checks.contains("sealed values need it") && !checks.contains("no master key yet"));
}

/// SeaweedFS removes a bucket with what is in it, answers for every folder, and has one more port.
#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_loses_nothing_and_is_told_from_its_other_ports() {
    let weed = SeaweedFs::start().await;
    let client = weed.client();
    client.create_bucket("full", "us-east-1").await;
    client.create_bucket("empty", "us-east-1").await;
    client.put("full", "folder/a.txt", "x").await;
    let home = Home::new();
    let keys = weed.full();
    home.connect("w", &weed.endpoint(), &keys.access_key_id, &keys.secret_access_key, "").good();
    let text = home.run(&["rb", "w:full"]).refused(1);
    assert!(text.contains("error[bucket.conflict]") && text.contains("hint: "), "{text}");
    assert_eq!(home.run(&["cat", "w:full/folder/a.txt"]).good(), "x");
    home.run(&["rb", "w:empty"]).good();
    let text = home.run(&["cat", "w:full/folder/"]).refused(1);
    assert!(text.contains("object.not_found"), "{text}");
    let rows = home.rows("TEST CONNECTION w WITH WRITE");
    let region = rows.iter().find(|row| row["step"] == "bucket region").unwrap();
    assert_eq!(region["status"], "passed", "{region}");
    // The steps that write say how they can be tried.
    let put = rows.iter().find(|row| row["step"] == "put an object").unwrap();
    assert!(put["hint"].as_str().unwrap().contains("VERIFY_PATH"), "{put}");
}

/// Any service that answers 200 and is no S3.
#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_no_s3_is_called_a_wrong_endpoint() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            let mut buffer = [0; 8192];
            let _ = stream.read(&mut buffer);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-amz-request-id: 1\r\ncontent-length: 15\r\nconnection: close\r\n\r\n{\"Entries\": []}");
        }
    });
    let home = Home::new();
    for more in ["", "BUCKET = 'lake'"] {
        let text = home
            .connect("x", &format!("http://127.0.0.1:{port}"), "AKIAEXAMPLE", "secret-value", more)
            .refused(1);
        assert!(text.contains("reach endpoint") && text.contains("wrong endpoint"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_of_the_api_has_the_documented_body() {
    let Place { home, s3: _s3 } = Place::new().await;
    let mut child = home
        .command()
        .args(["-o", "json", "serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(child.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let url = serde_json::from_str::<serde_json::Value>(&line).unwrap()["listening"]
        .as_str()
        .unwrap()
        .to_owned();
    let client = reqwest::Client::new();
    let api = |path: &str| format!("{url}/api/v1{path}");
    let json = "application/json";
    let asked = [
        (client.get(api("/nothing")), 404),
        (client.get(format!("{url}/nothing")), 404),
        (client.get(api("/sql")), 405),
        (client.post(api("/sql")).body("{}"), 415),
        (client.post(api("/sql")).header("content-type", json).body("{"), 400),
        (client.post(api("/sql")).header("content-type", json).body("{}"), 422),
        (client.post(api("/sql")).json(&serde_json::json!({ "sql": "x", "fabrik": "y" })), 422),
        (client.get(api("/connections/sw/entries?bukket=lake")), 400),
        (client.get(api("/connections/sw/stat?bucket=lake")), 400),
        (client.get(api("/connections/sw/entries?recursive=perhaps")), 400),
        (client.get(api("/health?x=1")), 400),
    ];
    for (request, status) in asked {
        let response = request.send().await.unwrap();
        let what = response.url().to_string();
        assert_eq!(response.status().as_u16(), status, "{what}");
        let body: serde_json::Value = response.json().await.unwrap();
        let error = &body["error"];
        assert!(error["code"].is_string() && error["message"].is_string(), "{what}: {body}");
        assert!(error["causes"].is_array() && error["hint"].is_string(), "{what}: {body}");
    }
    let listed = client.get(api("/connections/sw/entries?bucket=lake&fabric=default"));
    assert!(listed.send().await.unwrap().status().is_success());
    let document: serde_json::Value =
        client.get(api("/openapi.json")).send().await.unwrap().json().await.unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let schema = &operation["responses"]["default"]["content"][json]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/ErrorAnswer", "{method} {path}");
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
}
