//! Which files there are, whose rules they keep, what becomes of those that are there and of those that were read.

use super::Place;
use std::time::{Duration, Instant};
use windlass_testkit::{Fault, FaultKind};

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_read_back_with_their_values() {
    let place = Place::new().await;
    let query = "SELECT * FROM (VALUES (1, 'a/b', 7), (2, 'x=y %41', 7), (3, NULL, NULL), (4, '__HIVE_DEFAULT_PARTITION__', 8), \
                 (5, 'ü 漢', 8), (6, '*?[{', 9), (7, 'q''\"#:', 9)) AS t(id, kind, n)";
    let row = place.write(&format!(
        "COPY ({query}) TO 'lake:p/' OPTIONS (FILE_FORMAT = PARQUET, PARTITIONED_BY = ('kind', 'N'))"
    ));
    assert_eq!((&row["rows"], &row["files"]), (&7.into(), &7.into()), "{row}");
    assert!(
        place.keys().contains(&"p/kind=a%2Fb/n=7/part-00000.parquet".to_owned()),
        "{:?}",
        place.keys()
    );
    let back = place.home.rows("SELECT id, kind, n FROM lake.\"p/\" ORDER BY id");
    let expected = place.home.rows(&format!("SELECT id, kind, n FROM ({query}) AS q ORDER BY id"));
    assert_eq!(back, expected);
    let program = r##"
import duckdb, pyarrow.dataset as ds
want = {1: 'a/b', 2: 'x=y %41', 3: None, 5: 'ü 漢', 6: '*?[{', 7: 'q\'"#:'}
rows = dict(ds.dataset('p', partitioning=ds.partitioning(flavor='hive')).to_table(columns=['id', 'kind']).select(['id', 'kind']).to_pandas().itertuples(index=False, name=None))
for id, kind in want.items():
    assert (rows[id] if rows[id] == rows[id] else None) == kind, (id, rows)
print('good')
"##;
    assert_eq!(place.python(program), "good\n");
    let refused = place
        .home
        .sql(
            "COPY (SELECT 1 AS a) TO 'lake:q/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('a'))",
        )
        .refused(1);
    assert!(refused.contains("PARTITIONED_BY names every column"), "{refused}");
    let refused = place
        .home
        .sql("COPY (SELECT 1 AS a, 2 AS b) TO 'lake:q/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('c'))")
        .refused(1);
    assert!(refused.contains("PARTITIONED_BY names `c`, which is no column"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_partitions_than_can_be_open_have_one_file_each_in_the_order_of_rows() {
    let place = Place::new().await;
    let query = "SELECT id, id % 300 AS bucket FROM (SELECT unnest(range(0, 60000)) AS id) AS s ORDER BY id";
    let row = place.write(&format!(
        "COPY ({query}) TO 'lake:many/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('bucket'))"
    ));
    assert_eq!((&row["rows"], &row["files"]), (&60_000.into(), &300.into()), "{row}");
    for bucket in [0, 31, 32, 150, 299] {
        let mut expected = "id\n".to_owned();
        expected.extend((0..200).map(|n| format!("{}\n", n * 300 + bucket)));
        assert_eq!(place.text(&format!("many/bucket={bucket}/part-00000.csv")), expected);
    }
    place.nothing_is_left("many partitions");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_cut_named_and_put_into_folders_of_dates() {
    let place = Place::new().await;
    let row = place.write(
        "COPY (SELECT unnest(range(0, 50000)) AS id) TO 'lake:cut/' OPTIONS (FILE_FORMAT = CSV, MAX_FILE_SIZE = '50KB', FILE_NAME = 'orders-{n}')",
    );
    let files: Vec<String> =
        place.keys().into_iter().filter(|key| key.starts_with("cut/")).collect();
    assert!(files.len() >= 5, "{files:?}");
    assert_eq!(row["files"], files.len());
    assert_eq!(files[1], "cut/orders-00001.csv");
    let mut ids = Vec::new();
    for file in &files {
        let text = place.text(file);
        assert!(text.len() < 60_000, "{file} has {} bytes", text.len());
        let lines = text.strip_prefix("id\n").unwrap().lines();
        ids.extend(lines.map(|line| line.parse::<u32>().unwrap()));
    }
    assert_eq!(ids, (0..50_000).collect::<Vec<_>>());
    place.write(
        "COPY (SELECT * FROM (VALUES (1, TIMESTAMP '1969-12-31 23:30:00'), (2, TIMESTAMP '2026-01-02 03:04:05'), (3, NULL)) AS t(id, at)) \
         TO 'lake:days/' OPTIONS (FILE_FORMAT = JSON, DATE_PATTERN = '''y=''yyyy/MM-dd/HH', DATE_COLUMN = 'at', COMPRESSION = GZIP)",
    );
    let days: Vec<String> =
        place.keys().into_iter().filter(|key| key.starts_with("days/")).collect();
    assert_eq!(
        days,
        [
            "days/__HIVE_DEFAULT_PARTITION__/part-00000.jsonl.gz",
            "days/y=1969/12-31/23/part-00000.jsonl.gz",
            "days/y=2026/01-02/03/part-00000.jsonl.gz"
        ]
    );
    for (options, what) in [
        ("SINGLE = TRUE, MAX_FILE_SIZE = 5", "contradict"),
        ("FILE_NAME = 'a/b'", "without `/`"),
        ("FILE_NAME = 'a{x}'", "no other braces"),
        ("DATE_PATTERN = 'QQ'", "DATE_PATTERN has `QQ`"),
        ("DATE_COLUMN = 'a'", "DATE_PATTERN, which is not given"),
        ("MODE = OVERWRITE_PARTITIONS", "folders of partitions"),
        ("AFTER_READ = MOVE", "does not say where to"),
        ("FILE_FORMAT = (DELIMITR = ';')", "did you mean DELIMITER?"),
        ("COMPRESION = GZIP", "did you mean COMPRESSION?"),
    ] {
        let refused =
            place.home.sql(&format!("COPY (SELECT 1 AS a) TO 'lake:o/' OPTIONS ({options})"));
        let refused = refused.refused(1);
        assert!(
            refused.contains("error[option.invalid]") && refused.contains(what),
            "{options}: {refused}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_decide_what_becomes_of_files_that_are_there() {
    let place = Place::new().await;
    let copy = |value: u32, to: &str, options: &str| {
        place.home.sql(&format!("COPY (SELECT {value} AS x, {value} % 2 AS odd) TO 'lake:{to}' OPTIONS (FILE_FORMAT = CSV{options})"))
    };
    copy(1, "one.csv", "").good();
    let refused = copy(2, "one.csv", "").refused(1);
    assert!(refused.contains("error[object.changed]: `lake:one.csv` is there"), "{refused}");
    assert_eq!(place.text("one.csv"), "x,odd\n1,1\n");
    copy(3, "one.csv", ", MODE = OVERWRITE").good();
    assert_eq!(place.text("one.csv"), "x,odd\n3,1\n");
    let refused = copy(4, "one.csv", ", MODE = APPEND").refused(1);
    assert!(refused.contains("nothing can be added to one file"), "{refused}");

    copy(1, "d/", "").good();
    let refused = copy(2, "d/", "").refused(1);
    assert!(refused.contains("`lake:d/part-00000.csv` is there"), "{refused}");
    copy(2, "d/", ", MODE = APPEND").good();
    place.home.sql("INSERT INTO lake.\"d/\" SELECT 3 AS x, 1 AS odd").good();
    let all = place.home.rows("SELECT x FROM lake.\"d/\" ORDER BY x");
    assert_eq!(all.len(), 3, "{all:?}");
    place.s3.state().put("lake", "d/sub/old.csv", "x,odd\n9,9\n");
    let row = place.write(
        "COPY (SELECT 7 AS x, 1 AS odd) TO 'lake:d/' OPTIONS (FILE_FORMAT = CSV, MODE = OVERWRITE)",
    );
    assert_eq!(row["removed"], 4, "{row}");
    let all = place.home.rows("SELECT x FROM lake.\"d/\"");
    assert_eq!(all.len(), 1, "{all:?}");

    for value in [1, 2, 4] {
        copy(value, "q/", ", PARTITIONED_BY = ('odd'), MODE = APPEND").good();
    }
    copy(6, "q/", ", PARTITIONED_BY = ('odd'), MODE = OVERWRITE_PARTITIONS").good();
    let all = place.home.rows("SELECT x, odd FROM lake.\"q/\" ORDER BY x");
    assert_eq!(serde_json::to_string(&all).unwrap(), r#"[{"x":1,"odd":1},{"x":6,"odd":0}]"#);

    place.s3.state().put("lake", "t/_delta_log/00000000000000000000.json", "{}");
    for mode in ["OVERWRITE", "APPEND"] {
        let refused = copy(1, "t/", &format!(", MODE = {mode}")).refused(1);
        assert!(refused.contains("holds a Delta Lake table"), "{refused}");
    }
    let refused = place
        .home
        .sql("COPY (SELECT 1 AS x) TO 'lake:' OPTIONS (FILE_FORMAT = CSV, MODE = OVERWRITE)")
        .refused(1);
    assert!(refused.contains("would replace everything"), "{refused}");
    place.nothing_is_left("modes");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_made_of_queries_and_added_to() {
    let place = Place::new().await;
    place
        .home
        .sql("CREATE FILE TABLE totals ON lake LOCATION = 'totals/' CONTENT_TYPE = (TYPE = CSV, DELIMITER = ';') AS SELECT 1 AS id, 'a' AS label")
        .good();
    place.home.sql("INSERT INTO totals SELECT 2 AS id, 'b' AS label").good();
    place.home.sql("INSERT INTO main.totals VALUES (3, 'c')").good();
    let refused = place.home.sql("INSERT INTO nowhere SELECT 1").refused(1);
    assert!(refused.contains("error[table.not_found]"), "{refused}");
    let rows = place.home.rows("SELECT count(*) AS n FROM lake.\"totals/\"");
    assert_eq!(rows[0]["n"], 3);
    let first = place.keys().into_iter().find(|key| key.contains("part-00000")).unwrap();
    assert_eq!(place.text(&first), "id;label\n1;a\n");
    let refused = place
        .home
        .sql("CREATE FILE TABLE totals ON lake LOCATION = 'other/' AS SELECT 1 AS x")
        .refused(1);
    assert!(refused.contains("error[table.exists]"), "{refused}");
    let said = place
        .home
        .sql("CREATE FILE TABLE IF NOT EXISTS totals ON lake LOCATION = 'other/' AS SELECT 1 AS x")
        .good();
    assert!(said.contains("nothing changed") || said.is_empty(), "{said}");
    place.home.sql("CREATE FILE TABLE p ON lake LOCATION = 'pq/' AS SELECT 5 AS five").good();
    assert_eq!(place.home.rows("SELECT five FROM p")[0]["five"], 5);
    assert!(!place.keys().iter().any(|key| key.starts_with("other/")));
    let runs = place.home.rows("SELECT kind, state, statement FROM system.runs WHERE kind = 'write' AND state = 'succeeded'");
    assert_eq!(runs.len(), 4, "{runs:?}");
    let items =
        place.home.rows("SELECT action, destination FROM system.run_items WHERE action = 'write'");
    assert_eq!(items.len(), 4, "{items:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_keeps_the_rules_of_its_connection() {
    let place = Place::new().await;
    let (id, secret) = place.s3.admin();
    let endpoint = place.s3.endpoint();
    place
        .home
        .connect(
            "sealed",
            &endpoint,
            &id,
            &secret,
            "BUCKET = 'lake' PREFIX = 'in/' ENCRYPTION = 'AES256'",
        )
        .good();
    place.home.connect("shut", &endpoint, &id, &secret, "BUCKET = 'lake' READ_ONLY = TRUE").good();
    place.home.sql("COPY (SELECT 1 AS x) TO 'sealed:small.csv'").good();
    place.home.sql("COPY (SELECT 1 AS x, 2 AS p) TO 'sealed:many/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = OVERWRITE)").good();
    let written: Vec<String> = place.keys();
    assert_eq!(written.len(), 2, "{written:?}");
    let puts: Vec<_> = place
        .s3
        .state()
        .requests()
        .into_iter()
        .filter(|request| {
            ["PutObject", "CreateMultipartUpload"].contains(&request.operation.as_str())
        })
        .collect();
    assert!(puts.len() >= 2);
    for request in &puts {
        assert_eq!(request.header("x-amz-server-side-encryption"), Some("AES256"), "{request:?}");
    }
    for statement in [
        "COPY (SELECT 1 AS x) TO 'shut:a.csv'",
        "INSERT INTO shut.\"d/\" OPTIONS (FILE_FORMAT = CSV) SELECT 1 AS x",
        "CREATE FILE TABLE t ON shut LOCATION = 'd/' AS SELECT 1 AS x",
    ] {
        let refused = place.home.sql(statement).refused(1);
        assert!(refused.contains("error[connection.read_only]"), "{statement}: {refused}");
    }
    place.s3.state().put("lake", "src.csv", "x\n1\n");
    let refused = place
        .home
        .sql(
            "COPY (SELECT * FROM shut.\"src.csv\") TO 'lake:out.csv' OPTIONS (AFTER_READ = DELETE)",
        )
        .refused(1);
    assert!(refused.contains("error[connection.read_only]"), "{refused}");
    assert!(!place.keys().contains(&"out.csv".to_owned()));
    let outside =
        place.home.sql("COPY (SELECT 1 AS x) TO 'sealed:s3://lake/elsewhere.csv'").refused(1);
    assert!(outside.contains("error[path.outside]"), "{outside}");
    // What is sealed with a customer's key is read with it, and with no other.
    let key = |letter: &str| letter.repeat(43) + "=";
    for (name, key) in [("own", key("A")), ("other", key("E"))] {
        let more = format!("BUCKET = 'lake' ENCRYPTION_CUSTOMER_MANAGED_KEY = '{key}'");
        place.home.connect(name, &endpoint, &id, &secret, &more).good();
    }
    place.home.sql("COPY (SELECT 7 AS x) TO 'own:own/a.csv'").good();
    place.home.sql("INSERT INTO own.\"own/\" OPTIONS (FILE_FORMAT = CSV) SELECT 8 AS x").good();
    assert_eq!(place.home.rows("SELECT sum(x) AS s FROM own.\"own/\"")[0]["s"], 15);
    place.home.sql("SELECT sum(x) FROM other.\"own/\"").refused(1);
    place.nothing_is_left("rules");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_goes_only_once_the_output_is_there() {
    let place = Place::new().await;
    for n in 0..5 {
        place.s3.state().put("lake", &format!("in/{n}.csv"), format!("id\n{n}\n"));
    }
    let refused = place
        .home
        .sql("COPY (SELECT * FROM lake.\"in/\" LIMIT 2) TO 'lake:out/a.csv' OPTIONS (AFTER_READ = DELETE)")
        .refused(1);
    assert!(refused.contains("LIMIT"), "{refused}");
    place.s3.state().put("lake", "out/b.csv", "there");
    place
        .home
        .sql("COPY (SELECT * FROM lake.\"in/\") TO 'lake:out/b.csv' OPTIONS (AFTER_READ = DELETE)")
        .refused(1);
    assert_eq!(place.keys().iter().filter(|key| key.starts_with("in/")).count(), 5);
    let row = place.write(
        "COPY (SELECT * FROM lake.\"in/[01].csv\") TO 'lake:out/c.csv' OPTIONS (AFTER_READ = MOVE, AFTER_READ_LOCATION = 'done/')",
    );
    assert_eq!(row["after_read"], 2, "{row}");
    assert_eq!(place.text("done/in/0.csv"), "id\n0\n");
    // One changes while the query runs: its new state was not read, and stays.
    place.s3.state().add_fault(Fault::new("CompleteMultipartUpload", FaultKind::Hold));
    let before = place.s3.state().count("CompleteMultipartUpload");
    let changed = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            place.home.sql("COPY (SELECT * FROM lake.\"in/\") TO 'lake:out/d.csv' OPTIONS (AFTER_READ = DELETE)")
        });
        let begin = Instant::now();
        while place.s3.state().count("CompleteMultipartUpload") == before {
            assert!(begin.elapsed() < Duration::from_mins(4), "it never wrote");
            std::thread::sleep(Duration::from_millis(10));
        }
        place.s3.state().put("lake", "in/3.csv", "id\n33\n");
        place.s3.state().release();
        writing.join().unwrap()
    });
    assert_eq!(changed.code, 3, "{changed:?}");
    assert_eq!(place.text("out/d.csv").lines().count(), 4);
    let left: Vec<String> = place.keys().into_iter().filter(|key| key.starts_with("in/")).collect();
    assert_eq!(left, ["in/3.csv"]);
    assert_eq!(place.text("in/3.csv"), "id\n33\n");
    let items =
        place.home.rows("SELECT source, reason FROM system.run_items WHERE status = 'failed'");
    assert!(
        items[0]["reason"].as_str().unwrap().contains("changed after it was read"),
        "{items:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_which_something_was_left_out_stays() {
    let place = Place::new().await;
    place.s3.state().put("lake", "in/good.csv", "a,b\n1,2\n");
    place.s3.state().put("lake", "in/bad.csv", "a,b\n3,4\n5\n");
    for on_error in ["SKIP", "NULL"] {
        let wrote = place.home.sql(&format!(
            "COPY (SELECT * FROM read_csv('lake', 'in/', on_error => '{on_error}')) TO 'lake:out/{on_error}.csv' OPTIONS (AFTER_READ = DELETE)"
        ));
        assert_eq!(wrote.code, 3, "{wrote:?}");
        assert!(place.text(&format!("out/{on_error}.csv")).contains("3,4"));
        assert_eq!(place.text("in/bad.csv"), "a,b\n3,4\n5\n");
        assert!(!place.keys().contains(&"in/good.csv".to_owned()));
    }
    let items =
        place.home.rows("SELECT source, reason FROM system.run_items WHERE status = 'failed'");
    assert_eq!(items.len(), 2, "{items:?}");
    assert!(items[0]["reason"].as_str().unwrap().contains("not all of it could be read"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_in_parts_and_a_failed_one_leaves_nothing() {
    let place = Place::new().await;
    let query = "SELECT id, md5(CAST(id AS VARCHAR)) AS hash FROM (SELECT unnest(range(0, 700000)) AS id) AS s";
    let row = place.write(&format!("COPY ({query}) TO 'lake:big.csv'"));
    assert_eq!(row["rows"], 700_000);
    assert!(place.s3.state().count("UploadPart") >= 3, "{}", place.s3.state().count("UploadPart"));
    let text = place.text("big.csv");
    assert_eq!(text.lines().count(), 700_001);
    let last = "699999,7c590f287acefdd3ea84a7678f1e907b";
    assert!(text.lines().any(|line| line == last), "the last row is not there");
    let denied =
        FaultKind::Error { status: 403, code: "AccessDenied".into(), message: "no".into() };
    place.s3.state().add_fault(Fault::new("UploadPart", denied).after(1).always());
    let refused = place.home.sql(&format!("COPY ({query}) TO 'lake:never.csv'")).refused(1);
    assert!(refused.contains("error[connection.denied]"), "{refused}");
    place.s3.state().clear_faults();
    // Rows that cannot be written come late.
    let refused = place
        .home
        .sql("COPY (SELECT id, CASE WHEN id = 650000 THEN '漢' ELSE 'some longer text of a row' END AS t FROM (SELECT unnest(range(0, 700000)) AS id) AS s) TO 'lake:never.csv' OPTIONS (FILE_FORMAT = (ENCODING = 'latin1'))")
        .refused(1);
    assert!(refused.contains("error[format.unwritable]"), "{refused}");
    assert_eq!(place.keys(), ["big.csv"]);
    place.nothing_is_left("failures");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_writes_and_moves_what_it_has_read() {
    let place = Place::new().await;
    place.s3.state().put("lake", "inbox/a.csv", "id,v\n1,x\n");
    place
        .home
        .sql("CREATE JOB load AS INSERT INTO lake.\"tidy/\" OPTIONS (FILE_FORMAT = PARQUET, AFTER_READ = MOVE, AFTER_READ_LOCATION = 'done/') SELECT * FROM lake.\"inbox/\"")
        .good();
    let shown = place.home.sql("SHOW CREATE JOB load").good();
    assert!(shown.contains("AFTER_READ = 'MOVE'"), "{shown}");
    place.home.sql("RUN JOB load").good();
    place.s3.state().put("lake", "inbox/b.csv", "id,v\n2,y\n");
    place.home.sql("RUN JOB load").good();
    let rows = place.home.rows("SELECT id, v FROM lake.\"tidy/\" ORDER BY id");
    assert_eq!(serde_json::to_string(&rows).unwrap(), r#"[{"id":1,"v":"x"},{"id":2,"v":"y"}]"#);
    assert!(place.keys().contains(&"done/inbox/b.csv".to_owned()), "{:?}", place.keys());
    let refused = place.home.sql("DROP CONNECTION lake").refused(1);
    assert!(refused.contains("error[connection.in_use]"), "{refused}");
}
