//! Crawls of connections: what is found, what is read for it, and that nothing is wrongly called gone.

mod common;

use common::Home;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};
use windlass_testkit::{Fault, FaultKind, TestS3};

struct Place {
    s3: TestS3,
    home: Home,
}

const MANIFEST: &str = r#"{"entries": [{"dataPath": "a", "structureFormat": "csv"}, {"dataPath": "b", "structureFormat": "csv"},
    {"dataPath": "c", "structureFormat": "jsonl"}, {"dataPath": "d", "structureFormat": "csv"}, {"dataPath": "e", "structureFormat": "csv"}]}"#;

impl Place {
    /// A bucket with a manifest of five tables, and the connection `lake`.
    async fn new() -> Self {
        let s3 = TestS3::start().await;
        s3.state().create_bucket("lake");
        for name in ["a", "b", "d", "e"] {
            s3.state().put("lake", &format!("{name}/part-0.csv"), "id,name\n1,x\n");
        }
        s3.state().put("lake", "c/part-0.jsonl", "{\"id\": 1}\n");
        s3.state().put("lake", "openmetadata.json", MANIFEST);
        let (id, secret) = s3.admin();
        let home = Home::new();
        home.connect("lake", &s3.endpoint(), &id, &secret, "").good();
        Self { s3, home }
    }

    /// Crawls; answers the exit code and the row.
    fn crawl(&self, more: &[&str]) -> (i32, Value) {
        let arguments: Vec<&str> =
            ["-o", "json", "crawl", "lake"].iter().chain(more).copied().collect();
        let output = self.home.run(&arguments);
        let rows: Value = serde_json::from_str(output.stdout.trim())
            .unwrap_or_else(|error| panic!("{error}: {} {}", output.stdout, output.stderr));
        (output.code, rows[0].clone())
    }

    /// Status and reason of each container.
    fn states(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.home
            .rows("SELECT fqn, status, reason FROM system.containers")
            .iter()
            .map(|row| {
                let reason = text(&row["reason"]);
                let dash = if reason.is_empty() { "" } else { ": " };
                (text(&row["fqn"]), format!("{}{dash}{reason}", text(&row["status"])))
            })
            .collect()
    }

    fn deny(&self, operation: &str, key: Option<&str>) {
        let kind = FaultKind::Error {
            status: 403,
            code: "AccessDenied".to_owned(),
            message: "Access Denied".to_owned(),
        };
        let fault = Fault::new(operation, kind).always();
        self.s3.state().add_fault(match key {
            Some(key) => fault.on_key(key),
            None => fault,
        });
    }
}

