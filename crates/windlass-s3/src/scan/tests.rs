use super::fake::Fake;
use super::*;
use futures::TryStreamExt as _;
use proptest::prelude::*;
use std::sync::atomic::Ordering;
use std::time::Duration;

fn listing(prefix: &str, ordered: bool, promised: Option<ListingOrder>) -> Listing {
    Listing {
        what: format!("the listing of `{prefix}`"),
        prefix: prefix.to_owned(),
        start_after: None,
        ordered,
        workers: WORKERS,
        promised,
        orders: Arc::default(),
    }
}

async fn keys(fake: &Arc<Fake>, listing: Listing) -> Result<Vec<String>> {
    let rows = list(Arc::clone(fake) as Arc<dyn Pages>, listing);
    rows.map_ok(|entry| entry.key).try_collect().await
}

/// What a whole listing took, which must be exact: requests, and the time in latencies of one.
async fn cost(
    mut fake: Fake,
    prefix: &str,
    ordered: bool,
    promised: Option<ListingOrder>,
) -> (usize, u128) {
    fake.latency = Duration::from_millis(10);
    let fake = Arc::new(fake);
    let begun = tokio::time::Instant::now();
    let mut found = keys(&fake, listing(prefix, ordered, promised)).await.unwrap();
    let rounds = begun.elapsed().as_millis() / 10;
    let mut expected = fake.keys(prefix);
    if !ordered {
        found.sort();
        expected.sort();
    }
    assert!(found == expected, "{} of {}", found.len(), expected.len());
    (fake.requests.load(Ordering::SeqCst), rounds)
}

fn flat(n: usize) -> Vec<String> {
    (0..n).map(|n| format!("flat/{n:07}.txt")).collect()
}

fn deep() -> Vec<String> {
    (0..200_000).map(|n| format!("tree/dir{:03}/file{:04}.dat", n / 1000, n % 1000)).collect()
}

/// Names that look random, always the same.
fn hex(n: u64) -> Vec<String> {
    (0..n).map(|n| format!("{:016x}", n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 7))).collect()
}

fn skewed() -> Vec<String> {
    let small = (0..3000).map(|n| format!("a/{n}/x"));
    let large = (0..150_000).map(|n| format!("m/logs/2026/{n:06}.gz"));
    let odd = ["m-1", "m.txt", "m/logs-old/1", "z", "zz/ü/é", "m/logs/"].map(str::to_owned);
    small.chain(large).chain(odd).collect()
}

fn tiny_folders() -> Vec<String> {
    (0..60_000).map(|n| format!("t/{:05}/{}", n / 2, n % 2)).collect()
}

/// Time stands still but for the latency of requests, so that it can be counted.
#[tokio::test(start_paused = true)]
async fn every_shape_is_listed_exactly_side_by_side_and_within_the_bound() {
    let shapes: [(&str, &str, Vec<String>); 8] = [
        ("flat", "flat/", flat(200_000)),
        ("flat from the root", "", flat(200_000)),
        ("deep", "", deep()),
        ("hex", "", hex(200_000)),
        ("hex in a folder", "x/", hex(200_000).into_iter().map(|key| format!("x/{key}")).collect()),
        ("skewed", "", skewed()),
        ("tiny folders", "t/", tiny_folders()),
        ("two pages", "", flat(1500)),
    ];
    let mut slow = Vec::new();
    for (name, prefix, all) in shapes {
        for (order, promised) in [
            (ListingOrder::Bytes, Some(ListingOrder::Bytes)),
            (ListingOrder::Bytes, None),
            (ListingOrder::Segments, None),
        ] {
            for ordered in [false, true] {
                let fake = Fake::new(order, all.clone());
                let plain = fake.plain(prefix);
                let (used, rounds) = cost(fake, prefix, ordered, promised).await;
                let line = format!(
                    "{name}, {order:?}, promised {}, ordered {ordered}: {used} requests, plain {plain}, {rounds} rounds",
                    promised.is_some(),
                );
                println!("{line}");
                assert!(used * 10 <= plain * 12 + 500, "{line}");
                if plain > 50 && rounds * 4 > plain as u128 {
                    slow.push(line);
                }
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}
