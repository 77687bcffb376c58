use super::*;
use crate::fake::Fake;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_s3::local::LocalStore;
use windlass_types::{LocalSpec, Name};

async fn lines(left: Side, right: Side, options: DiffOptions) -> String {
    let found: Vec<Difference> = diff(left, right, options).try_collect().await.unwrap();
    let lines: Vec<String> = found
        .iter()
        .map(|one| format!("{:?} {} {}", one.kind, one.path, one.by.as_deref().unwrap_or("")))
        .collect();
    lines.join("\n")
}

fn entry(path: &str, size: u64) -> Entry {
    Entry {
        key: path.to_owned(),
        kind: EntryKind::Object,
        path: path.to_owned(),
        size: Some(size),
        last_modified: None,
        etag: None,
        storage_class: None,
    }
}

#[tokio::test]
async fn listings_in_another_order_are_compared_rightly() {
    let left = Fake::with("left", |fake| fake.by_segments = true);
    let right = Arc::new(Fake::new("right"));
    for key in ["x/B", "x/a/b!", "x/a/c", "x/a-b", "x/a.txt", "x/a0", "x/only"] {
        left.set(key, key.to_owned());
    }
    for key in ["y/B", "y/a/b!", "y/a/c", "y/a-b", "y/a.txt", "y/a0", "y/more"] {
        right.set(key, key.replace('y', "x"));
    }
    right.set("y/a.txt", "other!!");
    right.set("y/a0", "longer than that");
    let options =
        DiffOptions { sort: SortLimits { run_bytes: 300, fan_in: 2 }, ..DiffOptions::default() };
    insta::assert_snapshot!(lines(left.side("x/"), right.side("y/"), options.clone()).await, @r"
    Differs a.txt content
    Differs a0 size
    OnlyRight more 
    OnlyLeft only 
    ");
    let same = DiffOptions { same: true, ..options };
    assert!(lines(left.side("x/B"), right.side("y/B"), same).await.starts_with("Same  content"));
}

#[tokio::test]
async fn a_place_that_is_not_there_is_an_error_on_either_side() {
    let (there, empty) = (Arc::new(Fake::new("there")), Arc::new(Fake::new("empty")));
    there.set("p/x", "1");
    there.set("none/x", "1");
    let root = tempfile::tempdir().unwrap();
    let spec = LocalSpec { root: root.path().to_owned(), read_only: false, case_sensitive: None };
    let store = Arc::new(LocalStore::open(Name::new("disk").unwrap(), spec).unwrap());
    let disk = |key: &str| Side {
        storage: store.clone(),
        location: Location { bucket: Some(".".into()), key: key.into() },
    };
    let code = |left: Side, right: Side, exclude: &'static str| async move {
        let filter = Filter {
            exclude: vec![windlass_types::KeyPattern::parse(exclude).unwrap()],
            ..Filter::default()
        };
        let options = DiffOptions { filter, one_way: true, ..DiffOptions::default() };
        let found: Result<Vec<Difference>> = diff(left, right, options).try_collect().await;
        found.map(|found| found.len()).map_err(|error| error.code())
    };
    let missing = Err(windlass_types::ErrorCode::ObjectNotFound);
    for exclude in ["tmp", "other/"] {
        assert_eq!(code(there.side("q/"), there.side("p/"), exclude).await, missing);
        assert_eq!(code(there.side("p/"), there.side("q/"), exclude).await, missing);
        assert_eq!(code(disk("absent/"), there.side("p/"), exclude).await, missing);
        assert_eq!(code(there.side("q/*"), there.side("p/"), exclude).await, missing);
        assert_eq!(code(there.side("p/y"), there.side("p/"), exclude).await, missing);
        // An empty bucket, and an empty folder of a machine, are there.
        assert_eq!(code(empty.side(""), there.side("p/"), exclude).await, Ok(0));
        assert_eq!(code(disk(""), there.side("p/"), exclude).await, Ok(0));
    }
    assert_eq!(code(there.side("p/"), there.side("p/"), "x").await, Ok(0), "all is excluded");
}

#[test]
fn the_other_side_is_where_a_copy_would_go() {
    let rows = [
        ("a/", "b/", "b/"),
        ("a/", "b", "b/"),
        ("", "b", "b/"),
        ("a/x", "b/", "b/x"),
        ("a/x", "b", "b"),
        ("a/*.csv", "b", "b/*.csv"),
        ("a/d*/x", "", "d*/x"),
        ("a/*.csv", "b/*.txt", "b/*.txt"),
    ];
    for (left, right, expected) in rows {
        assert_eq!(crate::naming::counterpart(left, right).unwrap(), expected, "{left} {right}");
    }
}

#[tokio::test]
async fn a_listing_that_fails_makes_nothing_look_missing() {
    let left = Fake::with("left", |fake| fake.list_breaks = Some(1));
    let right = Arc::new(Fake::new("right"));
    for key in ["a", "b", "c"] {
        left.set(key, "1");
        right.set(key, "1");
    }
    let found: Vec<Result<Difference>> =
        diff(left.side(""), right.side(""), DiffOptions::default()).collect().await;
    assert_eq!(found.len(), 1);
    assert!(found[0].is_err());
}

