//! Rows and files that cannot be read: left out, read in part, told.

use super::Bench;
use futures::TryStreamExt as _;
use windlass_types::OptionValue;

fn word(text: &str) -> OptionValue {
    OptionValue::Word(text.to_owned())
}

fn types(columns: &[&str]) -> OptionValue {
    OptionValue::List(columns.iter().map(|c| OptionValue::Text((*c).to_owned())).collect())
}

const MESSY: &str =
    "# a comment\nid,name\n1,one\n\n2,\"two\nlines\"\nx,three\n4\n5,five,more\n6,\"six\n7,seven\n";

fn bench(rule: &str) -> Bench {
    let options = [
        ("TYPE", word("CSV")),
        ("COMMENT", OptionValue::Text("#".to_owned())),
        ("ON_ERROR", word(rule)),
        ("TYPES", types(&["id BIGINT"])),
    ];
    Bench::new(&[("a.csv", MESSY)]).table("t", "a.csv", &options)
}

impl Bench {
    /// Line and reason of all bad rows.
    fn told(&self) -> Vec<(Option<u64>, String)> {
        let files = self.engine.bad_files().all();
        files.into_iter().flat_map(|f| f.first).map(|bad| (bad.line, bad.reason)).collect()
    }
}

#[tokio::test]
async fn bad_rows_are_left_out_whatever_is_asked_of_them() {
    let bench = bench("SKIP");
    assert_eq!(bench.ask("SELECT id FROM t ORDER BY id").await, "1\n2\n7");
    let mut lines: Vec<_> = bench.told().into_iter().map(|(line, _)| line.unwrap()).collect();
    lines.sort_unstable();
    assert_eq!(lines, [7, 8, 9, 10]);
    for sql in ["SELECT count(*) FROM t", "SELECT count(name) FROM t"] {
        assert_eq!(bench.ask(sql).await, "3", "{sql}");
    }
}

#[tokio::test]
async fn rows_have_the_numbers_of_their_records_whatever_is_left_out() {
    let sql = "SELECT _row_number, id FROM t ORDER BY 1";
    assert_eq!(bench("SKIP").ask(sql).await, "1|1\n2|2\n7|7");
    assert_eq!(bench("NULL").ask(sql).await, "1|1\n2|2\n3|\n4|4\n5|5\n7|7");
}

#[tokio::test]
async fn the_rows_of_an_answer_say_how_many_were_left_out() {
    let said = async |rule: &str| {
        let rows = bench(rule).rows("SELECT id FROM t").await.unwrap();
        let left_out = rows.left_out.clone();
        let _: Vec<_> = rows.stream.try_collect().await.unwrap();
        (left_out.rows(), left_out.said().unwrap())
    };
    let (rows, text) = said("SKIP").await;
    assert_eq!(rows, 4);
    let expected = "4 rows of 1 file were left out; see system.read_errors; first `landing:";
    assert!(text.starts_with(expected), "{text}");
    assert!(said("NULL").await.1.contains("were left out or read in part"));
}

#[tokio::test]
async fn what_can_be_read_of_a_bad_row_is_kept() {
    let bench = bench("NULL");
    let answer = bench.ask("SELECT id, replace(name, chr(10), '/') FROM t").await;
    let mut rows: Vec<&str> = answer.lines().collect();
    rows.sort_unstable();
    assert_eq!(rows, ["1|one", "2|two/lines", "4|", "5|five", "7|seven", "|three"]);
    let reasons: Vec<String> = bench.told().into_iter().map(|(_, reason)| reason).collect();
    assert!(reasons.iter().any(|r| r == "column `id`: `x` is not BIGINT"), "{reasons:?}");
    assert!(reasons.iter().any(|r| r == "a quote is not closed"), "{reasons:?}");
}

#[tokio::test]
async fn a_file_of_another_kind_is_left_out_and_errors_of_the_storage_are_not() {
    let options = [("TYPE", word("PARQUET")), ("ON_ERROR", word("SKIP"))];
    let noise = b"PAR1 and nothing else".to_vec();
    let good = super::files::parquet(vec![(
        "id",
        std::sync::Arc::new(arrow::array::Int64Array::from(vec![7])) as _,
    )]);
    let bench = Bench::new(&[("p/a.parquet", noise), ("p/b.parquet", good)])
        .table("t", "p/", &options)
        .table("secret", "private/x.parquet", &options);
    assert_eq!(bench.ask("SELECT * FROM t").await, "7");
    let told = bench.told();
    assert!(told.len() == 1 && told[0].0.is_none(), "{told:?}");
    assert!(told[0].1.contains("p/a.parquet"), "{told:?}");
    assert!(!bench.ask("SELECT * FROM secret").await.contains("format.invalid"));
}

#[tokio::test]
async fn records_end_with_any_line_end() {
    let plain = "1|b\n2|c";
    for (text, expected) in [
        ("id,t\r\n1,b\r\n2,c\r\n", plain),
        ("id,t\r\n1,b\r\n2,c", plain),
        ("id,t\r\n1,b\r\n2,c\r", plain),
        ("id,t\r1,b\r2,c\r", plain),
        ("id,t\r1,b\r2,c", plain),
        ("id,t\r\n\r\n1,b\r\n\r\n2,c\r\n\r\n\r", plain),
        ("id,t\n1,b\r\n2,c\n", plain),
        ("id,t\r\n1,\"b\r\nx\"\r\n2,\"c\r\ny\"\r\n", "1|b<>x\n2|c<>y"),
        ("id,t\r\n1,\"b\r\nx\"\r\n2,\"c\r\ny\"\r", "1|b<>x\n2|c<>y"),
        ("id,t\r1,\"b\rx\"\r2,\"c\ry\"", "1|b<x\n2|c<y"),
    ] {
        for rule in ["SKIP", "NULL"] {
            let options = [("TYPE", word("CSV")), ("ON_ERROR", word(rule))];
            let bench = Bench::new(&[("a.csv", text)]).table("t", "a.csv", &options);
            let sql =
                "SELECT id, replace(replace(t, chr(13), '<'), chr(10), '>') FROM t ORDER BY id";
            assert_eq!(bench.ask(sql).await, expected, "{rule} {text:?}");
            assert_eq!(bench.ask("SELECT count(*) FROM t").await, "2", "{rule} {text:?}");
            let batches = bench.run("SELECT id FROM t").await.unwrap();
            let schema = batches[0].schema();
            assert_eq!(
                *schema.field(0).data_type(),
                arrow::datatypes::DataType::Int64,
                "{rule} {text:?}"
            );
            assert!(bench.told().is_empty(), "{rule} {text:?}");
        }
    }
}

#[tokio::test]
async fn bad_rows_between_line_ends_of_two_bytes_are_left_out_alone() {
    let text = "id,t\r\n1,b\r\nx,c\r\n3\r\n4,d,e\r\n5,f\r\n";
    for (rule, expected) in [("SKIP", "1|b\n5|f"), ("NULL", "1|b\n3|\n4|d\n5|f\n|c")] {
        let options =
            [("TYPE", word("CSV")), ("ON_ERROR", word(rule)), ("TYPES", types(&["id BIGINT"]))];
        let bench = Bench::new(&[("a.csv", text)]).table("t", "a.csv", &options);
        assert_eq!(bench.ask("SELECT id, t FROM t ORDER BY id").await, expected, "{rule}");
        let mut lines: Vec<_> = bench.told().into_iter().map(|(line, _)| line).collect();
        lines.sort_unstable();
        assert_eq!(lines, [Some(3), Some(4), Some(5)], "{rule}");
    }
}
