//! How a run goes and how it ends: what is under way, how fast, what is left behind.

use crate::chosen::{below, put};
use crate::common::Home;
use crate::{denied, services};
use std::time::{Duration, Instant};
use windlass_testkit::{Fault, FaultKind, TestS3};

const COPY: &str = "COPY FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/to/'";

/// Runs a command whose writes to `other` are all held back, until so many are; answers how many are.
async fn under_way(home: &Home, other: &TestS3, arguments: &[&str], at_least: usize) -> usize {
    other.state().clear_requests();
    other.state().add_fault(Fault::new("PutObject", FaultKind::Hold).always());
    let mut child = home.begin(arguments);
    let end = Instant::now() + Duration::from_mins(2);
    while other.state().count("PutObject") < at_least {
        assert!(child.try_wait().unwrap().is_none(), "{arguments:?} ended");
        assert!(Instant::now() < end, "{arguments:?} never came so far");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Others would have come by now.
    tokio::time::sleep(Duration::from_millis(500)).await;
    let count = other.state().count("PutObject");
    other.state().release();
    assert!(child.wait().unwrap().success(), "{arguments:?}");
    assert_eq!(other.state().keys("copy").len(), 6, "{arguments:?}");
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_is_bounded_by_number_and_by_memory() {
    let one = format!("{COPY} CONCURRENCY = 1");
    let little = format!("{COPY} MAX_MEMORY = '1MB'");
    let typed = ["cp", "lake:lake/in/", "other:copy/to/"];
    let cases: [(Vec<&str>, usize); 6] = [
        (typed.to_vec(), 6),
        ([&typed[..], &["--concurrency", "1"]].concat(), 1),
        ([&typed[..], &["--concurrency", "2"]].concat(), 2),
        ([&typed[..], &["--max-memory", "1MB"]].concat(), 1),
        (vec!["sql", "-c", one.as_str()], 1),
        (vec!["sql", "-c", little.as_str()], 1),
    ];
    for (arguments, expected) in cases {
        // What is let go stays so: each has its own services.
        let home = Home::new();
        let (lake, other) = services(&home).await;
        for number in 0..6 {
            lake.state().put("lake", &format!("in/{number}"), vec![7_u8; 600_000]);
        }
        assert_eq!(under_way(&home, &other, &arguments, expected).await, expected, "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_at_a_time_comes_to_an_end_everywhere() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    let large: Vec<u8> =
        (0..17_u32 << 20).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    lake.state().put("lake", "in/large", large.clone());
    for number in 0..5 {
        lake.state().put("lake", &format!("in/{number}"), format!("{number}"));
    }
    let folder = home.scratch("here");
    let here = format!("{}/", folder.display());
    for (verb, from, to) in [
        ("sync", "lake:lake/in/", "other:copy/a/"),
        ("cp", "other:copy/a/", here.as_str()),
        ("mv", here.as_str(), "other:copy/b/"),
        ("cp", "other:copy/b/", "other:copy/c/"),
    ] {
        home.run(&[verb, "--concurrency", "1", "--max-memory", "1MB", from, to]).good();
    }
    assert!(other.state().get("copy", "c/large").unwrap() == large);
    assert_eq!(below(&other, "copy", "c/"), ["0", "1", "2", "3", "4", "large"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_keeps_to_bandwidth_and_requests() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    for number in 0..2 {
        lake.state().put("lake", &format!("in/{number}"), vec![7_u8; 1_000_000]);
    }
    let began = Instant::now();
    home.rows(&format!("{COPY} BANDWIDTH = '1MB'"));
    // A quarter of a second may pass at once.
    assert!(began.elapsed() > Duration::from_millis(1500), "{:?}", began.elapsed());
    for number in 0..15 {
        lake.state().put("lake", &format!("in/{number}"), "x");
    }
    let began = Instant::now();
    home.rows(&format!("{COPY} REQUESTS_PER_SECOND = 20"));
    // A listing, 15 reads and 15 writes: five at once, the others one after the other.
    assert!(began.elapsed() > Duration::from_millis(1200), "{:?}", began.elapsed());
    assert_eq!(other.state().keys("copy").len(), 15);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_file_is_written_when_something_was_done_or_always() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    put(&lake, "lake", "in/a", "a", Some(1));
    let typed = |more: &[&str]| {
        let places = ["--trigger-file", "_DONE", "lake:lake/in/", "other:copy/typed/"];
        home.run(&[&["sync"], more, &places].concat()).code
    };
    let stated = |more: &str| {
        home.sql(&format!(
            "SYNC FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/stated/' \
             TRIGGER_FILE = '_DONE' {more}"
        ))
        .code
    };
    let both = |always: bool| {
        let flag: &[&str] = if always { &["--trigger-file-always"] } else { &[] };
        let option = if always { "TRIGGER_FILE_ALWAYS = TRUE" } else { "" };
        (typed(flag), stated(option))
    };
    let there = || ["typed/", "stated/"].map(|folder| below(&other, "copy", folder).join(" "));
    let remove = || {
        for folder in ["typed", "stated"] {
            other.state().remove("copy", &format!("{folder}/_DONE"));
        }
    };
    assert_eq!(both(false), (0, 0));
    assert_eq!(there(), ["_DONE a", "_DONE a"]);
    assert!(other.state().get("copy", "typed/_DONE").unwrap().is_empty());
    remove();
    assert_eq!(both(false), (0, 0));
    assert_eq!(there(), ["a", "a"], "nothing was to do");
    assert_eq!(both(true), (0, 0));
    assert_eq!(there(), ["_DONE a", "_DONE a"]);
    remove();
    // Something failed.
    lake.state().put("lake", "in/b", "b");
    lake.state().put("lake", "in/c", "c");
    lake.state().add_fault(Fault::new("GetObject", denied()).on_key("in/c").always());
    assert_eq!(both(true), (3, 3));
    assert_eq!(there(), ["a b", "a b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_a_move_emptied_go_when_asked() {
    let home = Home::new();
    let (lake, _other) = services(&home).await;
    let root = home.scratch("disk");
    let fill = |name: &str| {
        let folder = root.join(name);
        for below in ["a/b", "c", "was-empty"] {
            std::fs::create_dir_all(folder.join(below)).unwrap();
        }
        for file in ["a/b/go", "c/go", "c/stay.txt"] {
            std::fs::write(folder.join(file), "x").unwrap();
        }
        format!("{}/", folder.display())
    };
    let there =
        |name: &str| ["a", "a/b", "c", "was-empty"].map(|it| root.join(name).join(it).is_dir());
    home.run(&["mv", "--exclude", "*.txt", &fill("kept"), "lake:copy/1/"]).good();
    assert_eq!(there("kept"), [true; 4]);
    let flags = ["mv", "--remove-empty-folders", "--exclude", "*.txt"];
    let typed = fill("typed");
    home.run(&[&flags[..], &[typed.as_str(), "lake:copy/2/"]].concat()).good();
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{}'", root.display())).good();
    let stated = |name: &str, more: &str| {
        fill(name);
        home.rows(&format!(
            "MOVE FILES FROM disk LOCATION = '{name}/' TO lake LOCATION = 'copy/{name}/' EXCLUDE = '*.txt' {more}"
        ));
    };
    stated("stated", "REMOVE_EMPTY_FOLDERS = TRUE");
    stated("stated-kept", "");
    assert_eq!(there("stated-kept"), [true; 4]);
    for name in ["typed", "stated"] {
        // Only what this move emptied.
        assert_eq!(there(name), [false, false, true, true], "{name}");
        assert!(root.join(name).join("c/stay.txt").is_file(), "{name}");
    }
    assert_eq!(below(&lake, "copy", "stated/"), ["a/b/go", "c/go"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_deletions_than_allowed_are_none() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    put(&lake, "lake", "in/a", "a", Some(1));
    let fill = || {
        for name in ["a", "x", "y", "z"] {
            put(&other, "copy", &format!("to/{name}"), "a", Some(2));
        }
    };
    let typed = |most: &str| {
        let flags = ["sync", "--delete", "--max-delete", most];
        home.run(&[&flags[..], &["lake:lake/in/", "other:copy/to/"]].concat())
    };
    let stated = |most: &str| {
        home.sql(&format!(
            "SYNC FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/to/' DELETE = TRUE MAX_DELETE = {most}"
        ))
    };
    // Three of four would go.
    fill();
    for refused in [typed("2"), typed("74%"), stated("2"), stated("'74%'"), stated("0")] {
        assert!(refused.refused(1).contains("transfer.refused"));
        assert_eq!(below(&other, "copy", "to/"), ["a", "x", "y", "z"]);
    }
    for (in_typed, in_sql) in [("3", "3"), ("75%", "'75%'")] {
        fill();
        typed(in_typed).good();
        assert_eq!(below(&other, "copy", "to/"), ["a"], "{in_typed}");
        fill();
        stated(in_sql).good();
        assert_eq!(below(&other, "copy", "to/"), ["a"], "{in_sql}");
    }
}
