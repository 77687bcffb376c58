//! What CSV and JSON files may hold: line ends, types, long records, ranges read side by side.

use super::Bench;
use super::files::{compress, parquet};
use arrow::array::{ArrayRef, Int64Array};
use std::fmt::Write as _;
use std::sync::Arc;
use windlass_types::OptionValue;

fn text(value: &str) -> OptionValue {
    OptionValue::Text(value.to_owned())
}

fn types(columns: &[&str]) -> OptionValue {
    OptionValue::List(columns.iter().map(|column| text(column)).collect())
}

#[tokio::test]
async fn lines_may_end_with_carriage_returns_alone() {
    let bench = Bench::new(&[("a.csv", "id,n\r1,x\r2,y\r"), ("c.csv", "#c\rid\r1\r")]).table(
        "c",
        "c.csv",
        &[("COMMENT", text("#"))],
    );
    assert_eq!(bench.ask("SELECT id, n FROM landing.\"a.csv\"").await, "1|x\n2|y");
    let many: String = (0..5000).fold("id,n\r".to_owned(), |mut all, id| {
        write!(all, "{id},\"x\r\"\r").unwrap();
        all
    });
    let bench2 = Bench::new(&[("a.csv", many)]);
    assert_eq!(
        bench2.ask("SELECT count(*), sum(id) FROM landing.\"a.csv\"").await,
        "5000|12497500"
    );
    let answer = bench.ask("SELECT * FROM c").await;
    assert!(answer.contains("does not go with COMMENT"), "{answer}");
}

#[tokio::test]
async fn whole_numbers_of_json_keep_their_digits() {
    let bench = Bench::new(&[
        ("u.json", "{\"n\":12345678901234567890,\"m\":-1}\n{\"n\":1,\"m\":18446744073709551615}\n"),
        ("t.json", "{\"n\":123456789012345678901234567890}\n{\"n\":1.5}\n"),
    ]);
    assert_eq!(
        bench.ask("SELECT n, m FROM landing.\"u.json\"").await,
        "12345678901234567890|-1\n1|18446744073709551615"
    );
    assert_eq!(
        bench.ask("SELECT n FROM landing.\"t.json\"").await,
        "123456789012345678901234567890\n1.5"
    );
    assert!(
        bench.describe(&["landing", "u.json"]).await.starts_with("n|DECIMAL(20, 0)|true|column|")
    );
}

#[tokio::test]
async fn objects_and_lists_in_lists_and_columns_of_text_are_their_text() {
    let bench = Bench::new(&[
        ("object.json", "{\"a\":[1,{\"b\":2}]}\n"),
        ("deep.jsonl", "{\"a\":[{\"b\":1},{\"b\":{\"c\":1}}]}\n"),
        ("list.jsonl", "{\"a\":[[1],2]}\n"),
        ("array.json", "[{\"a\":[1,{\"b\":2}]}]"),
        ("rows.jsonl", "{\"a\":\"x\"}\n{\"a\":{\"b\":2}}\n"),
    ]);
    for (key, expected) in [
        ("object.json", "[1, {\"b\":2}]"),
        ("deep.jsonl", "[{b: 1}, {b: {\"c\":1}}]"),
        ("list.jsonl", "[[1], 2]"),
        ("array.json", "[1, {\"b\":2}]"),
        ("rows.jsonl", "x\n{\"b\":2}"),
    ] {
        let found = bench.ask(&format!("SELECT a FROM landing.\"{key}\"")).await;
        assert_eq!(found, expected, "{key}");
    }
}

#[tokio::test]
async fn what_does_not_parse_as_its_type_is_text_and_describe_says_so() {
    let bench = Bench::new(&[("a.csv", "d,zip,n\n2026-01-01,01234,7\n2026-02-30,99999,8\n")]);
    assert_eq!(
        bench.ask("SELECT d, zip, n + 1 FROM landing.\"a.csv\"").await,
        "2026-01-01|01234|8\n2026-02-30|99999|9"
    );
    let described = bench.describe(&["landing", "a.csv"]).await;
    assert!(described.contains("d|TEXT|true|column|text, because a date or time"), "{described}");
    assert!(described.contains("would lose leading zeros"), "{described}");
}