fn count(states: &BTreeMap<String, String>, state: &str) -> usize {
    states.values().filter(|text| text.starts_with(state)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_not_seen_and_never_deleted() {
    let place = Place::new().await;
    let (code, row) = place.crawl(&["--full"]);
    assert_eq!((code, &row["new"]), (0, &6.into()), "{row}");
    assert_eq!(count(&place.states(), "active"), 6, "{:?}", place.states());

    // The manifest is denied [22].
    place.deny("GetObject", Some("openmetadata.json"));
    let (code, row) = place.crawl(&[]);
    assert_eq!((code, &row["deleted"]), (3, &0.into()), "{row}");
    assert_eq!(count(&place.states(), "deleted"), 0, "{:?}", place.states());
    place.s3.state().clear_faults();
    assert_eq!(place.crawl(&[]).0, 0);
    assert_eq!(count(&place.states(), "active"), 6);

    // The listing is denied [25].
    place.deny("ListObjectsV2", None);
    let (code, row) = place.crawl(&[]);
    assert_eq!((code, &row["deleted"]), (3, &0.into()), "{row}");
    let states = place.states();
    assert_eq!(count(&states, "deleted"), 0, "{states:?}");
    assert!(states["lake.lake.a"].starts_with("not_seen: "), "{states:?}");
    place.s3.state().clear_faults();

    // The service is throttled for longer than it is asked again.
    place.s3.state().add_fault(Fault::new("GetObject", FaultKind::SlowDown).always().on_key("b/*"));
    place.s3.state().put("lake", "b/part-1.csv", "id\n7\n");
    let (code, row) = place.crawl(&[]);
    assert_eq!((code, &row["not_seen"]), (3, &1.into()), "{row}");
    place.s3.state().clear_faults();

    // A manifest is edited and broken.
    place.s3.state().put("lake", "openmetadata.json", "{\"entries\": [");
    let (code, _) = place.crawl(&["--exclude", "nothing"]);
    assert_eq!(code, 3);
    assert_eq!(count(&place.states(), "deleted"), 0, "{:?}", place.states());
    place.s3.state().put("lake", "openmetadata.json", MANIFEST);

    // A sample that cannot be parsed, and one that is empty [01].
    place.s3.state().put("lake", "c/part-0.jsonl", "no json\n");
    place.s3.state().put("lake", "d/part-0.csv", "");
    let (code, row) = place.crawl(&[]);
    assert_eq!((code, &row["not_seen"], &row["deleted"]), (3, &2.into(), &0.into()), "{row}");
    let states = place.states();
    assert!(states["lake.lake.c"].contains("line 1"), "{states:?}");
    assert_eq!(states["lake.lake.d"], "not_seen: every file is empty");
    assert_eq!(states["lake.lake.e"], "active", "the rest goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_process_was_killed_says_so_and_is_ended_by_cancelling_it() {
    let place = Place::new().await;
    // It cannot end before it is killed.
    place.s3.state().set_latency(Duration::from_hours(1));
    let mut crawl = place.home.command();
    let mut crawl = crawl.args(["crawl", "lake"]).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + Duration::from_mins(4);
    while place.home.rows("SHOW RUNS").first().is_none_or(|run| run["state"] != "running") {
        assert!(Instant::now() < end, "it does not run");
        std::thread::sleep(Duration::from_millis(50));
    }
    let run = place.home.rows("SHOW RUNS").remove(0);
    assert_eq!(run["message"], Value::Null, "{run}");
    crawl.kill().unwrap();
    crawl.wait().unwrap();
    place.s3.state().set_latency(Duration::ZERO);
    let run = place.home.rows("SHOW RUNS").remove(0);
    assert_eq!(run["message"], "the process that did it is gone", "{run}");
    let ask = format!("CANCEL RUN '{}'", run["id"].as_str().unwrap());
    assert!(run["hint"].as_str().unwrap().contains(&ask), "{run}");
    place.home.sql(&ask).good();
    assert_eq!(place.home.rows("SHOW RUNS")[0]["state"], "cancelled");
    let (code, row) = place.crawl(&[]);
    assert_eq!((code, &row["found"]), (0, &6.into()), "{row}");
    let known = place.home.rows("DESCRIBE CONTAINER lake.\"lake/a/\"");
    assert!(known.iter().any(|row| row["value"] == "lake.lake.a"), "{known:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_is_made_narrower_deletes_nothing() {
    // [02], [12]
    let place = Place::new().await;
    assert_eq!(place.crawl(&[]).0, 0);
    for more in [
        &["--include", "a"][..],
        &["--exclude", "a"],
        &["--bucket", "other"],
        &["--exclude-bucket", "lake"],
    ] {
        let (_, row) = place.crawl(more);
        assert_eq!(row["deleted"], 0, "{more:?}: {row}");
        assert_eq!(count(&place.states(), "deleted"), 0, "{more:?}: {:?}", place.states());
    }
    let found = |include: &str| place.crawl(&["--include", include]).1["found"].clone();
    assert_eq!(found("/a"), found("a"), "a `/` before it says what is so anyway");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_is_deleted_comes_back_with_its_history_and_much_of_it_is_asked_for() {
    let place = Place::new().await;
    place.crawl(&[]);
    place.s3.state().remove("lake", "a/part-0.csv");
    let (code, row) = place.crawl(&[]);
    assert_eq!((code, &row["deleted"]), (0, &1.into()), "{row} {:?}", place.states());
    assert_eq!(place.states()["lake.lake.a"], "deleted");
    place.s3.state().put("lake", "a/part-0.csv", "id,name,more\n1,x,y\n");
    let (_, row) = place.crawl(&[]);
    assert_eq!(row["back"], 1, "{row}");
    let columns =
        place.home.rows("SELECT columns FROM system.containers WHERE fqn = 'lake.lake.a'");
    assert!(columns[0]["columns"].as_str().unwrap().contains("more"));
    for name in ["a/part-0.csv", "b/part-0.csv", "d/part-0.csv", "e/part-0.csv"] {
        place.s3.state().remove("lake", name);
    }
    let (code, row) = place.crawl(&[]);
    assert_eq!((code, &row["deleted"]), (3, &0.into()), "{row}");
    assert!(row["refused"].as_str().unwrap().contains("more than 30 %"), "{row}");
    let (_, row) = place.crawl(&["--allow-mass-delete"]);
    assert_eq!(row["deleted"], 4, "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_crawl_reads_only_what_changed_and_files_are_not_chosen_by_chance() {
    // [26]: two files with different columns give the same structure each time: both.
    let place = Place::new().await;
    place.s3.state().put("lake", "a/part-1.csv", "id,name,late\n2,y,z\n");
    let columns = || {
        let rows =
            place.home.rows("SELECT columns FROM system.containers WHERE fqn = 'lake.lake.a'");
        rows[0]["columns"].as_str().unwrap().to_owned()
    };
    place.crawl(&[]);
    let first = columns();
    assert!(first.contains("late") && first.contains("name"), "{first}");
    for _ in 0..3 {
        place.crawl(&["--full"]);
        assert_eq!(columns(), first);
    }
    place.s3.state().clear_requests();
    let (_, row) = place.crawl(&[]);
    assert_eq!(row["same"], 6, "{row}");
    let read = place.s3.state().count("GetObject");
    assert_eq!(read, 1, "only the manifest");
    place.s3.state().put("lake", "b/part-0.csv", "id,name\n3,z\n");
    place.s3.state().clear_requests();
    place.crawl(&[]);
    assert_eq!(place.s3.state().count("GetObject"), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_manifest_tables_are_found_and_explained() {
    let place = Place::new().await;
    let s3 = place.s3.state();
    s3.remove("lake", "openmetadata.json");
    for day in ["2024-01-01", "2024-01-02"] {
        s3.put(
            "lake",
            &format!("sales/orders/dt={day}/part-0.csv"),
            "id,email\n1,a@x.org\n2,b@y.org\n",
        );
    }
    s3.put("lake", "sales/orders/_SUCCESS", "");
    s3.put("lake", "img/1.png", "p");
    let explained = place.home.rows("EXPLAIN CRAWL lake");
    let orders = explained.iter().find(|row| row["path"] == "sales/orders").unwrap();
    assert_eq!(orders["why"], "2 files of csv below levels `name=value`");
    assert_eq!((&orders["is_partitioned"], &orders["object_count"]), (&true.into(), &2.into()));
    assert!(place.home.rows("SELECT * FROM system.containers").is_empty(), "nothing is kept");
    let manifest = place.home.rows("SHOW MANIFEST FOR CONNECTION lake");
    let manifest: Value = serde_json::from_str(manifest[0]["manifest"].as_str().unwrap()).unwrap();
    let entry = manifest["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["dataPath"] == "sales/orders/**/*.csv*");
    assert_eq!(entry.unwrap()["autoPartitionDetection"], true);
    place.home.sql("CREATE JOB nightly EVERY DAY AT '02:00' AS CRAWL lake TAGS = TRUE").good();
    assert!(
        place
            .home
            .run(&["job", "show", "nightly", "--sql"])
            .good()
            .contains("AS CRAWL lake TAGS = TRUE")
    );
    let output = place.home.run(&["job", "run", "nightly"]);
    assert_eq!(output.code, 0, "{}{}", output.stdout, output.stderr);
    let rows = place
        .home
        .rows("SELECT columns, is_partitioned FROM system.containers WHERE name = 'sales/orders'");
    let columns: Value = serde_json::from_str(rows[0]["columns"].as_str().unwrap()).unwrap();
    let names: Vec<&str> =
        columns.as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["dt", "id", "email"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_of_the_finding_put_into_the_bucket_changes_nothing() {
    let place = Place::new().await;
    let s3 = place.s3.state();
    s3.remove("lake", "openmetadata.json");
    s3.put("lake", "flat/customers.csv", "id,name\n1,x\n");
    s3.put("lake", "flat/orders.csv", "id,amount\n1,2\n");
    s3.put("lake", "flat/readme.txt", "what this is");
    s3.put("lake", "spark/part-00000", "{\"a\": 1}\n");
    s3.put("lake", "spark/part-00001", "{\"a\": 2}\n");
    s3.put("lake", "wh/sales/dt=2026-01-01/a.csv", "id\n1\n");
    let known = || {
        place.home.rows("SELECT fqn, kind, file_formats, is_partitioned, columns, status FROM system.containers ORDER BY fqn")
    };
    assert_eq!(place.crawl(&[]).0, 0);
    let before = known();
    let manifest = place.home.rows("SHOW MANIFEST FOR CONNECTION lake");
    let manifest = manifest[0]["manifest"].as_str().unwrap().to_owned();
    s3.put("lake", "openmetadata.json", manifest);
    let (code, row) = place.crawl(&["--full"]);
    assert_eq!((code, &row["deleted"], &row["new"]), (0, &0.into(), &0.into()), "{row}");
    assert_eq!(known(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_folder_with_files_of_several_formats_a_query_reads_those_of_the_container() {
    let place = Place::new().await;
    for (name, text) in [("a.csv", "id\n1\n"), ("b.csv", "id\n2\n"), ("a.json", "{\"x\": 1}\n")] {
        place.s3.state().put("lake", &format!("mixed/2024-01-01/{name}"), text);
    }
    place.crawl(&[]);
    let known = place
        .home
        .rows("SELECT file_formats, object_count FROM system.containers WHERE name = 'mixed'");
    assert_eq!(
        (known[0]["file_formats"].to_string().contains("csv"), &known[0]["object_count"]),
        (true, &2.into()),
        "{known:?}"
    );
    let rows = place.home.rows("SELECT count(*) AS n, sum(id) AS s FROM lake.\"lake/mixed/\"");
    assert_eq!((&rows[0]["n"], &rows[0]["s"]), (&2.into(), &3.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_changes_nothing_of_what_a_query_reads() {
    let place = Place::new().await;
    let s3 = place.s3.state();
    s3.remove("lake", "openmetadata.json");
    s3.put("lake", "semi/part-1.csv", "name;age\nbob;3\n");
    s3.put("lake", "semi/part-2.csv", "name;age\nann;4\n");
    s3.put("lake", "noted/events-1.csv", "a,b\n1,2\n");
    s3.put("lake", "noted/events-2.csv", "a,b\n1,2\n");
    s3.put("lake", "noted/meta.json", "{\"x\": 1}\n");
    s3.put("lake", "noted/readme.txt", "hi\n");
    let semi = || place.home.rows("SELECT * FROM lake.\"lake/semi/\" ORDER BY age");
    let before = semi();
    assert_eq!(before[0], serde_json::json!({"name": "bob", "age": 3}));
    assert_eq!(place.crawl(&[]).0, 0);
    assert_eq!(semi(), before);
    let known = place.home.rows("SELECT columns FROM system.containers WHERE name = 'semi'");
    let columns: Value = serde_json::from_str(known[0]["columns"].as_str().unwrap()).unwrap();
    assert_eq!((&columns[0]["name"], &columns[1]["name"]), (&"name".into(), &"age".into()));
    // What is no data beside it is none of its rows.
    let noted = place.home.rows("SELECT * FROM lake.\"lake/noted/\"");
    assert_eq!(noted, [serde_json::json!({"a": 1, "b": 2}), serde_json::json!({"a": 1, "b": 2})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_manifest_lets_nothing_be_found_beside_it() {
    let place = Place::new().await;
    place.crawl(&[]);
    place.s3.state().put("lake", "openmetadata.json", "{\"entries\": [{\"dataPath\": \"a\"},]}");
    place.s3.state().put("lake", "others/x.csv", "id;name\n1;2\n");
    let (code, row) = place.crawl(&[]);
    assert_eq!((code, &row["new"], &row["not_seen"]), (3, &0.into(), &5.into()), "{row}");
    let reason = row["reason"].as_str().unwrap();
    assert!(reason.starts_with("s3://lake/openmetadata.json: "), "{reason}");
    let states = place.states();
    assert!(
        states["lake.lake.a"].starts_with("not_seen: its manifest could not be read"),
        "{states:?}"
    );
    assert_eq!(states["lake.lake"], "active");

    // A key that is none is told, and gone on without.
    place.s3.state().put(
        "lake",
        "openmetadata.json",
        "{\"entries\": [{\"dataPath\": \"a\", \"structurFormat\": \"csv\"}]}",
    );
    let (_, row) = place.crawl(&[]);
    let reason = row["reason"].as_str().unwrap();
    assert!(row["warnings"] == 1 && reason.contains("did you mean `structureFormat`?"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_a_bucket_is_found_by_its_name_and_a_bucket_that_is_none_is_told() {
    let place = Place::new().await;
    place.s3.state().create_bucket("acme-sales");
    place.s3.state().put("acme-sales", "orders/part-0.csv", "id\n1\n");
    place.crawl(&[]);
    let found = |words: &str| -> Vec<String> {
        let rows = place.home.rows(&format!("SEARCH '{words}'"));
        rows.iter().map(|row| row["fqn"].as_str().unwrap().to_owned()).collect()
    };
    for words in ["acme orders", "s3://acme-sales/orders", "orders acme"] {
        assert_eq!(found(words), ["lake.acme-sales.orders"], "{words}");
    }
    assert_eq!(found("acme")[0], "lake.acme-sales");
    let (code, row) = place.crawl(&["--bucket", "acme-slaes"]);
    assert_eq!((code, &row["found"]), (3, &0.into()), "{row}");
    assert!(row["reason"].as_str().unwrap().contains("`acme-slaes`"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_that_nobody_knows_are_null_with_the_reason() {
    let place = Place::new().await;
    place.crawl(&[]);
    let rows =
        place.home.rows("SELECT size, object_count FROM system.containers WHERE fqn = 'lake.lake'");
    assert_eq!(rows[0]["object_count"], 6);
    place.deny("ListObjectsV2", None);
    let (id, secret) = place.s3.admin();
    place
        .home
        .connect("other", &place.s3.endpoint(), &id, &secret, "SKIP_VALIDATION = TRUE")
        .good();
    place.home.run(&["crawl", "other"]);
    let rows = place
        .home
        .rows("SELECT size, object_count, status FROM system.containers WHERE fqn = 'other.lake'");
    assert_eq!(
        (&rows[0]["size"], &rows[0]["object_count"]),
        (&Value::Null, &Value::Null),
        "{rows:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_file_that_is_wrong_is_refused_with_line_and_key() {
    let home = Home::new();
    let file = home.scratch("w.yaml");
    std::fs::write(&file, "source:\n  type: s3\n  serviceName: x\n  serviceConnection:\n    config:\n      awsConfig:\n        awsRegoin: us-east-1\n").unwrap();
    let said = home.run(&["crawl", "-c", file.to_str().unwrap()]).refused(1);
    assert!(said.contains("w.yaml:7: `source.serviceConnection.config.awsConfig.awsRegoin` is not known here; did you mean `awsRegion`?"), "{said}");
    assert!(said.starts_with("error[document.invalid]"), "{said}");
}
