//! `cp`, `mv` and `sync` with the built binary in trouble: killed at any moment, and through a proxy that
//! lets things go wrong.
//!
//! `WINDLASS_KILL_ROUNDS` sets how often each command is killed (`make soak`), `WINDLASS_SEED` the moments.

mod common;

use common::Home;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use windlass_testkit::{Dice, Fault, FaultKind, FaultProxy, Schedule, TestS3};

type Tree = BTreeMap<String, Vec<u8>>;

/// Large enough to go in three parts.
const LARGE: usize = 17 << 20;

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// One end of a round.
enum End<'s> {
    Bucket { s3: &'s TestS3, connection: &'static str, prefix: String },
    Folder(PathBuf),
}

impl End<'_> {
    fn address(&self) -> String {
        match self {
            Self::Bucket { connection, prefix, .. } => format!("{connection}:lake/{prefix}"),
            Self::Folder(path) => format!("{}/", path.display()),
        }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        match self {
            Self::Bucket { s3, prefix, .. } => {
                s3.state().put("lake", &format!("{prefix}{name}"), bytes.to_vec());
            }
            Self::Folder(root) => {
                let path = root.join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
        }
    }

    /// What a person sees there, and what is not finished.
    fn read(&self) -> (Tree, Vec<String>) {
        let mut all = Tree::new();
        match self {
            Self::Bucket { s3, prefix, .. } => {
                for key in s3.state().keys("lake") {
                    if let Some(name) = key.strip_prefix(prefix.as_str()) {
                        let bytes = s3.state().get("lake", &key).unwrap_or_default();
                        all.insert(name.to_owned(), bytes.to_vec());
                    }
                }
            }
            Self::Folder(root) => files(root, root, &mut all),
        }
        let unfinished = all.keys().filter(|name| name.contains(".windlass-")).cloned().collect();
        all.retain(|name, _| !name.contains(".windlass-"));
        (all, unfinished)
    }

    fn uploads(&self) -> usize {
        match self {
            Self::Bucket { s3, prefix, .. } => {
                let all = s3.state().uploads("lake");
                all.iter().filter(|(key, _)| key.starts_with(prefix.as_str())).count()
            }
            Self::Folder(_) => 0,
        }
    }

    fn clear(&self) {
        match self {
            Self::Bucket { s3, prefix, .. } => {
                for key in s3.state().keys("lake") {
                    if key.starts_with(prefix.as_str()) {
                        s3.state().remove("lake", &key);
                    }
                }
            }
            Self::Folder(root) => drop(std::fs::remove_dir_all(root)),
        }
    }
}

fn files(root: &Path, folder: &Path, all: &mut Tree) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(root, &path, all);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            all.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

/// Two services, where large objects take their time.
async fn services(home: &Home) -> [TestS3; 2] {
    let services = [TestS3::start().await, TestS3::start().await];
    for (s3, name) in services.iter().zip(["one", "two"]) {
        let (id, secret) = s3.admin();
        s3.state().create_bucket("lake");
        home.connect(name, &s3.endpoint(), &id, &secret, "").good();
        s3.state().set_latency(Duration::from_millis(3));
        for operation in ["UploadPart", "CompleteMultipartUpload"] {
            let slow = FaultKind::Delay(Duration::from_millis(40));
            s3.state().add_fault(Fault::new(operation, slow).always());
        }
    }
    services
}

/// Once a run after a kill is done, nothing unfinished is left: it goes on with what was interrupted.
#[track_caller]
fn assert_nothing_left(what: &str, to: &End<'_>) {
    let unfinished = to.read().1;
    assert!(unfinished.is_empty(), "{what}: {unfinished:?}");
    assert_eq!(to.uploads(), 0, "{what}: uploads are left");
}

