//! Bytes that are fetched before they are asked for.

use super::fake::Fake;
use crate::ahead::{SHORT, pieces};
use crate::files::{Noted, SourceFile};
use futures::TryStreamExt as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use windlass_types::ObjectPath;

/// Bytes of a piece: several in each request, and one that is cut short.
const SIZE: usize = 1500;

/// A file of so many short requests and a bit, and who gives it.
fn file(count: u64, slow: Duration) -> (Arc<Fake>, Arc<SourceFile>, Vec<u8>) {
    let mut fake = Fake::new("one");
    fake.slow = slow;
    let bytes: Vec<u8> = (0..count * SHORT + 5).map(|at| (at / 7 % 251) as u8).collect();
    fake.put_object("a", &bytes);
    let fake = Arc::new(fake);
    let file = SourceFile {
        storage: Arc::clone(&fake) as windlass_s3::Storage,
        object: ObjectPath { bucket: "lake".to_owned(), key: "a".to_owned() },
        size: bytes.len() as u64,
        etag: None,
        modified: None,
        member: None,
        base: 0,
        noted: Noted::default(),
    };
    (fake, Arc::new(file), bytes)
}

async fn read(file: &Arc<SourceFile>, offset: u64) -> Vec<u8> {
    let mut all = Vec::new();
    let mut pieces = pieces(Arc::clone(file), offset, SIZE);
    while let Some((from, piece)) = pieces.try_next().await.unwrap() {
        assert_eq!(from, offset + all.len() as u64);
        assert!(piece.len() <= SIZE);
        all.extend(piece);
    }
    all
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_near_is_asked_for_much_at_once() {
    let (fake, file, bytes) = file(20, Duration::from_millis(1));
    assert_eq!(read(&file, 0).await, bytes);
    // Two short ones until it is known, then long ones for what is left of 20 and a bit.
    assert_eq!(fake.count_gets(), 2 + 3);
    let from = 3 * SHORT + 1;
    assert_eq!(read(&file, from).await, bytes[usize::try_from(from).unwrap()..]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_is_far_is_asked_for_several_at_a_time() {
    let (fake, file, bytes) = file(20, Duration::from_millis(100));
    let begun = Instant::now();
    assert_eq!(read(&file, 0).await, bytes);
    assert_eq!(fake.count_gets(), 21);
    // One after another they would take 2.1 seconds.
    assert!(begun.elapsed() <= Duration::from_millis(700), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_cannot_be_read_is_no_end() {
    let (fake, file, _) = file(20, Duration::ZERO);
    let mut pieces = pieces(file, 0, SIZE);
    pieces.try_next().await.unwrap().unwrap();
    fake.deny("a");
    let error = pieces.try_fold((), |(), _| async { Ok(()) }).await.unwrap_err();
    assert_eq!(error.code(), windlass_types::ErrorCode::ConnectionDenied);
}
