//! A copy that was killed goes on where it was, within a large object too, and leaves nothing behind.

mod common;

use common::Home;
use std::time::{Duration, Instant};
use windlass_testkit::{Fault, FaultKind, TestS3};

const PART: usize = 8 << 20;
const PARTS: usize = 6;

struct Place {
    home: Home,
    s3: TestS3,
}

impl Place {
    async fn new() -> Self {
        let s3 = TestS3::start().await;
        s3.state().create_bucket("lake");
        let home = Home::new();
        let (id, secret) = s3.admin();
        home.connect("sl", &s3.endpoint(), &id, &secret, "BUCKET = 'lake'").good();
        Self { home, s3 }
    }

    /// Starts a command, kills it when `done` holds.
    fn killed(&self, arguments: &[&str], done: impl Fn() -> bool) {
        let mut child = self.home.begin(arguments);
        let end = Instant::now() + Duration::from_mins(4);
        loop {
            if done() {
                child.kill().unwrap();
                child.wait().unwrap();
                return;
            }
            assert!(child.try_wait().unwrap().is_none(), "it ended before it could be killed");
            assert!(Instant::now() < end, "it never came so far");
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// Parts from this one on are answered so late that nobody waits for it.
    fn stall(&self, operation: &str, after: u64) {
        let stall = FaultKind::Delay(Duration::from_mins(10));
        self.s3.state().add_fault(Fault::new(operation, stall).after(after).always());
    }

    /// Kills a download once four parts of it are in `folder`.
    fn killed_with_four_parts(&self, command: &[&str], folder: &std::path::Path) {
        self.stall("GetObject", 4);
        self.killed(command, || {
            let left = Self::left_in(folder);
            left.first().is_some_and(|name| {
                let notes = std::fs::read_to_string(folder.join(name).join("parts"));
                notes.is_ok_and(|notes| notes.lines().count() >= 4)
            })
        });
    }

    /// What was asked from now on counts.
    fn go_on(&self) {
        self.s3.state().clear_faults();
        self.s3.state().clear_requests();
    }

    fn left_in(folder: &std::path::Path) -> Vec<String> {
        std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with(".windlass-"))
            .collect()
    }
}

fn some(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|n| u8::try_from((n * 31 + n / 4096 + seed) % 251).unwrap()).collect()
}

fn bytes(seed: usize) -> Vec<u8> {
    some(PART * PARTS - 5, seed)
}