#[tokio::test]
async fn a_value_beyond_the_sample_can_be_read_by_saying_types() {
    let mut rows = "id,n\n".to_owned();
    for id in 0..3000 {
        let _ = writeln!(rows, "{id},{id}");
    }
    rows.push_str("oops,1.5\n");
    let table = |options: &[(&str, OptionValue)]| {
        Bench::new(&[("a.csv", rows.as_str())]).table("t", "a.csv", options)
    };
    let sql = "SELECT count(*), max(id), max(n) FROM t";
    let full = table(&[("INFER", text("FULL"))]);
    assert_eq!(full.ask(sql).await, "3001|oops|2999.0");
    let none = table(&[("INFER", text("NONE"))]);
    assert_eq!(none.ask(sql).await, "3001|oops|999");
    let typed = table(&[("TYPES", types(&["ID TEXT", "n DECIMAL(10, 2)"]))]);
    assert_eq!(typed.ask(sql).await, "3001|oops|2999.00");
    assert!(typed.describe(&["t"]).await.contains("n|DECIMAL(10, 2)|true|column|as declared"));
    for (types, said) in [
        (types(&["price TEXT"]), "that the files read do not have"),
        (types(&["id NONSENSE"]), "no column and type in `id NONSENSE`"),
        (types(&["id"]), "no column and type"),
    ] {
        let answer = table(&[("TYPES", types)]).ask(sql).await;
        assert!(answer.starts_with("error[option.invalid]") && answer.contains(said), "{answer}");
    }
}

#[tokio::test]
async fn errors_name_the_line_of_the_file_and_the_way_out() {
    // Quoted line ends and blank lines count; the file is long enough to be read in ranges.
    let mut rows = "id,note\n".to_owned();
    for id in 0..2000 {
        let _ = writeln!(rows, "{id},\"two\nlines\"\n");
    }
    rows.push_str("oops,x\n");
    let bench = Bench::new(&[
        ("a.csv", rows.as_str()),
        ("b.csv", "id,n\n1,2\n1,2,3\n"),
        ("a.json", &("{\"a\":1}\n".repeat(2500) + "\n{\"a\":\"oops\"}\n")),
        ("b.json", "{\"a\":1}\n{\"a\":\n"),
    ])
    .table("t", "a.csv", &[("COMPRESSION", text("GZIP"))]);
    for (key, line, hint) in [
        ("a.csv", "line 6002: ", "INFER = FULL"),
        ("b.csv", "line 3: ", ""),
        ("a.json", "line 2502: ", "TYPES"),
        ("b.json", "line 2: ", "jq"),
    ] {
        let answer = bench.ask(&format!("SELECT * FROM landing.\"{key}\"")).await;
        assert!(answer.contains(line) && answer.contains(hint), "{key}: {answer}");
    }
    let answer = bench.ask("SELECT * FROM landing.\"a.csv\"").await;
    assert!(answer.contains("column `id`") && !answer.contains(" at line"), "{answer}");
}

#[tokio::test]
async fn one_long_field_leaves_the_types_of_the_others() {
    let long = "x".repeat(700_000);
    let bench = Bench::new(&[("a.csv", format!("id,s,n\n1,{long},2.5\n2,y,3\n"))]);
    let described = bench.describe(&["landing", "a.csv"]).await;
    assert!(described.contains("n|DOUBLE|") && described.contains("id|BIGINT|"), "{described}");
}

#[tokio::test]
async fn a_record_that_does_not_end_takes_no_more_memory_than_max_line_says() {
    let mut rows = "id,note\n".to_owned();
    for id in 0..2000 {
        let _ = writeln!(rows, "{id},\"fine\"");
    }
    let at = rows.len();
    rows.push_str("2000,\"never ended\n");
    rows.push_str(&"2001,fine\n".repeat(300_000));
    let zipped = compress("gz", rows.as_bytes()).await;
    let bench = Bench::new(&[("a.csv", rows.into_bytes()), ("b.csv.gz", zipped)])
        .table("a", "a.csv", &[("MAX_LINE", OptionValue::Integer(1))])
        .table("b", "b.csv.gz", &[("MAX_LINE", OptionValue::Integer(1))]);
    for table in ["a", "b"] {
        let answer = bench.ask(&format!("SELECT count(*) FROM {table}")).await;
        let said = format!("a record that begins at byte {at} does not end within 1 MiB");
        assert!(answer.contains(&said) && answer.contains("MAX_LINE = 4"), "{table}: {answer}");
    }
}

