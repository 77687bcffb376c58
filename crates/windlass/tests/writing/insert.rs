//! INSERT INTO a file table: its columns by position or as listed, its types, its folders.

use super::Place;

fn text(rows: &[serde_json::Value]) -> String {
    serde_json::to_string(rows).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_to_the_folders_of_their_table() {
    let place = Place::new().await;
    let home = &place.home;
    home.sql("CREATE FILE TABLE ptab ON lake LOCATION = 'part/' PARTITIONED_BY = ('zip') AS SELECT 1 AS v, '111' AS zip").good();
    home.sql("INSERT INTO ptab SELECT 7 AS v, '555' AS zip").good();
    home.sql("INSERT INTO ptab SELECT 8, '556'").good();
    // Now its columns are stored.
    assert_eq!(home.rows("SELECT v FROM ptab").len(), 3);
    home.sql("INSERT INTO ptab (zip, v) SELECT 557, 9").good();
    home.sql("INSERT INTO ptab (v) SELECT 10").good();
    assert_eq!(
        text(&home.rows("SELECT v, zip FROM ptab ORDER BY v")),
        r#"[{"v":1,"zip":111},{"v":7,"zip":555},{"v":8,"zip":556},{"v":9,"zip":557},{"v":10,"zip":null}]"#
    );
    assert!(place.keys().iter().all(|key| key.starts_with("part/zip=")), "{:?}", place.keys());
    let described = home.rows("DESCRIBE ptab");
    let columns: Vec<&str> = described
        .iter()
        .filter(|row| row["role"] != "note")
        .map(|row| row["column_name"].as_str().unwrap())
        .collect();
    assert_eq!(columns, ["v", "zip"]);

    home.sql("INSERT INTO ptab OPTIONS (MODE = OVERWRITE_PARTITIONS) VALUES (70, 555)").good();
    let rows = home.rows("SELECT v FROM ptab WHERE zip = 555");
    assert_eq!(text(&rows), r#"[{"v":70}]"#);
    let refused =
        home.sql("INSERT INTO ptab OPTIONS (PARTITIONED_BY = ('v')) SELECT 1, 2").refused(1);
    assert!(refused.contains("`ptab` are in folders of zip"), "{refused}");
    let refused = home.sql("INSERT INTO ptab SELECT 1").refused(1);
    assert!(refused.contains("the query has 1 column, and `ptab` 2 columns: v, zip"), "{refused}");

    // Months of two digits stay so: with `m=8` beside `m=07` the column would be text.
    home.sql("CREATE FILE TABLE months ON lake LOCATION = 'months/' PARTITIONED_BY = ('m') AS SELECT 1 AS v, '07' AS m").good();
    home.sql("INSERT INTO months VALUES (2, 8), (3, 12)").good();
    assert!(place.keys().iter().any(|key| key.starts_with("months/m=08/")), "{:?}", place.keys());
    assert_eq!(
        text(&home.rows("SELECT v, m FROM months ORDER BY v")),
        r#"[{"v":1,"m":7},{"v":2,"m":8},{"v":3,"m":12}]"#
    );
    place.nothing_is_left("partitions");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_are_taken_by_position_or_as_listed() {
    let place = Place::new().await;
    let home = &place.home;
    home.sql("CREATE FILE TABLE ins ON lake LOCATION = 'ins/' CONTENT_TYPE = (TYPE = CSV) (a BIGINT, b TEXT)").good();
    home.sql("INSERT INTO ins VALUES (5, 'v')").good();
    home.sql("INSERT INTO ins (b, a) SELECT 'w', 6").good();
    home.sql("INSERT INTO ins SELECT '7' AS b, 8 AS other").good();
    home.sql("INSERT INTO ins (b) (SELECT 'x')").good();
    home.sql("CREATE JOB more AS INSERT INTO ins (b, a) SELECT 'j', 9").good();
    home.sql("RUN JOB more").good();
    assert_eq!(
        text(&home.rows("SELECT * FROM ins ORDER BY a")),
        r#"[{"a":5,"b":"v"},{"a":6,"b":"w"},{"a":7,"b":"8"},{"a":9,"b":"j"},{"a":null,"b":"x"}]"#
    );
    let files = place.keys();
    for (statement, what) in [
        ("INSERT INTO ins SELECT 1", "the query has 1 column, and `ins` 2 columns: a, b"),
        ("INSERT INTO ins VALUES (1, 'a', 2)", "the query has 3 columns, and `ins` 2 columns"),
        ("INSERT INTO ins (a) VALUES (1, 'a')", "INSERT INTO lists 1 column of `ins`"),
        ("INSERT INTO ins (a, c) VALUES (1, 2)", "no column `c` to insert into `ins`"),
        ("INSERT INTO ins (a, A) VALUES (1, 2)", "lists the column `a` twice"),
        ("INSERT INTO ins SELECT 'notint' AS a, 'b' AS b", "notint"),
        ("INSERT INTO lake.\"ins/\" (a) SELECT 1", "files without a table have none"),
    ] {
        let refused = home.sql(statement).refused(1);
        assert!(refused.contains(what), "{statement}: {refused}");
    }
    assert_eq!(place.keys(), files);
    assert_eq!(home.rows("DESCRIBE ins")[0]["data_type"], "BIGINT");
    // A path has no columns: those of the query stay what they are.
    home.sql("INSERT INTO lake.\"free/\" OPTIONS (FILE_FORMAT = CSV) SELECT 1 AS x, 2 AS y").good();
    assert_eq!(text(&home.rows("SELECT * FROM lake.\"free/\"")), r#"[{"x":1,"y":2}]"#);
    place.nothing_is_left("columns");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_to_the_dates_of_their_table() {
    let place = Place::new().await;
    let home = &place.home;
    home.sql("CREATE FILE TABLE days ON lake LOCATION = 'days/' CONTENT_TYPE = (TYPE = CSV) DATE_PATTERN = 'yyyy/MM/dd' DATE_COLUMN = 'at' AS SELECT 1 AS id, DATE '2024-01-02' AS at").good();
    home.sql("INSERT INTO days SELECT 2, DATE '2024-01-03', DATE '2024-01-04'").good();
    home.sql("INSERT INTO days OPTIONS (DATE_COLUMN = 'at') SELECT 3, '2024-01-05'").good();
    let key = |day: &str| {
        let keys = place.keys();
        keys.into_iter().find(|key| key.starts_with(&format!("days/2024/01/{day}/"))).unwrap()
    };
    assert_eq!(place.text(&key("04")), "id,at\n2,2024-01-03\n");
    assert_eq!(place.text(&key("05")), "id,at\n3,2024-01-05\n");
    assert_eq!(
        text(&home.rows("SELECT id, at, path_date FROM days ORDER BY id")),
        r#"[{"id":1,"at":"2024-01-02","path_date":"2024-01-02"},{"id":2,"at":"2024-01-03","path_date":"2024-01-04"},{"id":3,"at":"2024-01-05","path_date":"2024-01-05"}]"#
    );
    let refused = home
        .sql("INSERT INTO days OPTIONS (DATE_PATTERN = 'yyyy-MM') SELECT 4, '2024-01-05', NULL")
        .refused(1);
    assert!(refused.contains("another DATE_PATTERN"), "{refused}");
    place.nothing_is_left("dates");
}
