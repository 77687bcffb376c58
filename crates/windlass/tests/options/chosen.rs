//! What goes, and the headers that it is given, by the command line and by SQL.

use crate::common::Home;
use crate::services;
use serde_json::json;
use std::time::{Duration, SystemTime};
use windlass_testkit::{PutOptions, TestS3};

/// Midnight of a day of January 2020, from 1.
pub(crate) fn day(number: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(24 * (18_261 + number))
}

/// Stores an object that was written on a day of January 2020, or now.
pub(crate) fn put(s3: &TestS3, bucket: &str, key: &str, body: &str, on: Option<u64>) {
    let options = PutOptions { modified: on.map(day), ..PutOptions::default() };
    s3.state().put_with(bucket, key, body.to_owned(), options);
}

/// What lies below a folder of a bucket.
pub(crate) fn below(s3: &TestS3, bucket: &str, folder: &str) -> Vec<String> {
    let keys = s3.state().keys(bucket).into_iter();
    keys.filter_map(|key| key.strip_prefix(folder).map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_times_and_sizes_choose_what_goes() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    let tree: [(&str, usize, Option<u64>); 5] = [
        ("a.csv", 1, Some(1)),
        ("b.csv", 10, Some(2)),
        ("d/c.csv", 100, Some(3)),
        ("d/e.txt", 1000, Some(4)),
        ("now.log", 5, None),
    ];
    let cases: [(&[&str], &str, &[&str]); 14] = [
        // What was written at that very time is newer, and not older.
        (
            &["--newer-than", "2020-01-03"],
            "NEWER_THAN = '2020-01-03'",
            &["d/c.csv", "d/e.txt", "now.log"],
        ),
        (
            &["--older-than", "2020-01-03T00:00:00Z"],
            "OLDER_THAN = '2020-01-03T00:00:00Z'",
            &["a.csv", "b.csv"],
        ),
        (&["--newer-than", "1h"], "NEWER_THAN = 1 HOUR", &["now.log"]),
        (&["--older-than", "1h"], "OLDER_THAN = 1 HOUR", &["a.csv", "b.csv", "d/c.csv", "d/e.txt"]),
        (
            &["--newer-than", "2020-01-02", "--older-than", "2020-01-04"],
            "NEWER_THAN = '2020-01-02' OLDER_THAN = '2020-01-04'",
            &["b.csv", "d/c.csv"],
        ),
        (&["--min-size", "100"], "MIN_SIZE = 100", &["d/c.csv", "d/e.txt"]),
        (&["--max-size", "10"], "MAX_SIZE = 10", &["a.csv", "b.csv", "now.log"]),
        (
            &["--min-size", "10", "--max-size", "100"],
            "MIN_SIZE = 10 MAX_SIZE = 100",
            &["b.csv", "d/c.csv"],
        ),
        (&["--min-size", "1KB"], "MIN_SIZE = '1KB'", &["d/e.txt"]),
        (&["--include", "*.csv"], "INCLUDE = '*.csv'", &["a.csv", "b.csv", "d/c.csv"]),
        (
            &["--include", "/a.csv", "--include", "*.log"],
            "INCLUDE = ('/a.csv', '*.log')",
            &["a.csv", "now.log"],
        ),
        (&["--exclude", "*.csv"], "EXCLUDE = '*.csv'", &["d/e.txt", "now.log"]),
        (&["--exclude", "d"], "EXCLUDE = 'd'", &["a.csv", "b.csv", "now.log"]),
        (
            &["--include", "*.csv", "--exclude", "/a.csv", "--exclude", "d/**"],
            "INCLUDE = '*.csv' EXCLUDE = ('/a.csv', 'd/**')",
            &["b.csv"],
        ),
    ];
    for (number, (flags, options, chosen)) in cases.into_iter().enumerate() {
        let (typed, stated) = [("cp", "MOVE"), ("mv", "SYNC"), ("sync", "COPY")][number % 3];
        for way in ["typed", "stated"] {
            for (key, size, on) in tree {
                put(&lake, "lake", &format!("{number}/{way}/{key}"), &"x".repeat(size), on);
            }
        }
        let from = format!("lake:lake/{number}/typed/");
        let to = format!("other:copy/{number}/typed/");
        home.run(&[&[typed], flags, &[from.as_str(), to.as_str()]].concat()).good();
        home.rows(&format!(
            "{stated} FILES FROM lake LOCATION = 'lake/{number}/stated/' \
             TO other LOCATION = 'copy/{number}/stated/' {options}"
        ));
        for (way, verb) in [("typed", typed), ("stated", stated)] {
            let folder = format!("{number}/{way}/");
            let what = format!("{verb} {flags:?} {options}");
            assert_eq!(below(&other, "copy", &folder), chosen, "{what}");
            let moved = ["mv", "MOVE"].contains(&verb);
            let all = tree.iter().map(|(key, ..)| *key);
            let left: Vec<&str> = all.filter(|key| !(moved && chosen.contains(key))).collect();
            assert_eq!(below(&lake, "lake", &folder), left, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_that_mean_nothing_are_refused() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    lake.state().put("lake", "in/a", "a");
    let flags: [&[&str]; 11] = [
        &["--concurrency", "0"],
        &["--concurrency", "1025"],
        &["--concurrency", "many"],
        &["--requests-per-second", "0"],
        &["--min-size", "small"],
        &["--max-size", "-1"],
        &["--newer-than", "never"],
        &["--older-than", "2020-13-01"],
        &["--if-exists", "ask"],
        &["--update", "--always"],
        &["--trigger-file-always"],
    ];
    for flags in flags {
        let said = home.run(&[&["cp"], flags, &["lake:lake/in/", "other:copy/no/"]].concat());
        assert!(said.refused(1).contains("usage.invalid"), "{flags:?}");
    }
    for option in [
        "CONCURRENCY = 0",
        "CONCURRENCY = 1025",
        "REQUESTS_PER_SECOND = 0",
        "MIN_SIZE = 'small'",
        "MAX_SIZE = -1",
        "NEWER_THAN = 'never'",
        "OLDER_THAN = '2020-13-01'",
        "IF_EXISTS = ASK",
        "CHANGE_TEST = GUESS",
        "BANDWIDTH = 0",
        "MAX_MEMORY = 0",
        "MAX_DELETE = 1",
        "REMOVE_EMPTY_FOLDERS = TRUE",
    ] {
        let said = home.sql(&format!(
            "COPY FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/no/' {option}"
        ));
        assert!(said.refused(1).contains("error["), "{option}");
    }
    assert!(other.state().keys("copy").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn disposition_and_language_are_given_kept_and_taken_away() {
    let home = Home::new();
    let (_lake, _other) = services(&home).await;
    let headers = |place: &str| {
        let rows = home.run(&["-o", "json", "stat", place]).json();
        rows[0]["headers"].clone()
    };
    let disposition = "attachment; filename=\"a.csv\"";
    let given = ["--content-disposition", disposition, "--content-language", "de"];
    let said = json!({ "content-disposition": disposition, "content-language": "de" });
    for (key, size) in [("small.csv", 10), ("large.bin", 17 << 20)] {
        let file = home.scratch(key);
        std::fs::write(&file, vec![7_u8; size]).unwrap();
        let from = format!("lake:copy/{key}");
        home.run(&[&["cp"], &given[..], &[file.to_str().unwrap(), from.as_str()]].concat()).good();
        assert_eq!(headers(&from), said, "{key}");
        for name in ["lake", "other"] {
            let kept = format!("{name}:copy/kept/{key}");
            home.run(&["cp", &from, &kept]).good();
            assert_eq!(headers(&kept), said, "{kept}");
            let moved = format!("{name}:copy/moved/{key}");
            let flags = ["--content-disposition", "", "--content-language", "fr"];
            home.run(&[&["mv"], &flags[..], &[kept.as_str(), moved.as_str()]].concat()).good();
            assert_eq!(headers(&moved), json!({ "content-language": "fr" }), "{moved}");
            home.rows(&format!(
                "COPY FILES FROM lake LOCATION = 'copy/{key}' TO {name} LOCATION = 'copy/sql/' \
                 METADATA = (CONTENT_DISPOSITION = 'inline', CONTENT_LANGUAGE = 'NONE')"
            ));
            let stated = headers(&format!("{name}:copy/sql/{key}"));
            assert_eq!(stated, json!({ "content-disposition": "inline" }), "{name} {key}");
        }
    }
}