/// Kills one command so often as asked, at random moments of its run, and runs it again.
async fn killed(verb: &str, seed: u64) {
    let home = Home::new();
    let [one, two] = services(&home).await;
    let mut dice = Dice::new(number("WINDLASS_SEED", seed));
    let mut usual = Duration::from_millis(700);
    let mut ended = 0;
    let rounds = number("WINDLASS_KILL_ROUNDS", 10);
    for round in 0..rounds {
        let bucket = |s3, connection, end: &str| End::Bucket {
            s3,
            connection,
            prefix: format!("{round}/{end}/"),
        };
        let folder = |end: &str| End::Folder(home.scratch(&format!("{round}-{end}")));
        let (way, from, to) = match round % 4 {
            0 => ("down", bucket(&one, "one", "in"), folder("out")),
            1 => ("up", folder("in"), bucket(&one, "one", "out")),
            2 => ("across", bucket(&one, "one", "in"), bucket(&two, "two", "out")),
            _ => ("within", bucket(&one, "one", "in"), bucket(&one, "one", "out")),
        };
        let mut source: Tree =
            (0..40_usize).map(|n| (format!("d{}/f{n}", n % 5), dice.bytes(1000 + n))).collect();
        source.insert("large".to_owned(), dice.bytes(LARGE));
        for (name, bytes) in &source {
            from.put(name, bytes);
        }
        // What is written over, and what is to go.
        let mut old = Tree::from([("d1/f1".to_owned(), b"old".to_vec())]);
        let (from_text, to_text) = (from.address(), to.address());
        let mut arguments = vec![verb, from_text.as_str(), to_text.as_str()];
        if verb == "sync" {
            arguments.push("--delete");
            old.insert("d2/stale".to_owned(), b"stale".to_vec());
        }
        for (name, bytes) in &old {
            to.put(name, bytes);
        }

        let mut child = home.begin(&arguments);
        let most = usize::try_from(usual.as_millis()).unwrap();
        let moment = Duration::from_millis(dice.below(most) as u64);
        let what = format!("{verb} {way}, round {round}, killed after {moment:?}");
        tokio::time::sleep(moment).await;
        ended += u32::from(child.try_wait().unwrap().is_some());
        let _ = child.kill();
        child.wait().unwrap();

        let (left, (there, _)) = (from.read().0, to.read());
        for (name, bytes) in &source {
            let still = left.get(name) == Some(bytes);
            let moved = verb == "mv" && there.get(name) == Some(bytes);
            assert!(still || moved, "{what}: {name} is lost");
        }
        for (name, bytes) in &there {
            let whole = [source.get(name), old.get(name)].contains(&Some(bytes));
            assert!(whole, "{what}: {name} has {} bytes that nobody wrote", bytes.len());
        }

        let start = Instant::now();
        let output = home.run(&arguments);
        // A move that was killed after its last file has nothing left to do.
        let over = verb == "mv" && left.is_empty();
        assert!(output.code == 0 || over, "{what}: {}", output.stderr);
        // A killed run lasts as long as one that was not, more or less.
        usual = (usual * 3 + start.elapsed()) / 4;
        let (left, (there, _)) = (from.read().0, to.read());
        assert!(there == source, "{what}: the destination is not what the source was");
        assert!(if verb == "mv" { left.is_empty() } else { left == source }, "{what}");
        assert_nothing_left(&what, &to);
        from.clear();
        to.clear();
    }
    println!("{verb}: {rounds} rounds, {ended} of them at an end before they were killed");
    assert!(u64::from(ended) < rounds, "{verb} was never killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_killed_leaves_whole_files_and_completes_when_run_again() {
    killed("cp", 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_killed_loses_nothing_and_completes_when_run_again() {
    killed("mv", 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_is_killed_leaves_whole_files_and_completes_when_run_again() {
    killed("sync", 3).await;
}

/// Asks a command to stop, as Ctrl-C does, once it is `ready`; answers its exit code.
///
/// What is `piped` goes to its standard input, which then stays open.
fn interrupted(
    home: &Home,
    arguments: &[&str],
    piped: Option<&[u8]>,
    ready: impl Fn() -> bool,
) -> Option<i32> {
    let mut child = home
        .command()
        .args(arguments)
        .stdin(if piped.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let bytes = piped.unwrap_or_default().to_vec();
    let input = child.stdin.take().map(|mut input| {
        std::thread::spawn(move || {
            // The command may end before it has read all.
            let _ = input.write_all(&bytes);
            input
        })
    });
    let end = Instant::now() + Duration::from_mins(2);
    while !ready() {
        assert!(child.try_wait().unwrap().is_none(), "{arguments:?} ended before");
        assert!(Instant::now() < end, "{arguments:?} never came so far");
        std::thread::sleep(Duration::from_millis(20));
    }
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let code = child.wait().unwrap().code();
    drop(input.map(std::thread::JoinHandle::join));
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_interrupted_gives_up_what_it_began_at_once() {
    let home = Home::new();
    let [one, two] = services(&home).await;
    let large = Dice::new(5).bytes(LARGE);
    let (from, to) = (home.scratch("from"), home.scratch("to"));
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("large"), &large).unwrap();
    one.state().put("lake", "in/large", large.clone());
    let here = format!("{}/", from.display());
    // All but one part wait for the end of the test.
    let held =
        |operation: &str, after| Fault::new(operation, FaultKind::Hold).after(after).always();
    for (verb, source) in [
        ("cp", here.as_str()),
        ("cp", "-"),
        ("mv", here.as_str()),
        ("sync", here.as_str()),
        ("cp", "one:lake/in/"),
        ("mv", "one:lake/in/"),
    ] {
        two.state().clear_faults();
        two.state().clear_requests();
        two.state().add_fault(held("UploadPart", 1));
        let (to, piped) = match source {
            "-" => ("two:lake/out/large", Some(large.as_slice())),
            _ => ("two:lake/out/", None),
        };
        let command = [verb, source, to];
        let code = interrupted(&home, &command, piped, || two.state().part_count("lake") > 0);
        assert_eq!(code, Some(130), "{command:?}");
        assert!(two.state().uploads("lake").is_empty(), "{command:?}");
        assert!(two.state().count("AbortMultipartUpload") > 0, "{command:?}");
        assert!(two.state().keys("lake").is_empty(), "{command:?}");
    }
    assert!(from.join("large").is_file() && one.state().get("lake", "in/large").is_some());
    // Into a folder nothing is left beside what was there.
    one.state().add_fault(held("GetObject", 0));
    one.state().clear_requests();
    let there = format!("{}/", to.display());
    let command = ["mv", "one:lake/in/", there.as_str()];
    let code = interrupted(&home, &command, None, || one.state().count("GetObject") > 0);
    assert_eq!(code, Some(130));
    let mut left = Tree::new();
    files(&to, &to, &mut left);
    assert!(left.is_empty(), "{:?}", left.keys());
    // Once more, and to the end.
    one.state().clear_faults();
    two.state().clear_faults();
    home.run(&["mv", "one:lake/in/", "two:lake/out/"]).good();
    assert!(two.state().get("lake", "out/large").unwrap() == large);
    assert!(one.state().keys("lake").is_empty());
}

/// Through a storm, what a command says and how it ends is what it did.
#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_and_the_report_say_what_went_wrong() {
    let home = Home::new();
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let proxy = FaultProxy::start(&s3.endpoint(), Schedule::new(0)).await;
    let (id, secret) = s3.admin();
    home.connect("lake", &proxy.endpoint(), &id, &secret, "").good();
    let mut codes = BTreeMap::new();
    for round in 0..6_u64 {
        let mut dice = Dice::new(number("WINDLASS_SEED", 4).wrapping_add(round));
        let source: Tree = (0..25).map(|n| (format!("f{n}"), dice.bytes(500))).collect();
        let prefix = format!("{round}/");
        let verb = *dice.pick(&["cp", "mv", "sync"]);
        for (name, bytes) in &source {
            s3.state().put("lake", &format!("{prefix}{name}"), bytes.clone());
        }
        // Some objects may not be read at all.
        let no =
            FaultKind::Error { status: 403, code: "AccessDenied".into(), message: "no".into() };
        if round % 2 == 1 {
            let fault = Fault::new("GetObject", no).on_key(format!("{prefix}f1*"));
            s3.state().add_fault(fault.always());
        }
        proxy.set(Schedule::stormy(dice.roll(), 10));
        let folder = home.scratch(&format!("storm{round}"));
        let (from, to) = (format!("lake:lake/{prefix}"), format!("{}/", folder.display()));
        let output = home.run(&["-o", "jsonl", verb, &from, &to]);
        s3.state().clear_faults();
        let what = format!("round {round}, {verb}: {output:?}");
        let lines: Vec<Value> = output
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{what}")))
            .collect();
        let mut there = Tree::new();
        files(&folder, &folder, &mut there);
        let of = |status: &str| lines.iter().filter(|line| line["status"] == status).count();
        for (name, bytes) in &source {
            let left = s3.state().get("lake", &format!("{prefix}{name}"));
            assert!(left.is_some() || there.get(name) == Some(bytes), "{name} is lost: {what}");
            assert!(there.get(name).is_none_or(|found| found == bytes), "{name} is wrong: {what}");
        }
        match output.code {
            0 => assert!(of("failed") == 0 && there == source, "{what}"),
            3 => {
                let summary = lines.last().unwrap();
                assert_eq!(summary["failed"], of("failed") as u64, "{what}");
                let missing = source.keys().filter(|name| !there.contains_key(*name)).count();
                assert!(of("failed") > 0 && of("failed") >= missing, "{what}");
            }
            1 | 2 => assert!(output.stderr.contains("error["), "{what}"),
            _ => panic!("{what}"),
        }
        *codes.entry(output.code).or_insert(0) += 1;
    }
    assert!(codes.contains_key(&0) && codes.contains_key(&3), "{codes:?}");
}
