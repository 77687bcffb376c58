//! Text files that are not what they seem: long, packed otherwise than named, without a header.

use super::Bench;
use super::files::compress;
use futures::TryStreamExt as _;
use std::fmt::Write as _;
use windlass_types::OptionValue;

fn word(text: &str) -> OptionValue {
    OptionValue::Word(text.to_owned())
}

const SHORT: (&str, OptionValue) = ("MAX_LINE", OptionValue::Integer(1));

impl Bench {
    async fn describe_call(&self, call: &str) -> String {
        match self.engine.describe_call(call, "default", self.resolver()).await {
            Ok(rows) => super::lines(&rows.stream.try_collect::<Vec<_>>().await.unwrap()),
            Err(error) => format!("{error:?}"),
        }
    }
}

#[tokio::test]
async fn a_long_line_of_a_small_compressed_file_is_an_error() {
    let rows = format!("id,n\n{}", "1,a\n".repeat(3000));
    let csv = compress("gz", format!("{rows}7,{}", "x".repeat(3 << 20)).as_bytes()).await;
    let lines = "{\"id\":1}\n".repeat(3000);
    let json = format!("{lines}{{\"id\":\"{}", "x".repeat(3 << 20));
    let json = compress("gz", json.as_bytes()).await;
    // Small enough to be read from front to back.
    assert!(csv.len() < 8192 && json.len() < 8192);
    let skip = [SHORT, ("TYPE", word("CSV")), ("ON_ERROR", word("SKIP"))];
    let bench = Bench::new(&[("a.csv.gz", csv), ("a.jsonl.gz", json)])
        .table("csv", "a.csv.gz", &[SHORT])
        .table("json", "a.jsonl.gz", &[SHORT])
        .table("skip", "a.csv.gz", &skip);
    for (table, what, at) in [("csv", "a record", rows.len()), ("json", "a line", lines.len())] {
        let answer = bench.ask(&format!("SELECT count(id) FROM {table}")).await;
        let said = format!("{what} that begins at byte {at} does not end within 1 MiB");
        assert!(answer.contains(&said), "{table}: {answer}");
    }
    assert_eq!(bench.ask("SELECT count(*) FROM skip").await, "3000");
    let told = bench.engine.bad_files().all();
    assert!(told[0].first[0].reason.contains("does not end within 1 MiB"), "{told:?}");
}

#[tokio::test]
async fn lines_before_a_header_that_do_not_end_are_an_error_too() {
    let csv = compress("gz", "x".repeat(3 << 20).as_bytes()).await;
    let options = [SHORT, ("TYPE", word("CSV")), ("SKIP_ROWS", OptionValue::Integer(1))];
    let careful = [options.as_slice(), &[("ON_ERROR", word("SKIP"))]].concat();
    let bench = Bench::new(&[("a.csv.gz", csv)])
        .table("plain", "a.csv.gz", &options)
        .table("careful", "a.csv.gz", &careful);
    for table in ["plain", "careful"] {
        let answer = bench.ask(&format!("SELECT * FROM {table}")).await;
        assert!(answer.contains("does not end within 1 MiB"), "{table}: {answer}");
    }
}

#[tokio::test]
async fn many_comments_are_no_long_record() {
    let comments = format!("#{}\n", "x".repeat(1000)).repeat(1500);
    let text = format!("id,n\n1,a\n{comments}2,b\n");
    let comment = ("COMMENT", OptionValue::Text("#".to_owned()));
    let csv = compress("gz", text.as_bytes()).await;
    assert!(csv.len() < 8192);
    let bench = Bench::new(&[("a.csv.gz", csv)]).table("t", "a.csv.gz", &[SHORT, comment]);
    assert_eq!(bench.ask("SELECT id, n FROM t ORDER BY id").await, "1|a\n2|b");
}

