//! Files that come beside others, and what a table was made with.

use super::Place;

fn below(place: &Place, folder: &str) -> Vec<String> {
    place.keys().into_iter().filter(|key| key.starts_with(folder)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_added_never_replaces_what_is_there() {
    let place = Place::new().await;
    let copy = |value: u32, to: &str, options: &str| {
        place.home.sql(&format!(
            "COPY (SELECT {value} AS a, {value} % 2 AS odd) TO '{to}' OPTIONS (FILE_FORMAT = CSV, {options})"
        ))
    };
    for connection in ["lake", "disk"] {
        let to = format!("{connection}:ap/");
        copy(1, &to, "FILE_NAME = 'o-{n}'").good();
        copy(2, &to, "FILE_NAME = 'o-{n}', MODE = APPEND").good();
        place
            .home
            .sql(&format!("INSERT INTO {connection}.\"ap/\" OPTIONS (FILE_FORMAT = CSV, FILE_NAME = 'o-{{n}}') SELECT 3 AS a, 1 AS odd"))
            .good();
        let rows = place.home.rows(&format!("SELECT a FROM {connection}.\"ap/\" ORDER BY a"));
        let text = serde_json::to_string(&rows).unwrap();
        assert_eq!(text, r#"[{"a":1},{"a":2},{"a":3}]"#, "{connection}");
    }
    assert_eq!(below(&place, "ap/"), ["ap/o-00000.csv", "ap/o-00001.csv", "ap/o-00002.csv"]);

    // Each folder counts for itself, and goes on where a file is full.
    for value in [1, 2, 3] {
        copy(value, "lake:parts/", "FILE_NAME = 'p-{n}', PARTITIONED_BY = ('odd'), MODE = APPEND")
            .good();
    }
    assert_eq!(
        below(&place, "parts/"),
        ["parts/odd=0/p-00000.csv", "parts/odd=1/p-00000.csv", "parts/odd=1/p-00001.csv"]
    );
    let cut = "COPY (SELECT unnest(range(0, 20000)) AS id) TO 'lake:cut/' OPTIONS (FILE_FORMAT = CSV, MAX_FILE_SIZE = '50KB', FILE_NAME = 'c-{n}', MODE = APPEND)";
    place.write(cut);
    let once = below(&place, "cut/").len();
    place.write(cut);
    assert_eq!(below(&place, "cut/").len(), 2 * once);
    assert_eq!(place.home.rows("SELECT count(*) AS n FROM lake.\"cut/\"")[0]["n"], 40_000);

    // A name that is always the same is taken once.
    copy(1, "lake:same/", "FILE_NAME = 'same', MODE = APPEND").good();
    let refused = copy(2, "lake:same/", "FILE_NAME = 'same', MODE = APPEND").refused(1);
    assert!(refused.contains("error[object.changed]: `lake:same/same.csv` is there"), "{refused}");
    assert!(refused.contains("APPEND replaces nothing"), "{refused}");
    assert_eq!(place.text("same/same.csv"), "a,odd\n1,1\n");

    place
        .home
        .sql("CREATE JOB add AS INSERT INTO lake.\"daily/\" OPTIONS (FILE_FORMAT = CSV, FILE_NAME = 'day-{n}') SELECT 1 AS a")
        .good();
    place.home.sql("RUN JOB add").good();
    place.home.sql("RUN JOB add").good();
    assert_eq!(below(&place, "daily/"), ["daily/day-00000.csv", "daily/day-00001.csv"]);
    place.nothing_is_left("appends");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_table_was_made_with_holds_for_what_is_inserted() {
    let place = Place::new().await;
    let home = &place.home;
    home.sql("CREATE FILE TABLE packed ON lake LOCATION = 'packed/' CONTENT_TYPE = CSV COMPRESSION = GZIP FILE_NAME = 'rows-{n}' AS SELECT 1 AS a").good();
    home.sql("INSERT INTO packed SELECT 2").good();
    home.sql("CREATE JOB more AS INSERT INTO packed SELECT 3").good();
    home.sql("RUN JOB more").good();
    let refused = home.sql("INSERT INTO packed OPTIONS (COMPRESSION = NONE) SELECT 4").refused(1);
    assert!(refused.contains("another COMPRESSION"), "{refused}");
    assert_eq!(
        below(&place, "packed/"),
        ["packed/rows-00000.csv.gz", "packed/rows-00001.csv.gz", "packed/rows-00002.csv.gz"]
    );
    assert_eq!(home.rows("SELECT sum(a) AS s FROM packed")[0]["s"], 6);

    // A name without a number is that of the first file alone.
    home.sql(
        "CREATE FILE TABLE named ON lake LOCATION = 'named/' FILE_NAME = 'all' AS SELECT 1 AS a",
    )
    .good();
    home.sql("INSERT INTO named SELECT 2").good();
    assert_eq!(home.rows("SELECT sum(a) AS s FROM named")[0]["s"], 3);

    // No file says yet which folders there are.
    home.sql("CREATE FILE TABLE parted ON lake LOCATION = 'parted/' CONTENT_TYPE = CSV PARTITIONED_BY = ('k') AS SELECT 1 AS v, 'x' AS k WHERE false").good();
    assert_eq!(below(&place, "parted/"), Vec::<String>::new());
    home.sql("INSERT INTO parted SELECT 7 AS v, 'y' AS k").good();
    let files = below(&place, "parted/");
    assert!(files.len() == 1 && files[0].starts_with("parted/k=y/"), "{files:?}");

    // A table can be made so before there is a file.
    home.sql("CREATE FILE TABLE empty ON lake LOCATION = 'empty/' CONTENT_TYPE = CSV COMPRESSION = ZSTD PARTITIONED_BY = ('k') (v BIGINT)").good();
    home.sql("INSERT INTO empty SELECT 1, 'z'").good();
    let files = below(&place, "empty/");
    assert!(files.len() == 1 && files[0].starts_with("empty/k=z/"), "{files:?}");
    assert!(files[0].ends_with(".csv.zst"), "{files:?}");
    place.nothing_is_left("tables");
}
