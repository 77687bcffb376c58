//! Calls, views and columns for free.

use super::Bench;
use super::files::parquet;
use arrow::array::{ArrayRef, Int64Array};
use std::fmt::Write as _;
use std::sync::Arc;

fn orders() -> Bench {
    Bench::new(&[
        ("o/a.csv", "id;n\n1;x\n2;y\n"),
        ("o/b.csv", "id;n\n3;z\n"),
        ("c/x.csv", "id,n\n1,x\n2,y\n"),
        ("c/y.csv", "id,n\n3,z\n"),
    ])
}

#[tokio::test]
async fn a_call_reads_files_with_its_options() {
    let bench = orders();
    let ask = async |sql: &str| bench.ask(sql).await;
    assert_eq!(
        ask("SELECT sum(id), max(n) FROM read_csv('landing', 'o/', delimiter => ';')").await,
        "6|z"
    );
    assert_eq!(
        ask("SELECT read_csv.id FROM read_csv('landing', ['o/b.csv', 'o/a.csv'], DELIMITER = ';', types => 'id TEXT') ORDER BY 1").await,
        "1\n2\n3"
    );
    assert_eq!(
        ask("SELECT count(*) FROM read_csv('landing', 'c/', infer => none) a JOIN read_auto('landing', 'c/x.csv') b ON CAST(a.id AS BIGINT) = b.id").await,
        "2"
    );
}

#[tokio::test]
async fn a_wrong_call_says_what_is_wrong_with_it() {
    let bench = orders();
    let mut answers = Vec::new();
    for sql in [
        "SELECT * FROM read_cvs('landing', 'c/')",
        "SELECT * FROM read_csv('landing', 'c/', delimeter => ';')",
        "SELECT * FROM read_csv('landing', 'c/', header => 'perhaps')",
        "SELECT * FROM read_csv('landing', 'c/', type => 'JSON')",
        "SELECT * FROM read_csv('landing')",
        "SELECT * FROM read_csv('nowhere', 'c/')",
        "SELECT * FROM read_csv('landing', ['c/', 'nothing/'])",
        "SELECT * FROM read_csv('landing', 'c/', header => true, header => false)",
        "SELECT x FROM read_csv('landing', 'c/')",
    ] {
        let answer = bench.ask(sql).await;
        answers.push(format!("{sql}\n{answer}"));
    }
    insta::assert_snapshot!(answers.join("\n\n"));
}

#[tokio::test]
async fn columns_for_free_are_there_when_named_and_never_in_a_star() {
    let bench = orders();
    let ask = async |sql: &str| bench.ask(sql).await;
    assert_eq!(ask("SELECT * FROM landing.\"c/\" ORDER BY id").await, "1|x\n2|y\n3|z");
    assert_eq!(
        ask("SELECT *, _file, _row_number FROM landing.\"c/\" ORDER BY _file DESC, id").await,
        "3|z|landing:c/y.csv|1\n1|x|landing:c/x.csv|1\n2|y|landing:c/x.csv|2"
    );
    assert_eq!(ask("SELECT * FROM landing.\"c/\" WHERE _file LIKE '%y.csv'").await, "3|z");
    assert_eq!(
        ask("SELECT _FILE_SIZE, _file_last_modified, count(*) FROM landing.\"c/\" GROUP BY 1, 2 ORDER BY 1").await,
        "9|2023-11-14T22:13:20Z|1\n13|2023-11-14T22:13:20Z|2"
    );
    assert_eq!(
        ask("SELECT landing.\"c/x.csv\".id, landing.\"c/x.csv\"._row_number FROM landing.\"c/x.csv\" ORDER BY 2 DESC").await,
        "2|2\n1|1"
    );
    let join = "FROM landing.\"c/x.csv\" a JOIN landing.\"c/\" b";
    assert_eq!(
        ask(&format!(
            "SELECT *, a._row_number {join} ON a.id = b.id WHERE b._file LIKE '%x.csv' ORDER BY 1"
        ))
        .await,
        "1|x|1|x|1\n2|y|2|y|2"
    );
    assert_eq!(ask(&format!("SELECT * {join} USING (id) WHERE a._row_number = 2")).await, "2|y|y");
    assert_eq!(
        ask("WITH c AS (SELECT *, _file AS f, _row_number FROM landing.\"c/\") SELECT * FROM c WHERE _row_number = 2").await,
        "2|y|landing:c/x.csv|2"
    );
    assert_eq!(
        ask("SELECT id FROM landing.\"c/x.csv\" WHERE id IN (SELECT _row_number FROM landing.\"c/y.csv\")").await,
        "1"
    );
    let error = ask(&format!("SELECT _file {join} USING (id)")).await;
    assert!(error.contains("ambiguous") || error.contains("Ambiguous"), "{error}");
}

