//! A write is seen whole or not at all: undone, beside others, killed.

use super::Place;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use windlass_testkit::{Dice, Fault, FaultKind};

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_cannot_be_completed_is_undone() {
    let place = Place::new().await;
    place.home.sql("COPY (SELECT 0 AS x, 0 AS p) TO 'lake:d/' OPTIONS (FILE_FORMAT = CSV)").good();
    let before = place.keys();
    let denied =
        FaultKind::Error { status: 403, code: "AccessDenied".into(), message: "no".into() };
    let fault = Fault::new("CompleteMultipartUpload", denied).on_key("*p=7/*").always();
    place.s3.state().add_fault(fault);
    let refused = place
        .home
        .sql("COPY (SELECT id AS x, id % 10 AS p FROM (SELECT unnest(range(0, 1000)) AS id) AS s) TO 'lake:d/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = OVERWRITE)")
        .refused(1);
    assert!(refused.contains("error[connection.denied]"), "{refused}");
    place.s3.state().clear_faults();
    assert_eq!(place.keys(), before);
    place.nothing_is_left("undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writers_that_want_the_same_place_each_leaves_it_whole() {
    let place = Place::new().await;
    place.s3.state().set_latency(Duration::from_millis(2));
    let write = |value: u32, to: &str, mode: &str| {
        place.home.sql(&format!(
            "COPY (SELECT {value} AS writer, id, id % 6 AS p FROM (SELECT unnest(range(0, 600)) AS id) AS s) TO 'lake:{to}' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = {mode})"
        ))
    };
    let together = |to: &str, mode: &str| {
        std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..4).map(|value| scope.spawn(move || write(value, to, mode))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let outputs = together("over/", "OVERWRITE");
    assert!(outputs.iter().all(|output| output.code == 0), "{outputs:?}");
    let left = place.home.rows("SELECT writer, count(*) AS n FROM lake.\"over/\" GROUP BY writer");
    assert_eq!((left.len(), left[0]["n"].as_i64()), (1, Some(600)), "{left:?}");
    let outputs = together("error/", "ERROR");
    let good = outputs.iter().filter(|output| output.code == 0).count();
    assert_eq!(good, 1, "{outputs:?}");
    let left = place.home.rows("SELECT writer, count(*) AS n FROM lake.\"error/\" GROUP BY writer");
    assert_eq!((left.len(), left[0]["n"].as_i64()), (1, Some(600)), "{left:?}");
    let outputs = together("append/", "APPEND");
    assert!(outputs.iter().all(|output| output.code == 0), "{outputs:?}");
    let left = place.home.rows("SELECT count(*) AS n FROM lake.\"append/\"");
    assert_eq!(left[0]["n"], 2400);
    let one = |value: u32| place.home.sql(&format!("COPY (SELECT {value} AS x) TO 'lake:one.csv'"));
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|value| scope.spawn(move || one(value))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(outputs.iter().filter(|output| output.code == 0).count(), 1, "{outputs:?}");
    place.nothing_is_left("writers");
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What is below a folder, by partition: the writer, and how many rows.
fn seen(place: &Place, connection: &str, to: &str) -> BTreeMap<(i64, i64), i64> {
    let rows = place.home.run(&[
        "-o",
        "json",
        "sql",
        "-c",
        &format!("SELECT writer, p, count(*) AS n FROM {connection}.\"{to}\" GROUP BY writer, p"),
    ]);
    if rows.code != 0 {
        assert!(rows.stderr.contains("format.no_files"), "{rows:?}");
        return BTreeMap::new();
    }
    let rows: Vec<Value> = serde_json::from_str(rows.stdout.trim()).unwrap();
    let cell = |row: &Value, name: &str| row[name].as_i64().unwrap();
    rows.iter().map(|row| ((cell(row, "writer"), cell(row, "p")), cell(row, "n"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_killed_has_happened_or_has_not() {
    let place = Place::new().await;
    place.s3.state().set_latency(Duration::from_millis(3));
    for operation in ["UploadPart", "CompleteMultipartUpload", "DeleteObjects"] {
        let slow = FaultKind::Delay(Duration::from_millis(25));
        place.s3.state().add_fault(Fault::new(operation, slow).always());
    }
    let mut dice = Dice::new(number("WINDLASS_SEED", 11));
    let rounds = number("WINDLASS_KILL_ROUNDS", 12);
    let mut usual = Duration::from_millis(900);
    let (mut happened, mut ended) = (0, 0);
    let whole =
        |writer: i64| -> BTreeMap<(i64, i64), i64> { (0..20).map(|p| ((writer, p), 50)).collect() };
    for round in 0..rounds {
        let connection = if round % 3 == 2 { "disk" } else { "lake" };
        let to = format!("{round}/");
        let statement = |writer: u32| {
            format!(
                "COPY (SELECT {writer} AS writer, id, id % 20 AS p FROM (SELECT unnest(range(0, 1000)) AS id) AS s) TO '{connection}:{to}' \
                 OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = OVERWRITE)"
            )
        };
        place.home.sql(&statement(1)).good();
        let statement = statement(2);
        let mut child = place.home.begin(&["sql", "-c", &statement]);
        let moment =
            Duration::from_millis(dice.below(usize::try_from(usual.as_millis()).unwrap()) as u64);
        let what = format!("round {round} to {connection}, killed after {moment:?}");
        let begin = Instant::now();
        std::thread::sleep(moment);
        let over = child.try_wait().unwrap().is_some();
        ended += u64::from(over);
        let _ = child.kill();
        child.wait().unwrap();
        if over {
            usual = begin.elapsed();
        } else {
            usual += usual / 20;
        }
        // The next start ends it, one way or the other.
        let found = seen(&place, connection, &to);
        assert!(found == whole(1) || found == whole(2), "{what}: {found:?}");
        happened += u64::from(found == whole(2));
        place.nothing_is_left(&what);
        let hidden = std::process::Command::new("find")
            .args([place.home.scratch("disk").to_str().unwrap(), "-name", ".windlass-*"])
            .output()
            .unwrap();
        assert!(hidden.stdout.is_empty(), "{what}: {}", String::from_utf8_lossy(&hidden.stdout));
        let open =
            place.home.rows("SELECT id FROM system.runs WHERE state IN ('running', 'queued')");
        assert!(open.is_empty(), "{what}: {open:?}");
    }
    println!("{rounds} rounds: {happened} happened, {ended} ended before they were killed");
    assert!(ended < rounds, "it was never killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_within_the_commit_a_write_is_completed_by_the_next_start_or_by_doctor() {
    let place = Place::new().await;
    for (round, way) in ["doctor", "sql"].into_iter().enumerate() {
        let to = format!("k{round}/");
        place.s3.state().put("lake", &format!("{to}old.csv"), "writer,p\n1,1\n");
        // The third file is made seen so late that nobody waits for it.
        let stall = FaultKind::Delay(Duration::from_mins(10));
        place.s3.state().add_fault(Fault::new("CompleteMultipartUpload", stall).after(2).always());
        let before = place.s3.state().count("CompleteMultipartUpload");
        let statement = format!(
            "COPY (SELECT 2 AS writer, id, id % 5 AS p FROM (SELECT unnest(range(0, 100)) AS id) AS s) TO 'lake:{to}' \
             OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = OVERWRITE)"
        );
        let mut child = place.home.begin(&["sql", "-c", &statement]);
        let begin = Instant::now();
        while place.s3.state().count("CompleteMultipartUpload") < before + 3 {
            assert!(begin.elapsed() < Duration::from_mins(1), "it never came so far");
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        place.s3.state().clear_faults();
        assert!(place.keys().contains(&format!("{to}old.csv")), "the old file went too early");
        assert!(!place.s3.state().uploads("lake").is_empty());
        match way {
            "doctor" => {
                let said = place.home.run(&["doctor"]);
                assert!(said.stdout.contains("was ended"), "{said:?}");
            }
            _ => drop(place.home.rows("SELECT 1 AS x")),
        }
        let found = seen(&place, "lake", &to);
        assert_eq!(found, (0..5).map(|p| ((2, p), 20)).collect(), "{way}");
        place.nothing_is_left(way);
        let runs = place.home.rows(
            "SELECT state FROM system.runs WHERE kind = 'write' ORDER BY started_at DESC LIMIT 1",
        );
        assert_eq!(runs[0]["state"], "succeeded", "{way}");
    }
}
