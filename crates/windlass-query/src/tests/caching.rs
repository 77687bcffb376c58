//! What is remembered of Parquet files, and what their footers are good for.

use super::fake::Fake;
use super::files::parquet;
use super::{Bench, lines};
use crate::cache::Caches;
use crate::files::{Noted, SourceFile};
use crate::store::{QueryStore, Told};
use arrow::array::{ArrayRef, BinaryArray, Int64Array, StringArray};
use arrow::datatypes::DataType;
use futures::TryStreamExt as _;
use std::collections::HashSet;
use std::sync::Arc;
use windlass_formats::bad::BadFiles;
use windlass_types::ObjectPath;

fn names(of: &[&str]) -> Vec<u8> {
    parquet(vec![("name", Arc::new(StringArray::from(of.to_vec())) as ArrayRef)])
}

fn numbers(count: i64) -> Vec<u8> {
    let ids: Vec<i64> = (0..count).collect();
    parquet(vec![("id", Arc::new(Int64Array::from(ids)) as ArrayRef)])
}

fn storage(name: &str, identity: Option<&str>, bytes: &[u8]) -> Arc<Fake> {
    let mut fake = Fake::new(name);
    fake.identity = identity.map(str::to_owned);
    fake.put_object("a.parquet", bytes);
    Arc::new(fake)
}

fn bench(storages: &[&Arc<Fake>]) -> Bench {
    let mut bench = Bench::new::<&[u8]>(&[]);
    for fake in storages {
        let name = windlass_s3::access::ObjectAccess::name(fake.as_ref()).as_str().to_owned();
        bench.fabric.storages.insert(name, Arc::clone(fake));
    }
    bench
}

#[tokio::test]
async fn what_was_read_is_not_read_again_until_the_object_changes() {
    let fake = storage("one", Some("me"), &names(&["x", "y"]));
    let bench = bench(&[&fake]);
    let query = "SELECT name FROM one.\"a.parquet\" WHERE name > 'x'";
    assert_eq!(bench.ask(query).await, "y");
    assert_eq!(fake.take_gets(), ["a.parquet"]);
    assert_eq!(bench.ask(query).await, "y");
    assert_eq!(fake.take_gets(), Vec::<String>::new());
    fake.put_object("a.parquet", &names(&["x", "z"]));
    assert_eq!(bench.ask(query).await, "z");
    assert_eq!(fake.take_gets(), ["a.parquet"]);
}

#[tokio::test]
async fn nobody_gets_what_another_identity_read() {
    // Key, size and ETag are the same: only who reads tells them apart.
    let (mine, yours) = (names(&["x", "mine"]), names(&["x", "your"]));
    assert_eq!(mine.len(), yours.len());
    let (mine, yours) = (storage("one", Some("me"), &mine), storage("two", Some("you"), &yours));
    let bench = bench(&[&mine, &yours]);
    assert_eq!(
        bench.ask("SELECT max(name) FROM one.\"a.parquet\" WHERE name <> 'x'").await,
        "mine"
    );
    assert_eq!(
        bench.ask("SELECT max(name) FROM two.\"a.parquet\" WHERE name <> 'x'").await,
        "your"
    );
}

#[tokio::test]
async fn without_an_identity_nothing_is_kept() {
    let fake = storage("one", None, &names(&["x"]));
    let bench = bench(&[&fake]);
    for _ in 0..2 {
        assert_eq!(bench.ask("SELECT name FROM one.\"a.parquet\"").await, "x");
        assert_eq!(fake.take_gets(), ["a.parquet"]);
    }
}

#[test]
fn files_that_are_not_kept_share_no_path_between_queries() {
    let file = Arc::new(SourceFile {
        storage: storage("one", None, &[]),
        object: ObjectPath { bucket: "b".to_owned(), key: "a.parquet".to_owned() },
        size: 1,
        etag: None,
        modified: None,
        member: None,
        base: 0,
        noted: Noted::default(),
    });
    let mut paths = HashSet::new();
    for query in 1..=12 {
        let told = Told::new(Arc::new(BadFiles::default()), "default", query);
        let store = QueryStore::new(told, Caches::within(1 << 20));
        for _ in 0..12 {
            assert!(paths.insert(store.add(&file).location), "of query {query}");
        }
    }
}

