//! Paths, formats, partitions and types.

use super::Bench;
use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow::record_batch::RecordBatch;
use async_compression::tokio::bufread::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use parquet::arrow::ArrowWriter;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;
use windlass_types::{ErrorCode, OptionValue};

pub(super) fn parquet(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn text(value: &str) -> OptionValue {
    OptionValue::Text(value.to_owned())
}

#[tokio::test]
async fn keys_are_exact_whatever_characters_they_have() {
    let keys = [
        "a//b.csv",
        "a b/c d.csv",
        "x%2Fy.csv",
        "ü/日本.csv",
        "./.././z.csv",
        "p=q&r#s.csv",
        "tab\there.csv",
    ];
    let objects: Vec<(&str, &str)> = keys.iter().map(|key| (*key, "id\n7\n")).collect();
    let bench = Bench::new(&objects);
    for key in keys {
        assert_eq!(bench.ask(&format!("SELECT id FROM landing.\"{key}\"")).await, "7", "{key}");
    }
    assert_eq!(bench.ask("SELECT count(*) FROM landing.\"a*/**\"").await, "2");
    assert_eq!(bench.ask("SELECT id FROM landing.\"s3://lake/a//b.csv\"").await, "7");
}

#[tokio::test]
async fn a_glob_matches_a_level_and_a_prefix_everything_below() {
    let bench = Bench::new(&[
        ("o/a.csv", "id\n1\n"),
        ("o/b.csv", "id\n2\n"),
        ("o/deep/c.csv", "id\n4\n"),
        ("o/_SUCCESS", "x"),
        ("o/_tmp/d.csv", "id\n8\n"),
        ("o/.hidden.csv", "id\n16\n"),
        ("o/folder/", ""),
        ("o/empty.csv", ""),
    ]);
    assert_eq!(bench.ask("SELECT sum(id) FROM landing.\"o/*.csv\"").await, "3");
    assert_eq!(bench.ask("SELECT sum(id) FROM landing.\"o/\"").await, "7");
    assert_eq!(bench.ask("SELECT sum(id) FROM landing.\"o/{a,deep/c}.csv\"").await, "5");
    assert_eq!(bench.ask("SELECT sum(id) FROM landing.\"o/_tmp/*.csv\"").await, "8");
}

#[tokio::test]
async fn nothing_that_matches_is_an_error_with_a_place_to_look() {
    let bench = Bench::new(&[("o/x/a.csv", "id\n1\n"), ("e/a.csv", "")]);
    insta::assert_snapshot!(bench.ask("SELECT * FROM landing.\"o/x/*.json\"").await, @r#"
    error[format.no_files]: no file matches `landing."o/x/*.json"`
    hint: see what is there with `LIST landing."o/"`; names that begin with `_` or `.` are left out
    "#);
    insta::assert_snapshot!(bench.ask("SELECT * FROM landing.\"o/x\"").await, @r#"
    error[object.not_found]: no object `o/x`
    hint: there is a folder of that name; end the path with `/`: landing."o/x/"
    "#);
    assert!(
        bench
            .ask("SELECT * FROM landing.\"e/\"")
            .await
            .contains("every file of `landing.\"e/\"` is empty")
    );
}

#[tokio::test]
async fn folders_become_typed_columns_that_prune_files() {
    let bench = Bench::new(&[
        ("o/dt=2026-01-01/n=1/r=a%2Fb/f.csv", "id\n1\n"),
        ("o/dt=2026-01-02/n=2/r=__HIVE_DEFAULT_PARTITION__/f.csv", "id\n2\n"),
        ("o/dt=2026-01-03/n=10/r=c/f.csv", "id\n3\n"),
    ]);
    assert_eq!(
        bench.ask("SELECT id, dt, n, r FROM landing.\"o/\" ORDER BY n").await,
        "1|2026-01-01|1|a/b\n2|2026-01-02|2|\n3|2026-01-03|10|c"
    );
    assert_eq!(bench.ask("SELECT n FROM landing.\"o/\" WHERE r IS NULL").await, "2");
    assert_eq!(bench.ask("SELECT r FROM landing.\"o/\" WHERE r <> 'c' AND id < 9").await, "a/b");
    let plan = bench
        .rows("SELECT sum(id) FROM landing.\"o/dt=*/**\" WHERE dt >= date '2026-01-03' AND id > 0")
        .await;
    bench.fake.take_gets(); // what planning sampled
    let rows: Vec<_> = futures::TryStreamExt::try_collect(plan.unwrap().stream).await.unwrap();
    assert_eq!(super::lines(&rows), "3");
    assert_eq!(bench.fake.take_gets(), ["o/dt=2026-01-03/n=10/r=c/f.csv"]);
}

#[tokio::test]
async fn parquet_files_are_pruned_by_folder_too() {
    // Two values each: what a footer says to be the same in every row is not read.
    let file =
        |id: i64| parquet(vec![("id", Arc::new(Int64Array::from(vec![id, id + 10])) as ArrayRef)]);
    let bench = Bench::new(&[("p/y=2025/a.parquet", file(1)), ("p/y=2026/a.parquet", file(2))]);
    assert_eq!(
        bench.ask("SELECT id, y FROM landing.\"p/\" WHERE y = 2026").await,
        "2|2026\n12|2026"
    );
    assert_eq!(
        bench.ask("SELECT y, count(*) FROM landing.\"p/\" GROUP BY y ORDER BY y").await,
        "2025|2\n2026|2"
    );
    let plan = bench.rows("SELECT id FROM landing.\"p/\" WHERE y = 2026").await.unwrap();
    bench.fake.take_gets();
    let _: Vec<_> = futures::TryStreamExt::try_collect(plan.stream).await.unwrap();
    assert_eq!(bench.fake.take_gets(), ["p/y=2026/a.parquet"]);
}

pub(super) async fn compress(kind: &str, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    match kind {
        "gz" => GzipEncoder::new(bytes).read_to_end(&mut out).await,
        "zst" => ZstdEncoder::new(bytes).read_to_end(&mut out).await,
        "bz2" => BzEncoder::new(bytes).read_to_end(&mut out).await,
        _ => XzEncoder::new(bytes).read_to_end(&mut out).await,
    }
    .unwrap();
    out
}

#[tokio::test]
async fn compressed_files_mix_with_plain_ones_and_members_are_joined() {
    let mut objects = vec![("c/plain.csv".to_owned(), b"id\n1\n".to_vec())];
    for kind in ["gz", "zst", "bz2", "xz"] {
        let mut two = compress(kind, b"id\n2\n").await;
        two.extend(compress(kind, b"3\n").await);
        objects.push((format!("c/a.csv.{kind}"), two));
    }
    objects.push(("c/unnamed.csv".to_owned(), compress("gz", b"id\n4\n").await));
    objects.push(("j/a.json.gz".to_owned(), compress("gz", b"{\"id\":1}\n{\"id\":2}\n").await));
    let objects: Vec<(&str, &Vec<u8>)> =
        objects.iter().map(|(key, bytes)| (key.as_str(), bytes)).collect();
    let bench = Bench::new(&objects);
    assert_eq!(bench.ask("SELECT count(*), sum(id) FROM landing.\"c/\"").await, "10|25");
    assert_eq!(bench.ask("SELECT count(*), sum(id) FROM landing.\"j/\"").await, "2|3");
}

#[tokio::test]
async fn a_cut_compressed_file_is_an_error_and_not_a_short_answer() {
    let whole = compress("gz", b"id\n1\n2\n3\n4\n5\n6\n7\n8\n9\n").await;
    let bench = Bench::new(&[("a.csv.gz", &whole[..whole.len() - 9])]);
    let answer = bench.ask("SELECT * FROM landing.\"a.csv.gz\"").await;
    assert!(
        answer.starts_with("error[format.invalid]: `landing:a.csv.gz` cannot be decompressed"),
        "{answer}"
    );
}

#[tokio::test]
async fn csv_columns_go_by_name_and_types_widen() {
    let bench = Bench::new(&[
        ("w/1.csv", "id,price,extra\n1,2,x\n"),
        ("w/2.csv", "price,id\n2.5,2\n"),
        ("w/3.csv", "\u{feff}id,price,code\n3,4,1\n"),
        ("w/4.csv", "code,id\nabc,4\n"),
    ]);
    assert_eq!(
        bench.ask("SELECT id, price, extra, code FROM landing.\"w/\" ORDER BY id").await,
        "1|2.0|x|\n2|2.5||\n3|4.0||1\n4|||abc"
    );
    insta::assert_snapshot!(bench.describe(&["landing", "w/"]).await, @r#"
    id|BIGINT|true|column|
    price|DOUBLE|true|column|widened: BIGINT in `1.csv`, DOUBLE in `2.csv`; missing in 1 of 4 files read
    extra|TEXT|true|column|missing in 3 of 4 files read
    code|TEXT|true|column|widened: BIGINT in `3.csv`, TEXT in `4.csv`; missing in 2 of 4 files read
    format|||note|CSV, by the names of the files
    files|||note|4 (73 B): 1.csv, 2.csv, 3.csv, ...
    types|||note|from 4 of 4 files
    delimiter|||note|`,`
    quote|||note|`"`
    header|||note|the first record names the columns
    "#);
}

#[tokio::test]
async fn parquet_and_json_types_widen_across_files() {
    let id = |array: ArrayRef| parquet(vec![("id", array)]);
    let name = Arc::new(StringArray::from(vec!["n"])) as ArrayRef;
    let bench = Bench::new(&[
        ("p/1.parquet", id(Arc::new(Int32Array::from(vec![1])))),
        ("p/2.parquet", parquet(vec![("name", name), ("id", Arc::new(Int64Array::from(vec![2])))])),
        ("j/1.json", b"{\"a\":1,\"s\":{\"x\":1}}\n{\"a\":\"t\"}\n".to_vec()),
        ("j/2.json", b"{\"b\":true,\"s\":{\"y\":[1,2]}}".to_vec()),
    ]);
    assert_eq!(bench.ask("SELECT id, name FROM landing.\"p/\" ORDER BY id").await, "1|\n2|n");
    assert_eq!(
        bench.ask("SELECT a, b, s['x'], s['y'] FROM landing.\"j/\" ORDER BY a").await,
        "1||1|\nt|||\n|true||[1, 2]"
    );
    assert_eq!(bench.ask("SELECT count(*) FROM landing.\"j/\"").await, "3");
}

#[tokio::test]
async fn options_say_what_names_do_not() {
    let bench = Bench::new(&[
        ("d/part-0", "1;'a;b';-\n2;c;x\n"),
        ("t/a.tsv", "x\ty\n1\t2\n"),
        ("u/part-0", "{\"k\":5}\n"),
        ("q/a.csv", "id,note\n1,\"two\nlines, \"\"quoted\"\"\"\n2,x\n"),
        ("s/a.csv", "5\" pipe,\"a\"\"\nb\"\n1,2\n"),
        ("r/a.csv", "# made\n\nid,,id\n1,2,3\n"),
    ])
    .table(
        "d",
        "d/",
        &[
            ("TYPE", text("CSV")),
            ("HEADER", OptionValue::Bool(false)),
            ("DELIMITER", text(";")),
            ("QUOTE", text("'")),
            ("NULL_VALUE", text("-")),
        ],
    )
    .table("r", "s3://lake/r/a.csv", &[("COMMENT", text("#"))]);
    assert_eq!(bench.ask("SELECT * FROM d ORDER BY 1").await, "1|a;b|\n2|c|x");
    assert_eq!(bench.ask("SELECT x + y FROM landing.\"t/a.tsv\"").await, "3");
    assert_eq!(bench.ask("SELECT k FROM landing.\"u/\"").await, "5");
    assert_eq!(
        bench.ask("SELECT count(*) FROM landing.\"q/\" WHERE note LIKE '%lines, \"quoted\"'").await,
        "1"
    );
    assert_eq!(
        bench.ask("SELECT \"5\"\" pipe\" AS x, \"a\"\"\nb\" AS y FROM landing.\"s/a.csv\"").await,
        "1|2"
    );
    assert_eq!(bench.ask("SELECT id, column_2, id_2 FROM main.r").await, "1|2|3");
}

#[tokio::test]
async fn several_formats_or_none_known_are_refused() {
    let bench = Bench::new(&[
        ("m/a.csv", &b"id\n1\n"[..]),
        ("m/b.json", b"{}"),
        ("m/c.png", b"\x89PNG"),
        ("i/c.png", b"\x89PNG\r\n\x1a"),
        ("a/x.json", b"[{\"a\":1}]"),
        ("a/y.jsonl", b"[{\"a\":1}]"),
    ])
    .table("lines", "a/y.jsonl", &[("TYPE", OptionValue::Word("JSONL".to_owned()))]);
    insta::assert_snapshot!(bench.ask("SELECT * FROM landing.\"m/\"").await, @r#"
    error[format.invalid]: `landing."m/"` has files of several formats: 1 CSV (`a.csv`), 1 JSON (`b.json`), 1 of no known format (`c.png`)
    hint: choose one with a glob such as `**/*.csv`, or say it: CREATE FILE TABLE ... CONTENT_TYPE = CSV
    "#);
    assert!(bench.ask("SELECT * FROM landing.\"i/\"").await.contains("says what format it has"));
    assert_eq!(bench.ask("SELECT * FROM landing.\"a/x.json\"").await, "1");
    assert_eq!(bench.ask("SELECT * FROM landing.\"a/y.jsonl\"").await, "1");
    assert!(bench.ask("SELECT * FROM lines").await.contains("is a JSON array, not JSON lines"));
}

#[tokio::test]
async fn a_value_that_does_not_fit_names_file_and_line() {
    let numbers: Vec<String> = (0..1500).map(|id| id.to_string()).collect();
    let rows = format!("id\n{}\noops\n", numbers.join("\n"));
    let bench = Bench::new(&[("a.csv", rows)]);
    let answer = bench.ask("SELECT * FROM landing.\"a.csv\"").await;
    assert!(
        answer.starts_with("error[format.invalid]: `landing:a.csv` cannot be read as CSV: "),
        "{answer}"
    );
    assert!(answer.contains("'oops'") && answer.contains("first 1,000 rows"), "{answer}");
}

#[tokio::test]
async fn a_file_that_changes_while_the_query_runs_is_an_error() {
    let parquet = parquet(vec![("id", Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef)]);
    for (key, bytes) in [("a.csv", b"id\n1\n".to_vec()), ("a.parquet", parquet)] {
        let bench = Bench::new(&[(key, &bytes)]);
        let rows = bench.rows(&format!("SELECT * FROM landing.\"{key}\"")).await.unwrap();
        bench.fake.put_object(key, &bytes);
        let answer: windlass_types::Result<Vec<_>> =
            futures::TryStreamExt::try_collect(rows.stream).await;
        assert_eq!(answer.unwrap_err().code(), ErrorCode::ObjectChanged, "{key}");
    }
}

#[tokio::test]
async fn an_error_of_the_storage_comes_out_as_it_was() {
    let parquet = parquet(vec![("id", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let bench =
        Bench::new(&[("private/a.csv", b"id\n1\n".to_vec()), ("private/b.parquet", parquet)]);
    bench.fake.deny("private");
    for key in ["a.csv", "b.parquet"] {
        assert_eq!(
            bench.ask(&format!("SELECT * FROM landing.\"private/{key}\"")).await,
            format!(
                "error[connection.denied]: no permission to read `private/{key}`\nhint: it needs s3:GetObject"
            )
        );
    }
}