#[tokio::test]
async fn fields_are_parted_by_what_parts_the_header_where_nothing_is_said() {
    let bench = Bench::new(&[
        ("semicolon.csv", "id;name;price\n1;Ann;1,5\n2;\"B;b\";2,5\n"),
        ("tab.csv", "id\tname\n1\tx\n"),
        ("pipe.csv", "id|na;me|n\n1|x|2\n"),
        ("comma.csv", "a;b,c\n1;2,3\n"),
        ("one.csv", "a;b\n"),
        ("note.csv", "text\n1;2\n"),
    ])
    .table("whole", "semicolon.csv", &[("DELIMITER", text(","))]);
    let ask = async |key: &str| bench.ask(&format!("SELECT * FROM landing.\"{key}\"")).await;
    assert_eq!(ask("semicolon.csv").await, "1|Ann|1,5\n2|B;b|2,5");
    assert_eq!(ask("tab.csv").await, "1|x");
    assert_eq!(ask("pipe.csv").await, "1|x|2");
    assert_eq!(ask("comma.csv").await, "1;2|3");
    assert_eq!(ask("note.csv").await, "1;2");
    let described = bench.describe(&["landing", "semicolon.csv"]).await;
    assert!(described.contains("its fields are parted by `;`"), "{described}");
    assert!(described.contains("price|TEXT"), "{described}");
    let described = bench.describe(&["landing", "one.csv"]).await;
    assert!(described.contains("a|TEXT") && described.contains("b|TEXT"), "{described}");
    let described = bench.describe(&["whole"]).await;
    assert!(described.contains("id;name;price|"), "what is said counts: {described}");
}

#[tokio::test]
async fn a_json_line_may_be_as_long_as_max_line_says() {
    let line = format!("{{\"a\":\"{}\"}}\n", "x".repeat((1 << 20) + 10));
    let bench = Bench::new(&[("a.json", line)])
        .table("short", "a.json", &[("MAX_LINE", OptionValue::Integer(1))])
        .table("long", "a.json", &[("MAX_LINE", OptionValue::Integer(2))]);
    let answer = bench.ask("SELECT * FROM short").await;
    assert!(
        answer.contains("a line that begins at byte 0 does not end within 1 MiB")
            && answer.contains("MAX_LINE = 4"),
        "{answer}"
    );
    assert_eq!(bench.ask("SELECT length(a) FROM long").await, "1048586");
}