#[tokio::test]
async fn footers_say_which_side_of_a_join_is_small() {
    let bench = Bench::new(&[("small.parquet", numbers(10)), ("large.parquet", numbers(5000))]);
    let plan = bench
        .ask(
            "EXPLAIN SELECT count(*) FROM landing.\"large.parquet\" l \
             JOIN landing.\"small.parquet\" s ON l.id = s.id",
        )
        .await;
    let join = &plan[plan.find("HashJoinExec").expect(&plan)..];
    let (small, large) = (join.find("small.parquet").unwrap(), join.find("large.parquet").unwrap());
    assert!(small < large, "the small one is held in memory:\n{plan}");
}

#[tokio::test]
async fn columns_that_differ_between_files_have_no_wrong_bounds() {
    let wide = parquet(vec![("id", Arc::new(Int64Array::from(vec![10, 30])) as ArrayRef)]);
    let narrow = arrow::array::Int32Array::from(vec![1, 2]);
    let narrow = parquet(vec![("id", Arc::new(narrow) as ArrayRef)]);
    let bench = Bench::new(&[("p/1.parquet", wide), ("p/2.parquet", narrow)]);
    let of = |what: &str| format!("SELECT {what} FROM landing.\"p/\"");
    assert_eq!(bench.ask(&of("min(id), max(id), count(*)")).await, "1|30|4");
    assert_eq!(bench.ask(&format!("{} WHERE id < 5", of("count(*)"))).await, "2");
    assert_eq!(bench.ask(&format!("{} WHERE id > 5", of("sum(id)"))).await, "40");
}

#[tokio::test]
async fn rows_and_descriptions_have_plain_text() {
    let bytes = BinaryArray::from(vec![b"b".as_slice()]);
    let name: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let file = parquet(vec![("name", name), ("bytes", Arc::new(bytes) as ArrayRef)]);
    let bench = Bench::new(&[("a.parquet", file)]);
    let query = "SELECT * FROM landing.\"a.parquet\"";
    let rows = bench.rows(query).await.unwrap();
    let kinds: Vec<DataType> =
        rows.schema.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(kinds, [DataType::Utf8, DataType::Binary]);
    let batches: Vec<_> = rows.stream.try_collect().await.unwrap();
    assert_eq!(batches[0].schema().field(0).data_type(), &DataType::Utf8);
    assert_eq!(lines(&batches), "a|62");
    let columns = bench.engine.columns(query, "default", bench.resolver()).await.unwrap();
    assert_eq!(columns.field(0).data_type(), &DataType::Utf8);
    let described = bench.describe(&["landing", "a.parquet"]).await;
    assert!(
        described.starts_with("name|TEXT|true|column|\nbytes|BYTEA|true|column|"),
        "{described}"
    );
}

#[tokio::test]
async fn a_footer_that_is_none_fails_the_query_and_names_the_file() {
    let names: Vec<String> = (10..30).map(|at| format!("p/{at}.parquet")).collect();
    let good = numbers(3);
    // Its length says that the footer is longer than the file; of the second, that it is nothing.
    let mut long = good.clone();
    let at = long.len() - 8;
    long[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    let mut noise = good.clone();
    noise[at - 40..at].fill(0xff);
    for bad in [long, noise] {
        let mut objects: Vec<(&str, &[u8])> =
            names.iter().map(|name| (name.as_str(), good.as_slice())).collect();
        // Not one of those that the columns are learnt from.
        objects[9].1 = &bad;
        let bench = Bench::new(&objects);
        let answer = bench.ask("SELECT sum(id) FROM landing.\"p/\"").await;
        assert!(answer.starts_with("error[format.invalid]"), "{answer}");
        assert!(answer.contains("p/19.parquet"), "{answer}");
    }
}
