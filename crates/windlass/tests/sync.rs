//! `sync`, `cp` and `mv` with the built binary: between services, folders and a server.

mod common;

use common::Home;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use windlass_testkit::{SeaweedFs, TestS3};

async fn service(home: &Home, name: &str) -> TestS3 {
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let (id, secret) = s3.admin();
    home.connect(name, &s3.endpoint(), &id, &secret, "").good();
    s3
}

/// The summary of a run, which must have the fields of the contract and no others.
#[track_caller]
fn summary(home: &Home, arguments: &[&str]) -> Value {
    let all = [&["-o", "json"], arguments].concat();
    let output = home.run(&all).good();
    let row: Value = serde_json::from_str(output.trim()).unwrap();
    let fields: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        ["run", "copied", "updated", "deleted", "skipped", "failed", "bytes", "seconds", "dry_run"]
    );
    row
}

#[track_caller]
fn counts(home: &Home, arguments: &[&str]) -> [u64; 4] {
    let row = summary(home, arguments);
    ["copied", "updated", "deleted", "skipped"].map(|name| row[name].as_u64().unwrap())
}

fn files(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_goes_round_services_and_folders_and_stays_the_same() {
    let home = Home::new();
    let s3 = service(&home, "lake").await;
    let weed = SeaweedFs::start().await;
    weed.client().create_bucket("copy", "us-east-1").await;
    let keys = weed.full();
    home.connect("weed", &weed.endpoint(), &keys.access_key_id, &keys.secret_access_key, "").good();
    // Names on which the two services disagree about the order.
    let names = ["x/B", "x/a/b!", "x/a/c", "x/a-b", "x/a.txt", "x/a0", "z"];
    for name in names {
        s3.state().put("lake", &format!("t/{name}"), name.to_owned());
    }
    s3.state().put("lake", "t/big", vec![7_u8; 20 << 20]);
    let folder = home.scratch("tree");
    let here = format!("{}/", folder.to_str().unwrap());
    let path = folder.to_str().unwrap();
    let across = ["sync", "--delete", "lake:lake/t/", "weed:copy/t/"];
    let down = ["sync", "--delete", "weed:copy/t/", path];
    let up = ["sync", "--delete", &here, "lake:lake/back/"];
    for way in [&across[..], &down, &up] {
        // Times are told in whole seconds: what was written in the second of its copy is copied again.
        tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
        assert_eq!(counts(&home, way), [8, 0, 0, 0], "{way:?}");
        assert_eq!(counts(&home, way), [0, 0, 0, 8], "a second sync plans nothing: {way:?}");
    }
    assert_eq!(s3.state().get("lake", "back/big"), s3.state().get("lake", "t/big"));
    // An edit in the second of the copy before it keeps size and time, which only CHECKSUM sees.
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    // A same-size edit, a new name and one that is gone travel all the way (M-J4).
    s3.state().put("lake", "t/x/a-b", "x/A-B");
    s3.state().put("lake", "t/x/new", "1");
    s3.state().remove("lake", "t/z");
    for way in [&across[..], &down, &up] {
        assert_eq!(counts(&home, way), [1, 1, 1, 6], "{way:?}");
    }
    assert_eq!(s3.state().get("lake", "back/x/a-b").unwrap(), "x/A-B");
    assert!(s3.state().get("lake", "back/z").is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_a_sync_are_those_of_the_contract_here_and_through_a_server() {
    let home = Home::new();
    let s3 = service(&home, "lake").await;
    for (key, text) in [("a/new", "1"), ("a/same", "2"), ("a/edited", "3"), ("b/same", "2")] {
        s3.state().put("lake", key, text);
    }
    s3.state().put("lake", "b/edited", "4");
    s3.state().put("lake", "b/gone", "5");
    let server = common::Server::start(&home);
    let dry = ["-o", "jsonl", "sync", "--delete", "--dry-run", "lake:lake/a/", "lake:lake/b/"];
    let rows = |output: common::Output| -> Vec<Value> {
        let text = output.good();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let client = Home::new();
    let through = rows(client.run(&[&["--server", &server.url], &dry[..]].concat()));
    let local = rows(home.run(&dry));
    let items = |rows: &[Value]| {
        let mut lines: Vec<String> = rows[..rows.len() - 1].iter().map(Value::to_string).collect();
        lines.sort();
        lines.join("\n")
    };
    assert_eq!(items(&local), items(&through));
    insta::assert_snapshot!(items(&local));
    assert_eq!(local.last().unwrap()["dry_run"], true);
    // A bound that is passed refuses before anything is deleted.
    let refused =
        home.run(&["sync", "--delete", "--max-delete", "0", "lake:lake/a/", "lake:lake/b/"]);
    assert!(refused.refused(1).contains("transfer.refused"));
    assert!(s3.state().get("lake", "b/gone").is_some());
    let report = home.scratch("report.csv");
    let done = client.run(&[
        "--server",
        &server.url,
        "sync",
        "--delete",
        "--backup-to",
        "lake:lake/old/",
        "--report",
        report.to_str().unwrap(),
        "--trigger-file",
        "_DONE",
        "lake:lake/a/",
        "lake:lake/b/",
    ]);
    let talk = done.stderr.clone();
    done.good();
    assert!(
        talk.contains("1 deleted, 2 skipped") || talk.contains("1 deleted, 3 skipped"),
        "{talk}"
    );
    assert_eq!(s3.state().get("lake", "old/gone").unwrap(), "5");
    assert!(s3.state().get("lake", "b/_DONE").is_some());
    let text = std::fs::read_to_string(report).unwrap();
    assert!(text.starts_with("action,source,destination,size,status,reason,code,hint\n"), "{text}");
    assert!(text.contains("delete,,lake:lake/b/gone,1,done,"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn choosing_by_condition_list_and_report() {
    let home = Home::new();
    let s3 = service(&home, "lake").await;
    for (key, text) in
        [("a/1.csv", "1"), ("a/2.csv", "22"), ("a/3.txt", "333"), ("a/d/4.csv", "4444")]
    {
        s3.state().put("lake", key, text);
    }
    let got = |name: &str| -> Vec<String> { files(&home.scratch(name)).into_keys().collect() };
    let copy = |name: &str, more: &[&str]| {
        let to = format!("{}/", home.scratch(name).to_str().unwrap());
        home.run(&[&["cp"], more, &["lake:lake/a/", &to]].concat())
    };
    copy("where", &["--where", "size > 1 AND key LIKE '%.csv'"]).good();
    assert_eq!(got("where"), ["2.csv", "d/4.csv"]);
    assert!(copy("bad", &["--where", "colour = 1"]).refused(1).contains("sql.plan"));
    copy("size", &["--max-size", "3", "--exclude", "d/**", "--newer-than", "1h"]).good();
    assert_eq!(got("size"), ["1.csv", "2.csv", "3.txt"]);
    // With a `/` before it a pattern is meant at the top only.
    s3.state().put("lake", "a/d/d/5.csv", "55555");
    copy("top", &["--exclude", "/d/d", "--include", "./d"]).good();
    assert_eq!(got("top"), ["d/4.csv"]);
    copy("deep", &["--exclude", "/1.csv", "--exclude", "/5.csv"]).good();
    assert_eq!(got("deep"), ["2.csv", "3.txt", "d/4.csv", "d/d/5.csv"]);
    s3.state().remove("lake", "a/d/d/5.csv");
    for empty in ["", "/"] {
        let told = copy("empty", &["--exclude", empty]).refused(1);
        assert!(told.contains("usage.invalid") && told.contains("hint: "), "{told}");
    }
    let told = copy("no-run", &["--only-failed", "rn_nosuch"]).refused(1);
    assert!(told.contains("`rn_nosuch` is no id of a run") && told.contains("SHOW RUNS"), "{told}");
    // What would be copied into a bucket that is not there would not be.
    for dry in ["cp", "mv", "sync"] {
        let told = home.run(&[dry, "--dry-run", "lake:lake/a/", "lake:nobucket/x/"]).refused(1);
        assert!(told.contains("bucket.not_found"), "{told}");
    }
    let to = format!("{}/", home.scratch("list").to_str().unwrap());
    home.run_with(&["cp", "--files-from", "-", "lake:lake/a/", &to], b"1.csv\nd/4.csv\n").good();
    assert_eq!(got("list"), ["1.csv", "d/4.csv"]);
    // What failed is repeated from the report, which may lie behind a connection too.
    let denied = || windlass_testkit::FaultKind::Error {
        status: 403,
        code: "AccessDenied".into(),
        message: "no".into(),
    };
    s3.state()
        .add_fault(windlass_testkit::Fault::new("GetObject", denied()).on_key("a/3.txt").always());
    let report = home.scratch("r.jsonl");
    let report = report.to_str().unwrap();
    assert_eq!(copy("some", &["--report", report]).code, 3);
    assert_eq!(copy("some", &["--report", "lake:lake/reports/r.csv"]).code, 3);
    let stored = s3.state().get("lake", "reports/r.csv").unwrap();
    assert!(String::from_utf8_lossy(&stored).contains("a/3.txt"));
    s3.state().clear_faults();
    copy("again", &["--only-failed", report]).good();
    assert_eq!(got("again"), ["3.txt"]);
    copy("stored", &["--only-failed", "lake:lake/reports/r.csv"]).good();
    assert_eq!(got("stored"), ["3.txt"]);
    // Who may not list may write all the same: a dry run is not refused for that.
    s3.state().add_fault(windlass_testkit::Fault::new("ListObjectsV2", denied()).always());
    home.run(&["cp", "--dry-run", report, "lake:lake/x/"]).good();
    s3.state().clear_faults();
    // Of a whole bucket too, where names begin with no `/`.
    s3.state()
        .add_fault(windlass_testkit::Fault::new("GetObject", denied()).on_key("a/3.txt").always());
    let to = format!("{}/", home.scratch("whole").to_str().unwrap());
    let whole = ["cp", "--include", "a/*", "--report", report, "lake:lake", &to];
    assert_eq!(home.run(&whole).code, 3);
    s3.state().clear_faults();
    home.run(&["cp", "--only-failed", report, "lake:lake", &format!("{to}again/")]).good();
    assert!(home.scratch("whole/again/a/3.txt").is_file());
    // A bad line of a list is named, and nothing is copied; a name that stands there twice counts once.
    let to = format!("{}/", home.scratch("lines").to_str().unwrap());
    let list = |text: &[u8]| {
        home.run_with(&["-o", "json", "mv", "--files-from", "-", &to, "lake:lake/l/"], text)
    };
    std::fs::create_dir(&to).unwrap();
    std::fs::write(home.scratch("lines/x"), "x").unwrap();
    for text in [&b"x\n\n../y\n"[..], b"x\n\n\xff\n"] {
        let error = list(text).refused(1);
        assert!(error.contains("line 3 of `-`"), "{error}");
        assert!(s3.state().get("lake", "l/x").is_none());
    }
    let moved = list(b"x\n./x\n").json();
    assert_eq!((&moved["copied"], &moved["failed"]), (&1.into(), &0.into()));
    // A path of this machine is named as it was typed.
    let missing = home.scratch("nothing").join("x");
    let text = home.run(&["cat", missing.to_str().unwrap()]).stderr;
    assert!(text.contains(&format!("`{}`", missing.display())), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_from_a_folder_that_is_not_mounted_deletes_nothing() {
    let home = Home::new();
    let s3 = service(&home, "lake").await;
    s3.state().put("lake", "kept/a", "a");
    let (empty, root) = (home.scratch("mount"), home.path().display().to_string());
    std::fs::create_dir(&empty).unwrap();
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{root}/scratch/mount'")).good();
    let sync = |from: &str| home.run(&["sync", "--delete", from, "lake:lake/kept/"]).refused(1);
    let told = sync(empty.to_str().unwrap());
    assert!(
        told.contains("transfer.refused") && told.contains("hint: nothing was deleted"),
        "{told}"
    );
    assert!(sync("disk:").contains("transfer.refused"));
    let stated = "SYNC FILES FROM disk LOCATION = '' TO lake LOCATION = 'lake/kept/' DELETE = TRUE";
    assert!(home.sql(stated).refused(1).contains("transfer.refused"));
    std::fs::remove_dir(&empty).unwrap();
    assert!(sync(empty.to_str().unwrap()).contains("local.not_found"));
    assert_ne!(home.sql(stated).code, 0);
    assert!(s3.state().get("lake", "kept/a").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_keeps_the_reports_and_the_trigger_that_it_writes_into_its_destination() {
    let home = Home::new();
    let s3 = service(&home, "lake").await;
    s3.state().put("lake", "a/1", "1");
    let more = ["sync", "--delete", "--trigger-file", "_DONE", "--report"];
    let sync = |report: &str, to: &str| {
        counts(&home, &[&more[..], &[report, "lake:lake/a/", to]].concat())
    };
    let folder = home.scratch("to");
    let (to, report) = (format!("{}/", folder.display()), folder.join("r.csv"));
    std::fs::create_dir(&folder).unwrap();
    let report = report.to_str().unwrap();
    for (report, to) in [(report, to.as_str()), ("lake:lake/b/r.jsonl", "lake:lake/b/")] {
        assert_eq!(sync(report, to), [1, 0, 0, 0], "{to}");
        assert_eq!(sync(report, to), [0, 0, 0, 1], "{to}");
    }
    assert_eq!(files(&folder).into_keys().collect::<Vec<_>>(), ["1", "_DONE", "r.csv"]);
    assert_eq!(s3.state().keys("lake"), ["a/1", "b/1", "b/_DONE", "b/r.jsonl"]);
    let stated = "SYNC FILES FROM lake LOCATION = 'lake/a/' TO lake LOCATION = 'lake/c/' DELETE = TRUE REPORT = 'lake/c/log/'";
    home.sql(stated).good();
    home.sql(stated).good();
    let reports = s3.state().keys("lake").into_iter().filter(|key| key.starts_with("c/log/rn_"));
    assert_eq!(reports.count(), 2, "those of earlier runs stay");
    // Names that none can have, and one that is copied, are refused before anything is done.
    for name in ["", "../_T", "x/", "1"] {
        let output = home.run(&["cp", "--trigger-file", name, "lake:lake/a/", "lake:lake/no/"]);
        assert_eq!(output.code, 1, "{name}: {}", output.stderr);
    }
    assert!(!s3.state().keys("lake").iter().any(|key| key.starts_with("no/")));
}

/// As a disk of Windows is written to: from here, by a statement and through a server.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_does_not_tell_case_apart_gets_no_names_that_only_case_tells() {
    let home = Home::new();
    let (from, other, disk) = (home.scratch("from"), home.scratch("other"), home.scratch("disk"));
    for folder in [&from, &other, &disk, &disk.join("back")] {
        std::fs::create_dir(folder).unwrap();
    }
    for name in ["A", "a", "plain"] {
        std::fs::write(from.join(name), name).unwrap();
    }
    let root = home.path().display().to_string();
    home.sql(&format!("CREATE LOCAL CONNECTION here ROOT = '{root}/scratch'")).good();
    let told_apart = |said: &str| {
        home.sql(&format!(
            "CREATE OR REPLACE LOCAL CONNECTION disk ROOT = '{}' CASE_SENSITIVE = {said}",
            disk.display()
        ))
        .good();
    };
    told_apart("FALSE");
    let source = format!("{}/", from.display());
    let server = common::Server::start(&home);
    let statement = "COPY FILES FROM here LOCATION = 'from/' TO disk LOCATION = 'in/'";
    let refused = [
        home.run(&["cp", &source, "disk:in/"]),
        home.run(&["sync", &source, "disk:in/"]),
        home.sql(statement),
        Home::new().run(&["--server", &server.url, "cp", &source, "disk:in/"]),
    ];
    for output in refused {
        let told = output.refused(1);
        assert!(told.contains("transfer.refused"), "{told}");
        assert!(told.contains("`in/a` differs from another name in case only"), "{told}");
    }
    assert!(files(&disk).is_empty(), "nothing was written");
    let names = |below: &str| files(&disk.join(below)).into_keys().collect::<Vec<_>>();
    assert_eq!(counts(&home, &["cp", "--case", "skip", &source, "disk:in/"]), [2, 0, 0, 1]);
    assert_eq!(names("in"), ["A", "plain"]);
    let renaming = ["sync", "--delete", "--case", "rename", &source, "disk:in/"];
    assert_eq!(counts(&home, &renaming), [1, 0, 0, 2]);
    assert_eq!(counts(&home, &renaming), [0, 0, 0, 3]);
    let renamed = names("in");
    assert!(renamed.len() == 3 && renamed[1].starts_with("a~"), "{renamed:?}");

    // What the destination has counts, too.
    std::fs::write(disk.join("back/README"), "old").unwrap();
    std::fs::write(other.join("readme"), "new").unwrap();
    let source = format!("{}/", other.display());
    let told = home.run(&["sync", "--delete", &source, "disk:back/"]).refused(1);
    assert!(told.contains("`back/readme` differs from a name that is there"), "{told}");
    let skipping = ["sync", "--delete", "--case", "skip", &source, "disk:back/"];
    assert_eq!(counts(&home, &skipping), [0, 0, 0, 1]);
    assert_eq!(files(&disk.join("back"))["README"], b"old");

    // Names of devices and forbidden characters.
    std::fs::remove_file(other.join("readme")).unwrap();
    std::fs::write(other.join("con.txt"), "c").unwrap();
    std::fs::write(other.join("a:b"), "c").unwrap();
    let one = other.join("con.txt").display().to_string();
    let told = home.run(&["cp", &one, "disk:"]).refused(1);
    assert!(told.contains("`con.txt` is the name of a device there"), "{told}");
    let told = home.run(&["cp", &source, "disk:out/"]).refused(1);
    assert!(told.contains("2 names cannot be written"), "{told}");
    assert!(!disk.join("out").exists() && !disk.join("con.txt").exists());
    assert_eq!(counts(&home, &["cp", "--names", "rename", &source, "disk:out/"]), [2, 0, 0, 0]);
    assert!(!disk.join("out/con.txt").exists());

    told_apart("TRUE");
    assert_eq!(counts(&home, &["cp", &source, "disk:out/"]), [2, 0, 0, 0]);
    assert!(disk.join("out/con.txt").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_cannot_be_written_keeps_the_trigger_file_from_being_written() {
    use windlass_testkit::{Fault, FaultKind};
    let home = Home::new();
    let s3 = service(&home, "lake").await;
    s3.state().create_bucket("copy");
    s3.state().put("lake", "in/c.txt", "1");
    let denied =
        FaultKind::Error { status: 403, code: "AccessDenied".to_owned(), message: "no".to_owned() };
    s3.state().add_fault(Fault::new("PutObject", denied).on_key("reports/r.csv").always());
    let sql = "COPY FILES FROM lake LOCATION = 'lake/in/' TO lake LOCATION = 'lake/out/' \
               TRIGGER_FILE = '_DONE' REPORT = (LOCATION = 's3://copy/reports/r.csv')";
    let cp = ["cp", "--trigger-file", "_DONE", "--report", "lake:copy/reports/r.csv"];
    let copy = || home.run(&[&cp[..], &["lake:lake/in/", "lake:lake/out/"]].concat());
    home.sql(sql).refused(1);
    copy().refused(1);
    assert!(s3.state().get("lake", "out/c.txt").is_some());
    assert!(s3.state().get("lake", "out/_DONE").is_none());
    s3.state().clear_faults();
    home.sql(sql).good();
    assert!(s3.state().get("lake", "out/_DONE").is_some());
    s3.state().remove("lake", "out/_DONE");
    copy().good();
    assert!(s3.state().get("lake", "out/_DONE").is_some());
}
