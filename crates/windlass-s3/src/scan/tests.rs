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
        until: None,
        ordered,
        lazy: false,
        workers: WORKERS,
        spare: None,
        promised,
        orders: Arc::default(),
    }
}

async fn keys(fake: &Arc<Fake>, listing: Listing) -> Result<Vec<String>> {
    let rows = list(Arc::clone(fake) as Arc<dyn Pages>, listing);
    rows.map_ok(|row| row.key().to_owned()).try_collect().await
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
    let small = (0..2000).map(|n| format!("a/{n}/x"));
    let large = (0..60_000).map(|n| format!("m/logs/2026/{n:06}.gz"));
    let odd = ["m-1", "m.txt", "m/logs-old/1", "z", "zz/ü/é", "m/logs/"].map(str::to_owned);
    small.chain(large).chain(odd).collect()
}

fn tiny_folders() -> Vec<String> {
    (0..60_000).map(|n| format!("t/{:05}/{}", n / 2, n % 2)).collect()
}

/// Time stands still but for the latency of requests, so that it can be counted.
#[tokio::test(start_paused = true)]
async fn every_shape_is_listed_exactly_side_by_side_and_within_the_bound() {
    let hex_in_a_folder = || hex(60_000).into_iter().map(|key| format!("x/{key}")).collect();
    let shapes: [(&str, &str, Vec<String>); 8] = [
        ("flat", "flat/", flat(200_000)),
        ("deep", "", deep()),
        ("hex", "", hex(200_000)),
        ("flat from the root", "", flat(60_000)),
        ("hex in a folder", "x/", hex_in_a_folder()),
        ("skewed", "", skewed()),
        ("tiny folders", "t/", tiny_folders()),
        ("two pages", "", flat(1500)),
    ];
    let mut slow = Vec::new();
    for (name, prefix, all) in shapes {
        for (order, promised) in
            [(ListingOrder::Bytes, Some(ListingOrder::Bytes)), (ListingOrder::Segments, None)]
        {
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
                // Where folders are known and small, nothing is spent on guesses.
                assert!(name != "deep" || used <= plain + 70, "{line}");
                if plain > 50 && rounds * (if ordered { 2 } else { 3 }) > plain as u128 {
                    slow.push(line);
                }
            }
        }
    }
    assert!(slow.is_empty(), "{slow:#?}");
}

fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn names() -> impl Strategy<Value = Vec<String>> {
    prop_oneof![
        proptest::collection::vec("[ab0-2/.é-]{1,7}", 0..400),
        proptest::collection::vec("(a|a-|a.)/?[0-9]{1,3}(/[a-f]{1,2})?", 0..400),
        (1..3000_u32).prop_map(|n| (0..n).map(|n| format!("d/{n:05}")).collect()),
        (1..2000_u32).prop_map(|n| (0..n).map(|n| format!("{:x}/{n}", n % 7)).collect()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn side_by_side_shows_what_plain_shows(
        all in names(),
        segments: bool,
        promised: bool,
        ordered: bool,
        repeats: bool,
        page in 2..40_usize,
        latency in 0..3_u64,
        prefix in prop_oneof![Just(""), Just("a"), Just("a/"), Just("d/")],
        fails_after in prop_oneof![Just(usize::MAX), 0..60_usize],
    ) {
        let order = if segments { ListingOrder::Segments } else { ListingOrder::Bytes };
        let mut fake = Fake::new(order, all);
        let promised = (promised && !repeats).then_some(order);
        (fake.page, fake.repeats, fake.fails_after) = (page, repeats, fails_after);
        fake.latency = Duration::from_millis(latency);
        let fake = Arc::new(fake);
        let expected = fake.keys(prefix);
        let (rows, failed) = one_thread().block_on(async {
            let (mut rows, mut failed) = (Vec::new(), false);
            let mut found = list(Arc::clone(&fake) as Arc<dyn Pages>, listing(prefix, ordered, promised));
            while let Some(row) = found.next().await {
                match row {
                    Ok(row) => rows.push(row.key().to_owned()),
                    Err(_) => failed = true,
                }
            }
            (rows, failed)
        });
        let used = fake.requests.load(Ordering::SeqCst);
        let plain = if repeats { expected.len() / (page - 1) + 1 } else { fake.plain(prefix) };
        // Where parts may not fit, all may be read once more: keys on two pages, or a cut that is a
        // folder's name, made before any folder was seen, by a service whose order is not known.
        let again = repeats || (segments && promised.is_none());
        let tenths = if again { 22 } else { 12 };
        prop_assert!(used * 10 <= plain * tenths + 500, "{used} for {plain}");
        prop_assert!(failed || used <= fails_after || rows.len() == expected.len());
        if ordered {
            prop_assert_eq!(&rows[..], &expected[..rows.len()]);
        }
        let (mut rows, mut expected) = (rows, expected);
        rows.sort();
        expected.sort();
        if failed {
            prop_assert!(rows.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert!(rows.iter().all(|key| expected.binary_search(key).is_ok()));
        } else {
            prop_assert_eq!(rows, expected);
        }
    }

    #[test]
    fn a_service_without_order_is_listed_whole(
        swaps in proptest::collection::vec((0..3000_usize, 0..3000_usize), 1..6),
        page in 2..200_usize,
        ordered: bool,
    ) {
        let mut all: Vec<String> = (0..3000).map(|n| format!("d/{n:05}")).collect();
        for (one, two) in swaps {
            all.swap(one, two);
        }
        let mut fake = Fake::as_given(ListingOrder::Bytes, all.clone());
        fake.page = page;
        let fake = Arc::new(fake);
        let mut rows = one_thread().block_on(keys(&fake, listing("", ordered, None))).unwrap();
        rows.sort();
        all.sort();
        prop_assert_eq!(rows, all);
    }
}

#[tokio::test]
async fn nothing_is_split_before_the_first_page_was_read() {
    let fake = Arc::new(Fake::new(ListingOrder::Bytes, flat(50_000)));
    let first =
        list(Arc::clone(&fake) as Arc<dyn Pages>, listing("", true, Some(ListingOrder::Bytes)));
    let rows: Vec<_> = first.take(10).collect().await;
    tokio::task::yield_now().await;
    assert_eq!(rows.len(), 10);
    assert!(fake.requests.load(Ordering::SeqCst) <= 2);
}

#[tokio::test]
async fn one_worker_lists_plainly() {
    let fake = Arc::new(Fake::new(ListingOrder::Bytes, flat(50_000)));
    let plain = Listing { workers: 1, ..listing("flat/", true, Some(ListingOrder::Bytes)) };
    assert_eq!(keys(&fake, plain).await.unwrap(), fake.keys(""));
    assert_eq!(fake.requests.load(Ordering::SeqCst), 50);
    assert_eq!(fake.peak.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn where_byte_order_is_promised_nothing_is_read_behind_what_is_wanted() {
    for (name, all) in [("flat/", flat(200_000)), ("", deep())] {
        let until = all[20_500].clone();
        for (ordered, cuts) in [(true, true), (false, true), (true, false)] {
            let mut fake = Fake::new(ListingOrder::Bytes, all.clone());
            fake.latency = Duration::from_millis(10);
            let fake = Arc::new(fake);
            let listing = Listing {
                until: Some(until.clone()),
                workers: if cuts { WORKERS } else { 1 },
                ..listing(name, ordered, Some(ListingOrder::Bytes))
            };
            let mut found = keys(&fake, listing).await.unwrap();
            found.sort();
            assert!(found == all[..=20_500], "{} of 20501", found.len());
            let used = fake.requests.load(Ordering::SeqCst);
            assert!(used * 10 <= 21 * 12 + 500, "{used}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_may_spend_less_does() {
    for ordered in [false, true] {
        let mut fake = Fake::new(ListingOrder::Bytes, flat(50_000));
        fake.latency = Duration::from_millis(10);
        let fake = Arc::new(fake);
        let poor =
            Listing { spare: Some(0), ..listing("flat/", ordered, Some(ListingOrder::Bytes)) };
        assert_eq!(keys(&fake, poor).await.unwrap().len(), 50_000);
        let used = fake.requests.load(Ordering::SeqCst);
        assert!(used <= 60, "{used}");
    }
}

#[tokio::test]
async fn the_order_that_was_found_is_remembered() {
    for order in [ListingOrder::Bytes, ListingOrder::Segments] {
        let fake = Arc::new(Fake::new(order, deep()));
        let listing = listing("", false, None);
        let orders = Arc::clone(&listing.orders);
        keys(&fake, listing).await.unwrap();
        assert_eq!(orders.found(), Some(order));
    }
}

#[tokio::test]
async fn who_reads_only_the_first_page_costs_one_request_and_may_read_on() {
    let fake = Arc::new(Fake::new(ListingOrder::Bytes, flat(20_000)));
    let lazy = Listing { lazy: true, ..listing("flat/", true, None) };
    let mut rows = list(Arc::clone(&fake) as Arc<dyn Pages>, lazy);
    let mut found = Vec::new();
    for _ in 0..1000 {
        found.push(rows.next().await.unwrap().unwrap().key().to_owned());
    }
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.requests.load(Ordering::SeqCst), 1);
    found.extend(rows.map_ok(|row| row.key().to_owned()).try_collect::<Vec<_>>().await.unwrap());
    assert_eq!(found, fake.keys(""));
}
