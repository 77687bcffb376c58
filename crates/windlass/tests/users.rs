//! What users of other tools look for: versions and undelete, checks with a report, completion,
//! `s3://` without any set-up.

mod common;

use common::{Home, Output, Server};
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};
use windlass_testkit::{BucketOptions, Moto, TestS3};

fn rows(output: Output) -> Vec<Value> {
    output.json().as_array().unwrap().clone()
}

#[track_caller]
fn shown(home: &Home, arguments: &[&str]) -> Vec<String> {
    let all = [&["-o", "json", "ls", "-r", "--versions"], arguments].concat();
    let mut told = Vec::new();
    for row in rows(home.run(&all)) {
        let latest = if row["latest"] == true { " latest" } else { "" };
        let marker = if row["delete_marker"] == true { " deleted" } else { "" };
        told.push(format!("{} {}{latest}{marker}", row["key"].as_str().unwrap(), row["size"]));
    }
    told
}

/// The whole journey of a versioned bucket, which is the same on every service.
fn journey(home: &Home, at: &str, on: &[&str]) {
    let run = |arguments: &[&str]| home.run(&[on, arguments].concat());
    let write = |key: &str, text: &str| {
        home.run_with(&[on, &["cp", "-", &format!("{at}{key}")]].concat(), text.as_bytes()).good();
    };
    let place = |key: &str| format!("{at}{key}");
    write("in/a.txt", "first");
    write("in/a.txt", "second!");
    write("in/b.txt", "b");
    write("in/d/c d.txt", "c");
    write("in/kept.txt", "kept");
    run(&["rm", &place("in/a.txt")]).good();
    run(&["rm", "-r", "--yes", &place("in/d/")]).good();
    run(&["rm", &place("in/b.txt")]).good();
    write("in/b.txt", "again");
    let before = [
        "in/a.txt null latest deleted",
        "in/a.txt 7",
        "in/a.txt 5",
        "in/b.txt 5 latest",
        "in/b.txt null deleted",
        "in/b.txt 1",
        "in/d/c d.txt null latest deleted",
        "in/d/c d.txt 1",
        "in/kept.txt 4 latest",
    ];
    let below = place("in/");
    let all = [on, &[below.as_str()]].concat();
    assert_eq!(shown(home, &all), before);
    // One level, its folders once; and the choice of ls.
    let level = rows(run(&["-o", "json", "ls", "--versions", &place("in/")]));
    let folder = level.iter().find(|row| row["kind"] == "prefix").unwrap();
    assert_eq!((folder["key"].as_str(), &folder["latest"]), (Some("in/d/"), &Value::Null));
    assert_eq!(
        shown(home, &[on, &["--exclude", "d", "--limit", "1", &place("in/")]].concat()),
        before[..1]
    );
    // One version is read, looked at, and brought back under any name, its own included.
    let versions = rows(run(&["-o", "json", "ls", "--versions", &place("in/a.txt")]));
    let first = versions[2]["version"].as_str().unwrap();
    assert_eq!(run(&["cat", "--version", first, &place("in/a.txt")]).good(), "first");
    let stat = rows(run(&["-o", "json", "stat", "--version", first, &place("in/a.txt")]));
    assert_eq!(stat[0]["size"], 5);
    let file = home.scratch("first.txt");
    run(&["cp", "--version", first, &place("in/a.txt"), file.to_str().unwrap()]).good();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "first");
    assert_eq!(run(&["cp", "--version", first, &place("in/a.txt"), "-"]).good(), "first");
    let marker = versions[0]["version"].as_str().unwrap();
    assert_eq!(run(&["cat", "--version", marker, &place("in/a.txt")]).code, 1);
    assert!(
        run(&["cp", "--version", first, &place("in/"), "x/"]).refused(1).contains("single object")
    );
    // A dry run does nothing; a bound is kept and said.
    let dry = rows(run(&["-o", "json", "undelete", "--dry-run", &place("in/")]));
    let keys: Vec<&str> = dry.iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["in/a.txt", "in/d/c d.txt"]);
    assert!(dry.iter().all(|row| row["status"] == "planned" && row["markers"] == 1), "{dry:?}");
    assert_eq!(shown(home, &all), before);
    let one = run(&["undelete", "--limit", "1", "--include", "d/**", &place("in/")]);
    assert!(one.stderr.contains("1 object brought back (1 B); `--limit` was reached"), "{one:?}");
    assert_eq!(one.stdout, "+ in/d/c d.txt (1 B)\n");
    let report = home.scratch("undeleted.csv");
    let done = run(&["undelete", "--report", report.to_str().unwrap(), &place("in/")]);
    assert!(done.stderr.contains("1 object brought back (7 B)"), "{done:?}");
    let text = std::fs::read_to_string(&report).unwrap();
    assert!(
        text.starts_with("key,path,version,size,deleted_at,markers,status,reason\nin/a.txt,"),
        "{text}"
    );
    assert_eq!(run(&["cat", &place("in/a.txt")]).good(), "second!");
    let after = shown(home, &all);
    assert_eq!(after[0], "in/a.txt 7 latest");
    assert_eq!(after.len(), before.len() - 2, "no version is lost: {after:?}");
    let none = run(&["undelete", &place("in/")]);
    assert_eq!((none.code, none.stdout.as_str()), (0, ""));
    run(&["cp", "--version", first, &place("in/a.txt"), &place("in/a.txt")]).good();
    assert_eq!(run(&["cat", &place("in/a.txt")]).good(), "first");
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_listed_read_and_brought_back() {
    let s3 = TestS3::start().await;
    let kept = BucketOptions { versioned: true, ..BucketOptions::default() };
    s3.state().create_bucket_with("here", kept.clone());
    s3.state().create_bucket_with("there", kept);
    let (id, secret) = s3.admin();
    let home = Home::new();
    home.connect("lake", &s3.endpoint(), &id, &secret, "").good();
    journey(&home, "lake:here/", &[]);
    let server = Server::start(&home);
    journey(&home, "lake:there/", &["--server", &server.url]);
    // A bucket that keeps no versions, a connection that may not write, a disk.
    s3.state().create_bucket("plain");
    s3.state().put("plain", "x", "1");
    assert_eq!(shown(&home, &["lake:plain/"]), ["x 1 latest"]);
    assert_eq!(home.run(&["undelete", "lake:plain/"]).good(), "");
    home.connect("reads", &s3.endpoint(), &id, &secret, "READ_ONLY = TRUE").good();
    assert!(home.run(&["undelete", "reads:here/"]).refused(1).contains("connection.read_only"));
    home.run(&["undelete", "--dry-run", "reads:here/"]).good();
    assert!(
        home.run(&["ls", "--versions", "."]).refused(1).contains("not possible with this kind")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_of_another_service_are_the_same() {
    let moto = Moto::start().await;
    let client = moto.client();
    client.create_bucket("kept", "us-east-1").await;
    let on = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
    client.expect("s3", "PUT", "/kept?versioning=", &[], on).await;
    let keys = moto.keys();
    let home = Home::new();
    home.connect("moto", &moto.endpoint(), &keys.access_key_id, &keys.secret_access_key, "").good();
    journey(&home, "moto:kept/", &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_versions_come_page_by_page_and_all_markers_go() {
    let s3 = TestS3::start().await;
    let kept = BucketOptions { versioned: true, ..BucketOptions::default() };
    s3.state().create_bucket_with("lake", kept);
    for n in 0..700 {
        s3.state().put("lake", &format!("t/{n:04}"), "1");
    }
    let (id, secret) = s3.admin();
    let home = Home::new();
    home.connect("lake", &s3.endpoint(), &id, &secret, "").good();
    home.run(&["rm", "-r", "--yes", "lake:lake/t/"]).good();
    // Twice, so that two markers hide one version.
    let server = Server::start(&home);
    let url = format!("{}/api/v1/connections/lake/object", server.url);
    let again = reqwest::Client::new().delete(url).query(&[("bucket", "lake"), ("key", "t/0003")]);
    assert!(again.send().await.unwrap().status().is_success());
    assert_eq!(shown(&home, &["lake:lake/t/"]).len(), 700 * 2 + 1);
    s3.state().clear_requests();
    let back = home.run(&["undelete", "lake:lake/t/"]);
    assert!(back.stderr.contains("700 objects brought back (700 B)"), "{}", back.stderr);
    assert_eq!(s3.state().keys("lake").len(), 700);
    assert!(s3.state().requests().len() <= 8, "{}", s3.state().requests().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_listed_and_given_up_through_a_server() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let (id, secret) = s3.admin();
    let home = Home::new();
    home.connect("lake", &s3.endpoint(), &id, &secret, "").good();
    let server = Server::start(&home);
    let http = reqwest::Client::new();
    for key in ["in/big 1.bin", "out/x"] {
        let url = format!("{}/api/v1/connections/lake/upload", server.url);
        let begun = http.post(url).query(&[("bucket", "lake"), ("key", key)]).send().await.unwrap();
        assert!(begun.status().is_success());
    }
    let client = Home::new();
    let through =
        |arguments: &[&str]| client.run(&[&["--server", &server.url], arguments].concat());
    let found = rows(through(&["-o", "json", "uploads", "lake:lake/in/"]));
    assert_eq!(found.len(), 1);
    assert_eq!(
        (&found[0]["path"], &found[0]["status"]),
        (&json!("lake/in/big 1.bin"), &json!("open"))
    );
    assert_eq!(found, rows(home.run(&["-o", "json", "uploads", "lake:lake/in/"])));
    assert!(through(&["uploads", "--abort", "lake:lake"]).stderr.contains("2 left as too young"));
    std::thread::sleep(std::time::Duration::from_millis(1100));
    through(&["uploads", "--abort", "--older-than", "1s", "lake:lake/in/"]).good();
    assert_eq!(s3.state().uploads("lake").len(), 1);
    assert!(through(&["uploads", "lake:nowhere"]).refused(1).contains("bucket.not_found"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_says_what_it_found_in_a_report_of_any_format() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for (key, text) in [
        ("a/same", "1"),
        ("a/longer", "22"),
        ("a/other", "x"),
        ("a/here, only", "1"),
        ("b/same", "1"),
        ("b/longer", "2"),
        ("b/other", "y"),
        ("b/there", "1"),
    ] {
        s3.state().put("lake", key, text);
    }
    let (id, secret) = s3.admin();
    let home = Home::new();
    home.connect("lake", &s3.endpoint(), &id, &secret, "").good();
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{}'", home.path().display())).good();
    let diff = |arguments: &[&str]| {
        home.run(&[&["diff"], arguments, &["lake:lake/a/", "lake:lake/b/"]].concat())
    };
    let found = diff(&["--exit-code", "--all"]);
    assert_eq!(found.code, 1);
    insta::assert_snapshot!(found.stdout, @r"
    < here, only (1 B)
    ! longer (2 B, 1 B) in size
    ! other (1 B) in content
    = same (1 B) by content
    > there (1 B)
    ");
    assert_eq!(
        diff(&["--size-only"]).good().lines().count(),
        3,
        "a same-size edit is not looked for"
    );
    assert_eq!(diff(&["--one-way"]).good().lines().count(), 3);
    assert!(diff(&["--size-only", "--checksum"]).refused(1).contains("cannot be used with"));
    // The report holds the rows that programs get, here or behind a connection.
    let expected = diff(&["--all", "-o", "csv"]).good();
    let csv = home.scratch("found.csv");
    diff(&["--all", "--report", csv.to_str().unwrap()]).good();
    assert_eq!(std::fs::read_to_string(&csv).unwrap(), expected);
    diff(&["--all", "--report", "lake:lake/reports/found.jsonl"]).good();
    let lines = home.run(&["cat", "lake:lake/reports/found.jsonl"]).good();
    assert_eq!(lines, diff(&["--all", "-o", "jsonl"]).good());
    diff(&["--all", "--report", "lake:lake/reports/found.parquet"]).good();
    let rows = home.rows("SELECT path, kind, left_size FROM lake.\"lake/reports/found.parquet\" WHERE kind <> 'same' ORDER BY path");
    assert_eq!(rows.len(), 4);
    assert_eq!(rows[0], json!({"path": "here, only", "kind": "only_left", "left_size": 1}));
    assert!(
        diff(&["--report", "found.txt"])
            .refused(1)
            .contains("end it in `.csv`, `.jsonl` or `.parquet`")
    );
    // Names are paired as `sync` does, and what is not there is no empty place.
    let folder = home.scratch("df");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("same"), "1").unwrap();
    let here = folder.to_str().unwrap();
    home.run(&["sync", here, "lake:lake/d"]).good();
    assert_eq!(home.run(&["diff", "--exit-code", here, "lake:lake/d"]).good(), "");
    let file = folder.join("same");
    assert_eq!(
        home.run(&["diff", "--exit-code", file.to_str().unwrap(), "lake:lake/d/"]).good(),
        ""
    );
    for places in [["lake:lake/nope/", "lake:lake/a/"], ["lake:lake/a/", "lake:lake/nope/"]] {
        let told = home.run(&[&["diff", "--one-way"], &places[..]].concat()).refused(1);
        assert!(told.contains("there is nothing below") && told.contains("hint:"), "{told}");
    }
    // A place that cannot be read fails the check, whatever was found.
    let broken = home.run(&["diff", "lake:lake/a/", "lake:nowhere/"]);
    assert!(broken.refused(1).contains("bucket.not_found"));
}

/// Runs the script in a bash with a line typed up to its end; what it offers.
fn completed(home: &Home, line: &str) -> Vec<String> {
    let script = r#"
        source <(windlass completion bash)
        COMP_LINE="$1" COMP_POINT=${#1}
        _windlass
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut command = Command::new("bash");
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_windlass"));
    let path = format!(
        "{}:{}",
        program.parent().unwrap().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    for (name, value) in home.command().get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command
        .args(["--norc", "-c", script, "bash", line])
        .env("PATH", path)
        .env("COMP_WORDBREAKS", " \t\n\"'><=;|&(:")
        .current_dir(home.path())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The same of what a service is asked for: a busy machine gives up, as it should, and is asked again.
#[track_caller]
fn assert_completed(home: &Home, line: &str, expected: &[&str]) {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        let offered = completed(home, line);
        if offered == expected {
            return;
        }
        assert!(offered.is_empty() && Instant::now() < end, "{line}: {offered:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bash_completes_commands_options_connections_and_paths() {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    for key in ["orders/a.csv", "orders/b c.csv", "other"] {
        s3.state().put("lake", key, "1");
    }
    let (id, secret) = s3.admin();
    let mut home = Home::new();
    home.connect("landing", &s3.endpoint(), &id, &secret, "").good();
    assert_eq!(completed(&home, "windlass unde"), ["undelete"]);
    assert_eq!(completed(&home, "windlass ls --vers"), ["--versions"]);
    assert_eq!(completed(&home, "windlass ls lan"), ["landing:"]);
    assert_eq!(completed(&home, "windlass connection test lan"), ["landing"]);
    assert_completed(&home, "windlass ls landing:", &["lake/"]);
    assert_completed(&home, "windlass ls landing:lake/o", &["lake/orders/", "lake/other"]);
    assert_completed(&home, "windlass cat landing:lake/orders/b", &["lake/orders/b\\ c.csv"]);
    assert_eq!(completed(&home, "windlass cp landing:lake/other hom"), ["home/"]);
    assert!(completed(&home, "windlass ls nowhere:").is_empty());
    home.set("AWS_ACCESS_KEY_ID", &id);
    home.set("AWS_SECRET_ACCESS_KEY", &secret);
    home.set("AWS_ENDPOINT_URL_S3", &s3.endpoint());
    assert_completed(&home, "windlass ls s3://la", &["//lake/"]);
    assert_completed(&home, "windlass ls s3://lake/ot", &["//lake/other"]);
    let server = Server::start(&home);
    let line = format!("windlass --server {} ls landing:lake/ot", server.url);
    assert_completed(&home, &line, &["lake/other"]);
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completion", shell]).good();
        assert!(script.contains("WINDLASS_COMPLETE"), "{script}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_command_takes_s3_urls_with_nothing_but_the_environment() {
    let s3 = TestS3::start().await;
    let kept = BucketOptions { versioned: true, ..BucketOptions::default() };
    s3.state().create_bucket_with("lake", kept);
    s3.state().put("lake", "in/a.txt", "hello\n");
    let (id, secret) = s3.admin();
    let mut home = Home::new();
    home.set("AWS_ACCESS_KEY_ID", &id);
    home.set("AWS_SECRET_ACCESS_KEY", &secret);
    home.set("AWS_REGION", "us-east-1");
    home.set("AWS_ENDPOINT_URL", &s3.endpoint());
    assert_eq!(home.run(&["ls", "s3://"]).good().trim_end().rsplit("  ").next(), Some("lake/"));
    let file = home.scratch("a.txt");
    let file = file.to_str().unwrap();
    for arguments in [
        &["ls", "-r", "s3://lake"][..],
        &["ls", "--versions", "s3://lake/in/"],
        &["cat", "s3://lake/in/a.txt"],
        &["head", "s3://lake/in/a.txt"],
        &["stat", "s3://lake/in/a.txt"],
        &["du", "s3://lake/in/"],
        &["cp", "s3://lake/in/a.txt", file],
        &["cp", file, "s3://lake/up/"],
        &["sync", "s3://lake/in/", "s3://lake/copy/"],
        &["diff", "--exit-code", "s3://lake/in/", "s3://lake/copy/"],
        &["mv", "s3://lake/copy/a.txt", "s3://lake/moved.txt"],
        &["rm", "s3://lake/moved.txt"],
        &["undelete", "s3://lake/moved.txt"],
        &["uploads", "s3://lake"],
        &["presign", "s3://lake/in/a.txt"],
        &["mb", "s3://fresh"],
        &["rb", "s3://fresh"],
    ] {
        home.run(arguments).good();
    }
    let keys = ["copy/a.txt", "in/a.txt", "moved.txt", "up/a.txt"];
    let there: Vec<String> = s3.state().keys("lake");
    assert_eq!(there, keys[1..], "{there:?}");
    // An endpoint that a person wrote is not overruled.
    home.sql("CREATE OR REPLACE S3 CONNECTION s3 ENDPOINT = 'http://127.0.0.1:9' ALLOW_HTTP = TRUE SKIP_VALIDATION = TRUE").good();
    assert_eq!(home.run(&["ls", "s3://lake"]).code, 2);
}