#[tokio::test]
async fn empty_files_say_so_compressed_or_not() {
    let empty = compress("gz", b"").await;
    let bench = Bench::new(&[("a.csv", Vec::new()), ("b.csv.gz", empty)]);
    for key in ["a.csv", "b.csv.gz"] {
        let answer = bench.ask(&format!("SELECT * FROM landing.\"{key}\"")).await;
        assert!(
            answer.starts_with("error[format.no_files]: every file of")
                && !answer.contains("names that begin"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn a_folder_that_hides_a_column_is_told() {
    let bench = Bench::new(&[("d/k=1/a.csv", "k,v\n2,3\n")]);
    assert_eq!(bench.ask("SELECT k, v FROM landing.\"d/\"").await, "1|3");
    assert!(
        bench
            .describe(&["landing", "d/"])
            .await
            .contains("k|BIGINT|true|partition|the name of the folder; a column of the same name")
    );
}

#[tokio::test]
async fn a_column_no_sampled_file_has_is_not_dropped_in_silence() {
    let file = |names: &[&'static str]| {
        let one = || Arc::new(Int64Array::from(vec![1])) as ArrayRef;
        parquet(names.iter().map(|name| (*name, one())).collect())
    };
    let mut objects: Vec<(String, Vec<u8>)> = Vec::new();
    for number in 10..30 {
        let late = number == 11;
        let csv = if late { "a,late\n1,1\n" } else { "a\n1\n" };
        objects.push((format!("c/{number}.csv"), csv.as_bytes().to_vec()));
        objects.push((
            format!("p/{number}.parquet"),
            file(if late { &["a", "late"] } else { &["a"] }),
        ));
        let json = if late { "{\"a\":1,\"late\":1}\n" } else { "{\"a\":1}\n" };
        objects.push((format!("j/{number}.json"), json.as_bytes().to_vec()));
    }
    let objects: Vec<(&str, &Vec<u8>)> =
        objects.iter().map(|(key, bytes)| (key.as_str(), bytes)).collect();
    for folder in ["c", "p", "j"] {
        let bench = Bench::new(&objects)
            .table("all", &format!("{folder}/"), &[("SAMPLE_FILES", OptionValue::Integer(20))])
            .table("full", &format!("{folder}/"), &[("INFER", text("FULL"))]);
        let answer = bench.ask(&format!("SELECT * FROM landing.\"{folder}/\"")).await;
        assert!(answer.contains("late") && answer.contains("INFER = FULL"), "{folder}: {answer}");
        let sql = format!("SELECT count(*) FROM landing.\"{folder}/\"");
        assert_eq!(bench.ask(&sql).await, "20", "{folder}");
        for table in ["all", "full"] {
            let sql = format!("SELECT sum(a), sum(late) FROM {table}");
            assert_eq!(bench.ask(&sql).await, "20|1", "{folder}");
        }
    }
}

#[tokio::test]
async fn compressions_can_be_said() {
    for (extension, word) in [("bz2", "BZIP2"), ("xz", "XZ")] {
        let bench = Bench::new(&[("part", compress(extension, b"id\n7\n").await)]).table(
            "t",
            "part",
            &[("TYPE", text("CSV")), ("COMPRESSION", text(word))],
        );
        assert_eq!(bench.ask("SELECT id FROM t").await, "7", "{word}");
    }
}

#[tokio::test]
async fn a_file_read_in_ranges_gives_every_row_in_order() {
    // Every kind of trap for a range that begins in the middle: quoted line ends, fields that look
    // like rows, doubled quotes, both line ends. What is compressed is cut after it is unpacked.
    for end in ["\n", "\r\n", "\r"] {
        let mut rows = format!("id,note{end}");
        let mut lengths = Vec::new();
        let mut state = 7_u32;
        for id in 0..4000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let note = match state >> 28 {
                0..4 => format!("plain {id}"),
                4..8 => format!("\"line{end}{id},fake{end}9,\"\"x\"\"{end}\""),
                8..12 => "\"\"".to_owned(),
                12 => format!("\"{}\"", format!("5,x{end}").repeat(1500)),
                _ => format!("5\" pipe {id}"),
            };
            let _ = write!(rows, "{id},{note}{end}");
            let inner = note.strip_prefix('"').and_then(|note| note.strip_suffix('"'));
            lengths.push(inner.unwrap_or(&note).replace("\"\"", "\"").len().to_string());
        }
        let bench = Bench::new(&[("a.csv", rows.as_bytes())]);
        let zipped = compress("gz", rows.as_bytes()).await;
        assert!(zipped.len() as u64 > 2 * crate::ahead::SHORT);
        let packed = Bench::new(&[("a.csv.gz", zipped)]);
        let sql = |key: &str| format!("SELECT id, md5(note) FROM landing.\"{key}\" ORDER BY id");
        let split = bench.ask(&sql("a.csv")).await;
        assert_eq!(split.lines().count(), 4000);
        assert!(split == packed.ask(&sql("a.csv.gz")).await, "the rows differ: {end:?}");
        let sql = "SELECT coalesce(length(note), 0) FROM landing.\"a.csv\" ORDER BY id";
        let told = bench.ask(sql).await;
        let wrong = told.lines().zip(&lengths).enumerate().find(|(_, (a, b))| a != b);
        assert_eq!((wrong, told.lines().count()), (None, lengths.len()), "{end:?}");
        let ids: Vec<String> = (0..4000).map(|id| id.to_string()).collect();
        assert!(bench.ask("SELECT id FROM landing.\"a.csv\"").await == ids.join("\n"), "{end:?}");
    }
    let json: String = (0..4000).fold(String::new(), |mut all, id| {
        let _ = writeln!(all, "{{\"id\":{id},\"t\":\"\\\"\\n{id}\"}}");
        all
    });
    let bench = Bench::new(&[("a.json", json)]);
    assert_eq!(
        bench
            .ask("SELECT count(*), sum(id), max(t) FROM landing.\"a.json\"")
            .await
            .split('|')
            .next(),
        Some("4000")
    );
}
