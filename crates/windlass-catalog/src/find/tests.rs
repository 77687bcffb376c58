use super::*;
use proptest::prelude::*;

fn object(key: &str) -> Object {
    Object { key: key.to_owned(), size: key.len() as u64, modified: None, etag: None, class: None }
}

fn find(keys: &[&str]) -> Findings {
    let mut finder = Finder::default();
    for key in keys {
        finder.add(&object(key));
    }
    finder.end()
}

fn said(found: &Findings) -> String {
    let line = |f: &Finding| {
        let format = f.format.as_deref().unwrap_or("-");
        format!("{} {:?} {format} {}: {}", f.path, f.what, f.heap.objects(), f.why.join("; "))
    };
    found.all.values().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn keys_become_tables_files_and_folders_each_with_a_reason() {
    let found = find(&[
        "sales/orders/dt=2024-01-01/part-0.parquet",
        "sales/orders/dt=2024-01-02/part-0.parquet",
        "sales/orders/dt=2024-01-02/_SUCCESS",
        "sales/customers/part-00000-5b7a2f0c-1111-4aaa-9bbb-0123456789ab-c000.snappy.parquet",
        "sales/customers/part-00001-5b7a2f0c-1111-4aaa-9bbb-0123456789ab-c000.snappy.parquet",
        "logs/app/2024/01/31/a.json.gz",
        "logs/app/2024/02/01/b.json.gz",
        "logs/nginx/20240101/x.csv",
        "delta/t/_delta_log/00000000000000000000.json",
        "delta/t/region=eu/p.parquet",
        "delta/t/old.parquet",
        "ice/t/metadata/00001-x.metadata.json",
        "ice/t/metadata/snap-1.avro",
        "ice/t/data/a/b.parquet",
        "reports/customers.csv",
        "reports/orders.csv",
        "reports/notes.txt",
        "images/a/1.png",
        "images/b/c/2.png",
        "hive/000000_0",
        "hive/000001_0",
        "backup/all.tar.gz",
        "top.csv",
        "top.txt",
        "mixed/a1.csv",
        "mixed/a2.csv",
        "mixed/x.json",
        "empty/",
    ]);
    insta::assert_snapshot!(said(&found));
    assert_eq!((found.artefacts, found.markers), (2, 1));
}

#[test]
fn a_finding_is_a_manifest() {
    let found = find(&[
        "a/t/dt=1/x.csv",
        "a/u/x.json",
        "a/u/deep/y.json",
        "img/x.png",
        "f/a.csv",
        "f/b.csv",
        "z/x.zip",
    ]);
    insta::assert_snapshot!(crate::manifest::print(&found.entries()));
    let text = crate::manifest::print(&found.entries());
    crate::manifest::Manifest::parse("m", &text, crate::manifest::Scope::Bucket).unwrap();
}

#[test]
fn very_many_differently_named_files_are_one_table() {
    let keys: Vec<String> = (0..100)
        .map(|n| {
            format!(
                "d/{}.csv",
                char::from(b'a' + n % 26).to_string().repeat(usize::from(n) / 26 + 1)
            )
        })
        .collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let found = find(&keys);
    assert_eq!(found.all.len(), 1);
    assert_eq!(found.all["d"].heap.objects(), 100);
}

fn keys() -> impl Strategy<Value = Vec<String>> {
    let level = prop_oneof![
        4 => "[a-c]",
        1 => Just("dt=2024-01-01".to_owned()),
        1 => "k=[0-9]",
        1 => Just("2024".to_owned()),
        1 => Just("01".to_owned()),
        1 => Just("20240101".to_owned()),
        1 => Just("_delta_log".to_owned()),
        1 => Just("metadata".to_owned()),
    ];
    let name = prop_oneof![
        4 => "[a-c][0-9]?\\.(csv|parquet|json|jsonl)",
        1 => "[a-b]\\.(png|txt)",
        1 => "part-0[0-9]",
        1 => Just("_SUCCESS".to_owned()),
        1 => Just("v1.metadata.json".to_owned()),
        1 => "x\\.(zip|tar\\.gz)",
        1 => Just(String::new()),
    ];
    let key = (proptest::collection::vec(level, 0..5), name).prop_map(|(mut levels, name)| {
        levels.push(name);
        levels.join("/")
    });
    proptest::collection::vec(key, 0..60).prop_map(|mut keys| {
        keys.retain(|key| !key.is_empty());
        keys.sort();
        keys.dedup();
        keys
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_key_is_lost_none_is_in_two_datasets_and_order_does_not_matter(keys in keys(), turn in 0usize..60) {
        let list: Vec<&str> = keys.iter().map(String::as_str).collect();
        let found = find(&list);
        // Every key is counted once: in a container, as an artefact, as a marker, or beside.
        let counted: u64 = found.all.values().map(|finding| finding.heap.objects()).sum();
        prop_assert_eq!(counted + found.artefacts + found.markers + found.beside, keys.len() as u64);
        // The owner of each key is one container, and each container counts exactly its own.
        let mut owned: std::collections::BTreeMap<&str, u64> = std::collections::BTreeMap::new();
        for key in &keys {
            if let Some(finding) = found.owner(key) {
                *owned.entry(&finding.path).or_default() += 1;
                let inside = finding.path == *key || key.starts_with(&format!("{}/", finding.path));
                prop_assert!(inside, "{} is not in {}", key, finding.path);
            }
        }
        for finding in found.all.values() {
            prop_assert_eq!(owned.get(finding.path.as_str()).copied().unwrap_or(0), finding.heap.objects(), "{}", finding.path);
        }
        let mut turned = list.clone();
        if !turned.is_empty() {
            turned.rotate_left(turn % list.len());
            turned.reverse();
        }
        let other = find(&turned);
        prop_assert_eq!(said(&other), said(&found));
        prop_assert!(other.all.values().zip(found.all.values()).all(|(a, b)| a.heap.fingerprint("") == b.heap.fingerprint("")));
    }
}