#[tokio::test]
async fn a_column_that_the_files_have_is_theirs() {
    let bench = Bench::new(&[("t.csv", "id,_file\n1,mine\n")]);
    assert_eq!(bench.ask("SELECT _file FROM landing.\"t.csv\"").await, "mine");
    assert_eq!(bench.ask("SELECT * FROM landing.\"t.csv\"").await, "1|mine");
}

#[tokio::test]
async fn rows_of_large_files_are_numbered_in_their_order_also_when_read_in_ranges() {
    let mut text = String::from("id,pad\n");
    for id in 1..=4000 {
        let _ = writeln!(text, "{id},{}", "x".repeat(id % 17));
    }
    let bench = Bench::new(&[("t.csv", text.as_str())]);
    assert_eq!(
        bench.ask("SELECT count(*), min(_row_number - id), max(_row_number - id) FROM landing.\"t.csv\"").await,
        "4000|0|0"
    );
}

#[tokio::test]
async fn parquet_rows_are_numbered_where_row_groups_are_left_out() {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=1000));
    let batch = arrow::record_batch::RecordBatch::try_from_iter([("id", ids)]).unwrap();
    let properties = ::parquet::file::properties::WriterProperties::builder()
        .set_max_row_group_row_count(Some(100))
        .build();
    let mut bytes = Vec::new();
    let mut writer =
        ::parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), Some(properties))
            .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let other = parquet(vec![("id", Arc::new(Int64Array::from(vec![5000])) as ArrayRef)]);
    let bench = Bench::new(&[("p/a.parquet", bytes), ("p/b.parquet", other)]);
    assert_eq!(
        bench
            .ask(
                "SELECT id, _row_number FROM landing.\"p/\" WHERE id > 948 AND id < 951 ORDER BY 1"
            )
            .await,
        "949|949\n950|950"
    );
    assert_eq!(
        bench.ask("SELECT count(*), max(_row_number - id) FROM landing.\"p/a.parquet\"").await,
        "1000|0"
    );
    assert_eq!(
        bench.ask("SELECT *, _file, _file_size > 0 FROM landing.\"p/\" WHERE _row_number = 1 ORDER BY id").await,
        "1|landing:p/a.parquet|true\n5000|landing:p/b.parquet|true"
    );
}

#[tokio::test]
async fn a_view_is_a_query_with_a_name() {
    let bench = orders()
        .view("small", "SELECT id, upper(n) AS n FROM landing.\"c/\" WHERE id < 3")
        .view("smaller", "SELECT s.*, y._file FROM small s, landing.\"c/y.csv\" y")
        .view("round", "SELECT * FROM round2")
        .view("round2", "SELECT * FROM round");
    assert_eq!(bench.ask("SELECT * FROM small ORDER BY id").await, "1|X\n2|Y");
    assert_eq!(bench.ask("SELECT * FROM smaller WHERE id = 2").await, "2|Y|landing:c/y.csv");
    assert_eq!(bench.ask("WITH small AS (SELECT 7 AS id) SELECT * FROM small").await, "7");
    assert!(bench.ask("SELECT * FROM round").await.contains("inside of 16 views, or of itself"));
    assert_eq!(bench.describe(&["small"]).await, "id|BIGINT|true|column|\nn|TEXT|true|column|");
}