#[tokio::test]
async fn files_of_this_machine_are_compared_by_content() {
    let root = tempfile::tempdir().unwrap();
    let right = Arc::new(Fake::new("right"));
    for (key, here, there) in [("d/same", "12", "12"), ("d/other", "12", "21"), ("d/here", "1", "")]
    {
        std::fs::create_dir_all(root.path().join("d")).unwrap();
        std::fs::write(root.path().join(key), here).unwrap();
        if !there.is_empty() {
            right.set(key, there);
        }
    }
    let spec = LocalSpec { root: root.path().to_owned(), read_only: false, case_sensitive: None };
    let side = Side {
        storage: Arc::new(LocalStore::open(Name::new("disk").unwrap(), spec).unwrap()),
        location: Location { bucket: Some(".".into()), key: "d/".into() },
    };
    insta::assert_snapshot!(lines(side, right.side("d/"), DiffOptions { same: true, ..DiffOptions::default() }).await, @r"
    OnlyLeft here 
    Differs other content
    Same same content
    ");
}

#[tokio::test]
async fn sides_promised_in_byte_order_are_compared_as_they_come() {
    let left = Fake::with("left", |fake| fake.promised = true);
    let right = Fake::with("right", |fake| {
        fake.promised = true;
        fake.list_breaks = Some(2);
    });
    for key in ["a", "b", "c", "d"] {
        left.set(key, "1");
        right.set(&key.replace('a', "aa"), "1");
    }
    let found: Vec<Result<Difference>> =
        diff(left.side(""), right.side(""), DiffOptions::default()).collect().await;
    let said: Vec<&str> =
        found.iter().filter_map(|one| one.as_ref().ok()).map(|one| one.path.as_str()).collect();
    assert_eq!(said, ["a", "aa"]);
    assert!(found.last().unwrap().is_err());
}

#[test]
fn the_merge_notices_a_side_out_of_order() {
    let mut merge = Merge::new();
    merge.push(Which::Left, "b".into(), entry("b", 1)).unwrap();
    assert_eq!(merge.wants(), Some(Which::Right));
    merge.end(Which::Right, End::Complete);
    assert_eq!(merge.pop().unwrap().kind, Kind::OnlyLeft);
    let error = merge.push(Which::Left, "a".into(), entry("a", 1)).unwrap_err();
    insta::assert_snapshot!(error, @"the listing is not in order: `a` came after `b`");
}

/// How a side lists.
#[derive(Debug, Clone, Copy)]
enum How {
    Bytes,
    Segments,
    Disorder,
    Promised,
}

fn how() -> impl Strategy<Value = How> {
    prop_oneof![Just(How::Bytes), Just(How::Segments), Just(How::Disorder)]
}

fn place(how: How, name: &str, keys: &BTreeMap<String, u8>) -> Side {
    let fake = Fake::with(name, |fake| match how {
        How::Bytes => {}
        How::Segments => fake.by_segments = true,
        How::Disorder => fake.disordered = true,
        How::Promised => fake.promised = true,
    });
    for (key, size) in keys {
        fake.set(&format!("p/{key}"), vec![b'x'; usize::from(*size)]);
    }
    fake.side("p/")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn sides_of_any_two_orders_are_compared_exactly(
        left in proptest::collection::btree_map("(a|b)?[ab0/.é-]{1,4}", 1_u8..3, 0..40),
        right in proptest::collection::btree_map("(a|b)?[ab0/.é-]{1,4}", 1_u8..3, 0..40),
        both in proptest::collection::btree_map("a{0,2}[/.-]?[ab0]{1,2}", 1_u8..3, 0..40),
        one in how(),
        two in prop_oneof![how(), Just(How::Promised)],
    ) {
        let with = |mut side: BTreeMap<String, u8>| {
            side.extend(both.clone());
            // Directory markers and odd levels, which every store but a folder may have.
            side.extend(["a", "a/", "a//b", "a-b", "a/b", "a0"].map(|key| (key.to_owned(), 1)));
            side
        };
        let (left, right) = (with(left), with(right));
        let mut expected = Vec::new();
        for path in left.keys().chain(right.keys()).collect::<std::collections::BTreeSet<_>>() {
            let kind = match (left.get(path), right.get(path)) {
                (Some(one), Some(two)) if one == two => Kind::Same,
                (Some(_), Some(_)) => Kind::Differs,
                (Some(_), None) => Kind::OnlyLeft,
                (None, _) => Kind::OnlyRight,
            };
            expected.push((path.clone(), kind));
        }
        let options = DiffOptions {
            same: true,
            sort: SortLimits { run_bytes: 300, fan_in: 2 },
            ..DiffOptions::default()
        };
        let sides = (place(one, "left", &left), place(two, "right", &right));
        let found: Vec<Difference> = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap()
            .block_on(diff(sides.0, sides.1, options).try_collect())
            .unwrap();
        let mut found: Vec<_> = found.into_iter().map(|one| (one.path, one.kind)).collect();
        // A key that a side shows twice may be said to be the same twice, never to be missing.
        found.dedup();
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn the_merge_says_what_comparing_two_maps_says(
        left in proptest::collection::btree_map("[ab/]{1,3}", 0_u64..3, 0..12),
        right in proptest::collection::btree_map("[ab/]{1,3}", 0_u64..3, 0..12),
    ) {
        let mut expected = BTreeMap::new();
        for path in left.keys().chain(right.keys()) {
            let kind = match (left.get(path), right.get(path)) {
                (Some(one), Some(two)) if one == two => Kind::Same,
                (Some(_), Some(_)) => Kind::Differs,
                (Some(_), None) => Kind::OnlyLeft,
                (None, _) => Kind::OnlyRight,
            };
            expected.insert(path.clone(), kind);
        }
        let mut lanes = [left.into_iter(), right.into_iter()];
        let mut merge = Merge::new();
        let mut found = Vec::new();
        while let Some(which) = merge.wants() {
            match lanes[usize::from(which == Which::Right)].next() {
                Some((path, size)) => merge.push(which, path.clone(), entry(&path, size)).unwrap(),
                None => merge.end(which, End::Complete),
            }
            while let Some(one) = merge.pop() {
                found.push((one.path, one.kind));
            }
        }
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}