#[tokio::test]
async fn large_rows_come_in_small_batches_and_whole() {
    let long = "x".repeat(5000);
    let (mut csv, mut json) = ("id,s\n".to_owned(), String::new());
    for id in 0..100 {
        let _ = write!(csv, "{id},\"{long}\n{long}\"\r\n");
        let _ = writeln!(json, "{{\"id\":{id},\"s\":\"{long} {long}\"}}");
    }
    let (csv, json) = (compress("gz", csv.as_bytes()), compress("gz", json.as_bytes()));
    let bench = Bench::new(&[("a.csv.gz", csv.await), ("a.jsonl.gz", json.await)]);
    for key in ["a.csv.gz", "a.jsonl.gz"] {
        let sql = format!("FROM landing.\"{key}\"");
        let sums = bench.ask(&format!("SELECT count(*), sum(id), min(length(s)) {sql}")).await;
        assert_eq!(sums, "100|4950|10001", "{key}");
        let batches = bench.run(&format!("SELECT id, s {sql}")).await.unwrap();
        assert!(batches.len() > 5, "{key}: {}", batches.len());
    }
}

#[tokio::test]
async fn first_bytes_say_how_a_file_is_packed_whatever_its_name_says() {
    let text = b"id\n1\n2\n";
    let mut objects = vec![("plain.csv.gz".to_owned(), text.to_vec())];
    for (kind, name) in [("gz", "a.csv"), ("zst", "b.csv.gz"), ("gz", "c.csv.xz")] {
        objects.push((name.to_owned(), compress(kind, text).await));
    }
    let objects: Vec<(&str, &Vec<u8>)> =
        objects.iter().map(|(key, bytes)| (key.as_str(), bytes)).collect();
    let said = |kind: &str| [("TYPE", word("CSV")), ("COMPRESSION", word(kind))];
    let bench = Bench::new(&objects)
        .table("none", "a.csv", &said("NONE"))
        .table("gzip", "plain.csv.gz", &said("GZIP"))
        .table("other", "b.csv.gz", &said("GZIP"))
        .table("right", "c.csv.xz", &said("GZIP"));
    for key in ["plain.csv.gz", "a.csv", "b.csv.gz", "c.csv.xz"] {
        let sum = bench.ask(&format!("SELECT sum(id) FROM landing.\"{key}\"")).await;
        assert_eq!(sum, "3", "{key}");
    }
    for (table, expected) in [
        ("none", ["cannot be read as plain text", "it is compressed with gzip"]),
        ("gzip", ["cannot be read as gzip", "it is not compressed"]),
        ("other", ["cannot be read as gzip", "it is compressed with zstd"]),
    ] {
        let answer = bench.ask(&format!("SELECT sum(id) FROM {table}")).await;
        assert!(expected.iter().all(|said| answer.contains(said)), "{table}: {answer}");
    }
    assert_eq!(bench.ask("SELECT sum(id) FROM right").await, "3");
}

#[tokio::test]
async fn a_file_without_a_header_keeps_its_first_row() {
    let header = |said| [("TYPE", word("CSV")), ("HEADER", OptionValue::Bool(said))];
    let skip = [("TYPE", word("CSV")), ("ON_ERROR", word("SKIP"))];
    let bench = Bench::new(&[
        ("n.csv", "1,2\n3,4\n"),
        ("s.csv", "1;x\n2;y\n"),
        ("d/a.csv", "2026-01-01,a\n2026-01-02,b\n"),
        ("d/b.csv", "2026-01-03,c\n"),
        ("m/a.csv", "1,2\n3,4\n"),
        ("m/b.csv", "a,b\n5,6\n"),
        ("y.csv", "land,2025,2026\nde,1,2\n"),
    ])
    .table("stated", "n.csv", &header(true))
    .table("none", "n.csv", &header(false))
    .table("skip", "n.csv", &skip);
    let sum = "SELECT sum(column_1), sum(column_2) FROM";
    for from in ["landing.\"n.csv\"", "none", "skip"] {
        assert_eq!(bench.ask(&format!("{sum} {from}")).await, "4|6", "{from}");
    }
    assert_eq!(bench.ask("SELECT * FROM stated").await, "3|4");
    assert_eq!(bench.ask("SELECT * FROM landing.\"s.csv\" ORDER BY 1").await, "1|x\n2|y");
    // A file of one record goes with the others.
    assert_eq!(bench.ask("SELECT count(*), max(column_2) FROM landing.\"d/\"").await, "3|c");
    // One that has names says that all have.
    assert_eq!(bench.ask("SELECT count(*) FROM landing.\"m/\"").await, "2");
    assert_eq!(bench.ask("SELECT \"2025\" FROM landing.\"y.csv\"").await, "1");
    let described = bench.describe(&["landing", "n.csv"]).await;
    assert!(described.contains("header|||note|none: the first record has values"), "{described}");
    let described = bench.describe(&["none"]).await;
    assert!(described.contains("header|||note|none, as declared"), "{described}");
}

