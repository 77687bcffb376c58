//! What counts as changed, and what becomes of what exists, by the command line and by SQL.

use crate::chosen::{below, day, put};
use crate::common::Home;
use crate::services;
use serde_json::Value;
use std::fs::File;
use windlass_testkit::TestS3;

/// A name, and at the source and at the destination its text and its day; none: it is not there.
type Row = (&'static str, (&'static str, u64), Option<(&'static str, u64)>);

/// Both ends as the rows say, and no request told of.
fn fill(lake: &TestS3, other: &TestS3, rows: &[Row]) {
    for key in below(other, "copy", "to/") {
        other.state().remove("copy", &format!("to/{key}"));
    }
    for (name, (text, on), there) in rows {
        put(lake, "lake", &format!("in/{name}"), text, Some(*on));
        if let Some((text, on)) = there {
            put(other, "copy", &format!("to/{name}"), text, Some(*on));
        }
    }
    other.state().clear_requests();
}

/// What was written at the destination.
fn written(other: &TestS3) -> Vec<String> {
    let puts = other.state().requests().into_iter().filter(|it| it.operation == "PutObject");
    let mut names: Vec<String> =
        puts.filter_map(|it| it.key.strip_prefix("to/").map(str::to_owned)).collect();
    names.sort();
    names.dedup();
    names
}

/// Does it by the command line (a verb in small letters) or by SQL; answers the exit code.
fn done(home: &Home, verb: &str, flags: &[&str], options: &str) -> i32 {
    let output = if verb.chars().all(char::is_lowercase) {
        home.run(&[&[verb], flags, &["lake:lake/in/", "other:copy/to/"]].concat())
    } else {
        home.sql(&format!(
            "{verb} FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/to/' {options}"
        ))
    };
    assert!([0, 3].contains(&output.code), "{verb} {flags:?} {options}: {output:?}");
    output.code
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_as_changed_is_what_is_asked_for() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    let rows: [Row; 4] = [
        ("edited", ("new!", 1), Some(("old.", 5))),
        ("equal", ("same", 5), Some(("same", 1))),
        ("grown", ("longer", 5), Some(("old", 1))),
        ("shrunk", ("s", 1), Some(("long", 5))),
    ];
    let all: &[&str] = &["edited", "equal", "grown", "shrunk"];
    let cases: [(Option<&str>, &str, &[&str]); 5] = [
        (None, "DEFAULT", &["edited", "grown", "shrunk"]),
        (Some("--size-only"), "SIZE_ONLY", &["grown", "shrunk"]),
        (Some("--checksum"), "CHECKSUM", &["edited", "grown", "shrunk"]),
        (Some("--update"), "UPDATE", &["equal", "grown"]),
        (Some("--always"), "ALWAYS", all),
    ];
    for (flag, word, expected) in cases {
        for verb in ["sync", "cp", "SYNC", "COPY"] {
            fill(&lake, &other, &rows);
            assert_eq!(done(&home, verb, flag.as_slice(), &format!("CHANGE_TEST = {word}")), 0);
            // `cp` compares only if it is asked to.
            let expected = if verb == "cp" && flag.is_none() { all } else { expected };
            assert_eq!(written(&other), expected, "{verb} {word}");
        }
    }
    fill(&lake, &other, &rows);
    done(&home, "COPY", &[], "");
    assert_eq!(written(&other), all);
    fill(&lake, &other, &rows);
    done(&home, "SYNC", &[], "");
    assert_eq!(written(&other), ["edited", "grown", "shrunk"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_keeps_size_and_time_is_found_by_checksum_alone() {
    let home = Home::new();
    let (lake, _other) = services(&home).await;
    let folder = home.scratch("disk");
    for name in ["down", "up", "here", "there"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{}'", folder.display())).good();
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(day(1)).unwrap();
    };
    let edited = || {
        put(&lake, "lake", "down/x", "new!", Some(1));
        write("down/x", "old.");
        write("up/x", "new!");
        put(&lake, "lake", "up/x", "old.", Some(5));
        write("here/x", "new!");
        write("there/x", "old.");
    };
    let counts = |row: &Value| ["updated", "skipped"].map(|name| row[name].as_u64().unwrap());
    let at = |name: &str| format!("{}/{name}/", folder.display());
    for (from, to, places) in [
        (
            "lake:lake/down/".to_owned(),
            at("down"),
            "FROM lake LOCATION = 'lake/down/' TO disk LOCATION = 'down/'",
        ),
        (
            at("up"),
            "lake:lake/up/".to_owned(),
            "FROM disk LOCATION = 'up/' TO lake LOCATION = 'lake/up/'",
        ),
        (at("here"), at("there"), "FROM disk LOCATION = 'here/' TO disk LOCATION = 'there/'"),
    ] {
        let typed = |flags: &[&str]| {
            let places = [from.as_str(), to.as_str()];
            counts(&home.run(&[&["-o", "json", "sync"], flags, &places].concat()).json())
        };
        edited();
        assert_eq!(typed(&[]), [0, 1], "{places}");
        assert_eq!(typed(&["--size-only"]), [0, 1], "{places}");
        assert_eq!(typed(&["--checksum"]), [1, 0], "{places}");
        assert_eq!(typed(&["--checksum"]), [0, 1], "{places}");
        let stated = |test: &str| {
            counts(&home.rows(&format!("SYNC FILES {places} CHANGE_TEST = {test}"))[0])
        };
        edited();
        assert_eq!(stated("DEFAULT"), [0, 1], "{places}");
        assert_eq!(stated("CHECKSUM"), [1, 0], "{places}");
        assert_eq!(stated("CHECKSUM"), [0, 1], "{places}");
        let now = match to.strip_prefix("lake:lake/") {
            Some(prefix) => lake.state().get("lake", &format!("{prefix}x")).unwrap().to_vec(),
            None => std::fs::read(format!("{to}x")).unwrap(),
        };
        assert_eq!(now, b"new!", "{places}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_treated_as_asked() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    let rows: [Row; 4] = [
        ("fresh.txt", ("fresh", 1), None),
        ("newer.txt", ("newer!", 5), Some(("old", 1))),
        ("older.txt", ("older!", 1), Some(("current", 5))),
        ("same.txt", ("same", 1), Some(("same", 5))),
    ];
    let all: &[&str] = &["fresh.txt", "newer.txt", "older.txt", "same.txt"];
    let beside: &[&str] =
        &["fresh.txt", "newer.20200105T000000Z.txt", "older.20200101T000000Z.txt"];
    // What a sync writes; whether some items fail.
    let cases: [(&str, &str, &[&str], i32); 5] = [
        ("overwrite", "OVERWRITE", &["fresh.txt", "newer.txt", "older.txt"], 0),
        ("skip", "SKIP", &["fresh.txt"], 0),
        ("fail", "FAIL", &["fresh.txt"], 3),
        ("keep-newer", "KEEP_NEWER", &["fresh.txt", "newer.txt"], 0),
        ("keep-both", "KEEP_BOTH", beside, 0),
    ];
    for (typed, word, expected, code) in cases {
        for verb in ["sync", "cp", "SYNC", "COPY"] {
            let what = format!("{verb} {word}");
            let again =
                || done(&home, verb, &["--if-exists", typed], &format!("IF_EXISTS = {word}"));
            fill(&lake, &other, &rows);
            assert_eq!(again(), code, "{what}");
            let expected =
                if ["cp", "COPY"].contains(&verb) && word == "OVERWRITE" { all } else { expected };
            assert_eq!(written(&other), expected, "{what}");
            let newer = other.state().get("copy", "to/newer.txt").unwrap();
            assert_eq!(newer == "newer!", expected.contains(&"newer.txt"), "{what}");
            if word == "KEEP_BOTH" {
                let kept = other.state().get("copy", "to/newer.20200105T000000Z.txt").unwrap();
                assert_eq!(kept, "newer!", "{what}");
                other.state().clear_requests();
                assert_eq!((again(), written(&other).len()), (0, 0), "{what} once more");
            }
        }
    }
    // What a move does not write it does not delete.
    for verb in ["mv", "MOVE"] {
        fill(&lake, &other, &rows);
        done(&home, verb, &["--if-exists", "skip"], "IF_EXISTS = SKIP");
        assert_eq!(below(&lake, "lake", "in/"), all[1..], "{verb}");
        assert_eq!(other.state().get("copy", "to/older.txt").unwrap(), "current", "{verb}");
    }
}