/// What has so many parts on its way to a file.
fn large(seed: usize) -> Vec<u8> {
    some(2 * PART * PARTS - 5, seed)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_killed_sends_only_the_parts_that_are_missing() {
    let place = Place::new().await;
    let file = place.home.scratch("big.bin");
    std::fs::write(&file, bytes(1)).unwrap();
    let command = ["cp", file.to_str().unwrap(), "sl:in/big.bin"];
    place.stall("UploadPart", 3);
    let s3 = place.s3.state();
    place.killed(&command, || s3.part_count("lake") >= 3);
    assert!(s3.get("lake", "in/big.bin").is_none());
    place.go_on();
    place.home.run(&command).good();
    assert!(s3.get("lake", "in/big.bin").unwrap() == bytes(1));
    assert_eq!((s3.count("UploadPart"), s3.count("CreateMultipartUpload")), (PARTS - 3, 0));
    assert!(s3.uploads("lake").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_of_another_state_of_the_source_are_given_up() {
    let place = Place::new().await;
    let file = place.home.scratch("big.bin");
    std::fs::write(&file, bytes(1)).unwrap();
    let command = ["cp", file.to_str().unwrap(), "sl:in/big.bin"];
    place.stall("UploadPart", 3);
    let s3 = place.s3.state();
    place.killed(&command, || s3.part_count("lake") >= 3);
    place.go_on();
    std::fs::write(&file, bytes(2)).unwrap();
    place.home.run(&command).good();
    assert!(s3.get("lake", "in/big.bin").unwrap() == bytes(2));
    assert_eq!((s3.count("UploadPart"), s3.count("AbortMultipartUpload")), (PARTS, 1));
    assert!(s3.uploads("lake").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_gives_up_what_nobody_goes_on_with_and_leaves_what_somebody_does() {
    let place = Place::new().await;
    let file = place.home.scratch("big.bin");
    std::fs::write(&file, bytes(1)).unwrap();
    let command = ["cp", file.to_str().unwrap(), "sl:in/big.bin"];
    place.stall("UploadPart", 2);
    let s3 = place.s3.state();
    let checks = || place.home.run(&["-o", "json", "doctor"]).stdout;
    place.killed(&command, || {
        if s3.part_count("lake") < 2 {
            return false;
        }
        assert!(checks().contains("no run has left an unfinished upload"));
        assert_eq!(s3.uploads("lake").len(), 1);
        true
    });
    assert_eq!(s3.uploads("lake").len(), 1);
    let text = checks();
    assert!(text.contains("an unfinished upload of an interrupted run was given up"), "{text}");
    assert!(s3.uploads("lake").is_empty());
    place.go_on();
    place.home.run(&command).good();
    assert!(s3.get("lake", "in/big.bin").unwrap() == bytes(1));
}

/// A kill between the service's act and our note of it leaves nothing behind either.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_whose_name_was_never_heard_of_is_found_and_given_up() {
    let place = Place::new().await;
    let file = place.home.scratch("big.bin");
    std::fs::write(&file, bytes(1)).unwrap();
    let command = ["cp", file.to_str().unwrap(), "sl:in/big.bin"];
    let s3 = place.s3.state();
    for by_doctor in [false, true] {
        let late = FaultKind::Late(Duration::from_mins(10));
        s3.add_fault(Fault::new("CreateMultipartUpload", late).always());
        place.killed(&command, || !s3.uploads("lake").is_empty());
        place.go_on();
        if by_doctor {
            let text = place.home.run(&["-o", "json", "doctor"]).stdout;
            assert!(
                text.contains("an unfinished upload of an interrupted run was given up"),
                "{text}"
            );
            assert!(s3.uploads("lake").is_empty());
        }
        place.home.run(&command).good();
        assert!(s3.get("lake", "in/big.bin").unwrap() == bytes(1));
        assert_eq!(s3.count("AbortMultipartUpload"), 1);
        assert!(s3.uploads("lake").is_empty());
        s3.remove("lake", "in/big.bin");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_was_killed_asks_only_for_what_is_missing() {
    let place = Place::new().await;
    let s3 = place.s3.state();
    s3.put("lake", "big.bin", large(1));
    let folder = place.home.scratch("down");
    std::fs::create_dir(&folder).unwrap();
    let command = ["cp", "sl:big.bin", &format!("{}/", folder.display())];
    place.killed_with_four_parts(&command, &folder);
    assert!(!folder.join("big.bin").exists());
    place.go_on();
    place.home.run(&command).good();
    assert!(std::fs::read(folder.join("big.bin")).unwrap() == large(1));
    assert_eq!(s3.count("GetObject"), PARTS - 4);
    assert_eq!(Place::left_in(&folder), [""; 0]);

    // What is left of an object that has changed is of no use, and goes.
    std::fs::remove_file(folder.join("big.bin")).unwrap();
    place.stall("GetObject", 4);
    place.killed(&command, || !Place::left_in(&folder).is_empty());
    s3.put("lake", "big.bin", large(2));
    place.go_on();
    place.home.run(&command).good();
    assert!(std::fs::read(folder.join("big.bin")).unwrap() == large(2));
    assert_eq!(Place::left_in(&folder), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_byte_in_what_was_left_of_a_download_is_found() {
    let place = Place::new().await;
    let s3 = place.s3.state();
    s3.put("lake", "big.bin", large(1));
    let folder = place.home.scratch("down");
    std::fs::create_dir(&folder).unwrap();
    let command = ["cp", "sl:big.bin", &format!("{}/", folder.display())];
    place.killed_with_four_parts(&command, &folder);
    let data = folder.join(&Place::left_in(&folder)[0]).join("data");
    let mut spoilt = std::fs::read(&data).unwrap();
    spoilt[100] ^= 1;
    std::fs::write(&data, spoilt).unwrap();
    place.go_on();
    place.home.run(&command).good();
    assert!(std::fs::read(folder.join("big.bin")).unwrap() == large(1), "it was fetched again");
}