#[tokio::test]
async fn describe_says_what_was_seen_of_files_and_takes_calls() {
    let utf16: Vec<u8> =
        "\u{feff}id\tn\n1\tx\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let bench = Bench::new(&[
        ("a.tsv.gz", compress("gz", &utf16).await),
        ("a.xml", b"<o><r><id>1</id></r></o>".to_vec()),
    ]);
    let described = bench.describe(&["landing", "a.tsv.gz"]).await;
    for note in [
        "compression|||note|gzip",
        "encoding|||note|UTF-16LE",
        "delimiter|||note|`\\t`",
        "quote|||note|`\"`",
        "header|||note|the first record names the columns",
    ] {
        assert!(described.contains(note), "{note}: {described}");
    }
    let described = bench.describe_call("read_xml('landing', 'a.xml', row_tag => 'r')").await;
    assert!(described.starts_with("id|BIGINT|true|column|"), "{described}");
    assert!(described.contains("row tag|||note|`r`"), "{described}");
    assert!(!described.contains("delimiter|") && !described.contains("encoding|"), "{described}");
    let refused = bench.describe_call("generate_series(1, 3)").await;
    assert!(refused.contains("reads no files"), "{refused}");
}

#[tokio::test]
async fn options_of_other_formats_are_refused_in_calls() {
    let bench = Bench::new(&[("a.csv", "id\n1\n")]);
    for (call, said) in [
        ("read_csv('landing', 'a.csv', decimal_point => ',')", "DECIMAL_POINT has no sense"),
        ("read_csv('landing', 'a.csv', row_tag => 'x')", "ROW_TAG has no sense for TYPE = CSV"),
        ("read_json('landing', 'a.csv', sheet => 'q')", "SHEET has no sense for TYPE = JSON"),
        (
            "read_xlsx('landing', 'a.csv', sheet_prefix => 'a', sheet_suffix => 'b')",
            "SHEET_PREFIX and SHEET_SUFFIX",
        ),
    ] {
        let answer = bench.ask(&format!("SELECT * FROM {call}")).await;
        assert!(answer.starts_with("error[option.invalid]"), "{answer}");
        assert!(answer.contains(said), "{answer}");
    }
    let call = "read_csv('landing', 'a.csv', encoding => 'UTF-8', header => true, max_line => 2)";
    assert_eq!(bench.ask(&format!("SELECT id FROM {call}")).await, "1");
}

#[tokio::test]
async fn errors_of_fields_and_characters_say_what_to_do() {
    let bench = Bench::new(&[
        ("fields.csv", b"id,n\n1,a\n2,b,c\n".to_vec()),
        ("latin.csv", b"id,n\n1,caf\xe9\n".to_vec()),
    ]);
    for (key, hint) in [("fields.csv", "ON_ERROR = SKIP"), ("latin.csv", "ENCODING = ")] {
        let answer = bench.ask(&format!("SELECT * FROM landing.\"{key}\"")).await;
        assert!(answer.contains("error[format.invalid]"), "{answer}");
        assert!(answer.contains(hint), "{answer}");
    }
}

#[tokio::test]
async fn explain_analyze_tells_what_a_scan_of_text_did() {
    let bench = Bench::new(&[("t/a.csv", "id\n1\n2\n3\n"), ("t/b.csv", "id\n4\n")]);
    let plan = bench.ask("EXPLAIN ANALYZE SELECT id FROM landing.\"t/\"").await;
    let scan = plan.lines().find(|line| line.contains("TextExec")).unwrap();
    for metric in
        ["output_rows=4", "bytes_scanned=14", "files_opened=2", "time_elapsed_scanning_total="]
    {
        assert!(scan.contains(metric), "{metric}: {scan}");
    }
}
