//! What a user does with a connection, from creating to dropping it, on the embedded service.

mod common;

use common::Home;
use windlass_testkit::TestS3;

async fn lake() -> (TestS3, Home) {
    let s3 = TestS3::start().await;
    let memory = s3.state();
    memory.create_bucket("lake");
    memory.create_bucket("other");
    for day in 1..=3 {
        let csv = format!("id,Amount\n{day}1,1.50\n{day}2,2.25\n");
        memory.put("lake", &format!("orders/dt=2026-11-0{day}/part.csv"), csv);
    }
    memory.put("lake", "odd/a//b .txt", "two slashes\n");
    memory.put("lake", "odd/q?and#/z%20.txt", "hello\nworld\n");
    let home = Home::new();
    let (id, secret) = s3.admin();
    home.connect("landing", &s3.endpoint(), &id, &secret, "COMMENT = 'raw'").good();
    (s3, home)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_can_be_browsed_read_and_queried() {
    let (_s3, home) = lake().await;
    let rows = home.run(&["-o", "json", "ls", "landing:lake/"]).json();
    let keys: Vec<&str> =
        rows.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(keys, ["odd/", "orders/"]);
    let rows = home.run(&["-o", "json", "ls", "-r", "landing:lake/orders/"]).json();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert_eq!(rows[0]["kind"], "object");
    assert_eq!(rows[0]["path"], "lake/orders/dt=2026-11-01/part.csv");
    // Keys are literal.
    assert_eq!(home.run(&["cat", "landing:lake/odd/q?and#/z%20.txt"]).good(), "hello\nworld\n");
    assert_eq!(home.run(&["cat", "landing:lake/odd/a//b .txt"]).good(), "two slashes\n");
    assert_eq!(
        home.run(&["head", "-n", "1", "landing:lake/odd/q?and#/z%20.txt"]).good(),
        "hello\n"
    );
    assert_eq!(
        home.run(&["cat", "--range", "0-4", "landing:lake/odd/q?and#/z%20.txt"]).good(),
        "hello"
    );
    // SQL says the same as ls, and more.
    let rows = home.rows("LIST landing.\"lake/orders/\" RECURSIVE");
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["size"], 26);
    let rows = home.rows(
        "SELECT dt, count(*) AS n, sum(\"Amount\") AS total FROM landing.\"lake/orders/\" GROUP BY dt ORDER BY dt",
    );
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["dt"], "2026-11-01");
    assert_eq!(rows[0]["n"], 2);
    assert_eq!(rows[0]["total"], 3.75);
    // A column is found without regard to case.
    let rows = home.rows(
        "SELECT max(amount) AS m FROM landing.\"lake/orders/dt=*/*.csv\" WHERE dt = '2026-11-02'",
    );
    assert_eq!(rows[0]["m"], 2.25);
    let rows = home.rows("SELECT name FROM system.connections WHERE kind = 'S3' ORDER BY name");
    assert_eq!(rows.len(), 2, "landing, and s3 of a fresh home: {rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_are_copied_both_ways_and_removed() {
    let (s3, home) = lake().await;
    let local = home.scratch("orders");
    let local = local.to_str().unwrap();
    let summary =
        home.run(&["-o", "json", "cp", "landing:lake/orders/", &format!("{local}/")]).json();
    assert_eq!((summary["copied"].as_u64(), summary["failed"].as_u64()), (Some(3), Some(0)));
    let text = std::fs::read_to_string(format!("{local}/dt=2026-11-02/part.csv")).unwrap();
    assert!(text.starts_with("id,Amount\n21"));
    home.run(&["cp", &format!("{local}/"), "landing:other/back/"]).good();
    assert_eq!(s3.state().keys("other").len(), 3);
    assert_eq!(home.run(&["diff", "landing:lake/orders/", "landing:other/back/"]).code, 0);
    // From standard input and to standard output.
    home.run_with(&["cp", "-", "landing:other/note.txt"], b"from a pipe").good();
    assert_eq!(home.run(&["cp", "landing:other/note.txt", "-"]).good(), "from a pipe");
    // A dry run does nothing.
    let summary = home
        .run(&["-o", "json", "cp", "--dry-run", "landing:lake/orders/", "landing:other/dry/"])
        .json();
    assert_eq!((summary["copied"].as_u64(), summary["dry_run"].as_bool()), (Some(3), Some(true)));
    assert!(!s3.state().keys("other").iter().any(|key| key.starts_with("dry/")));
    // Removing many asks; without a terminal it wants --yes.
    home.run(&["rm", "-r", "landing:other/back/"]).refused(1);
    home.run(&["rm", "-r", "--yes", "landing:other/back/"]).good();
    home.run(&["rm", "landing:other/note.txt"]).good();
    assert!(s3.state().keys("other").is_empty());
    home.run(&["mb", "landing:fresh"]).good();
    home.run(&["rb", "landing:fresh"]).good();
}

#[tokio::test(flavor = "multi_thread")]
async fn read_only_and_bound_connections_hold_everywhere() {
    let (s3, home) = lake().await;
    let (id, secret) = s3.admin();
    home.connect("viewer", &s3.endpoint(), &id, &secret, "READ_ONLY = TRUE").good();
    let write = [
        vec!["cp", "-", "viewer:lake/x"],
        vec!["rm", "viewer:lake/orders/dt=2026-11-01/part.csv"],
        vec!["presign", "--put", "viewer:lake/x"],
        vec!["mb", "viewer:newbucket"],
        vec!["rb", "viewer:other"],
        vec!["mv", "viewer:lake/orders/", "landing:other/"],
    ];
    for arguments in write {
        let text = home.run_with(&arguments, b"x").stderr;
        assert!(text.contains("connection.read_only"), "{arguments:?}: {text}");
    }
    assert_eq!(s3.state().keys("lake").len(), 5);
    home.run(&["presign", "viewer:lake/orders/dt=2026-11-01/part.csv"]).good();

    home.connect("bound", &s3.endpoint(), &id, &secret, "BUCKET = 'lake' PREFIX = 'orders'").good();
    let rows = home.run(&["-o", "json", "ls", "bound:"]).json();
    assert_eq!(rows[0]["path"], "dt=2026-11-01/");
    let text = home.sql("SELECT * FROM bound.\"s3://lake/odd/x.csv\"").refused(1);
    assert!(text.contains("path.outside"), "{text}");
    let rows = home.rows("SELECT count(*) AS n FROM bound.\"dt=*/*.csv\"");
    assert_eq!(rows[0]["n"], 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_secrets_are_altered_and_dropped_with_care() {
    let (s3, home) = lake().await;
    let (id, secret) = s3.admin();
    home.sql(&format!("CREATE SECRET key = '{secret}'")).good();
    home.sql(&format!(
        "ALTER S3 CONNECTION landing SET AWS_SECRET_ACCESS_KEY = SECRET key SET AWS_ACCESS_KEY_ID = '{id}' SET LABEL = 'EU'"
    ))
    .good();
    assert!(home.sql("DROP SECRET key").refused(1).contains("secret.in_use"));
    let rows = home.rows("SHOW SECRETS");
    assert_eq!(rows[0]["used_by"], "landing");
    // A bad change is refused and changes nothing.
    assert!(
        home.sql("ALTER S3 CONNECTION landing SET AWS_SECRET_ACCESS_KEY = 'wrong'")
            .refused(1)
            .contains("test_failed")
    );
    home.run(&["ls", "landing:lake/"]).good();
    // OR REPLACE keeps the id and may change only what ALTER may.
    let before = home.rows("SHOW CONNECTIONS LIKE 'landing'")[0]["id"].clone();
    home.sql("CREATE FILE TABLE orders ON landing LOCATION = 's3://lake/orders/'").good();
    assert_eq!(home.rows("SELECT count(*) AS n FROM orders")[0]["n"], 6);
    assert!(home.sql("DROP CONNECTION landing").refused(1).contains("file table main.orders"));
    let replace = |more: &str| {
        home.sql(&format!(
            "CREATE OR REPLACE S3 CONNECTION landing ENDPOINT = '{}' ALLOW_HTTP = TRUE AWS_ACCESS_KEY_ID = '{id}' AWS_SECRET_ACCESS_KEY = SECRET key {more}",
            s3.endpoint()
        ))
    };
    assert!(replace("READ_ONLY = TRUE").refused(1).contains("READ_ONLY"));
    assert!(replace("BUCKET = 'lake'").refused(1).contains("connection.in_use"));
    replace("COMMENT = 'new'").good();
    assert_eq!(home.rows("SHOW CONNECTIONS LIKE 'landing'")[0]["id"], before);
    home.sql("DROP FILE TABLE orders; DROP CONNECTION landing; DROP SECRET key; DROP CONNECTION IF EXISTS landing").good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shown_statement_masks_secrets() {
    let (s3, home) = lake().await;
    let (_, secret) = s3.admin();
    let rows = home.rows("SHOW CREATE CONNECTION landing");
    let statement = rows[0]["statement"].as_str().unwrap();
    assert!(statement.contains("AWS_SECRET_ACCESS_KEY = '********'"), "{statement}");
    assert!(!statement.contains(&secret));
    windlass_core::sql::parse_with(statement, windlass_core::sql::ParseMode::AllowMask).unwrap();
    assert!(!home.sql("DESCRIBE CONNECTION landing").good().contains(&secret));
    // The mask is not taken for a value.
    assert!(home.sql(&statement.replace("landing", "again")).refused(1).contains("mask"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_or_wrong_key_is_a_clear_error_and_destroys_nothing() {
    let (_s3, home) = lake().await;
    let key = home.path().join("home/key");
    let kept = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    assert!(home.run(&["ls", "landing:"]).refused(1).contains("vault.key"));
    assert!(!key.exists(), "no new key is made over sealed values");
    home.sql("SHOW CONNECTIONS").good();
    std::fs::write(&key, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n").unwrap();
    assert!(home.run(&["ls", "landing:"]).refused(1).contains("vault.key"));
    std::fs::write(&key, &kept).unwrap();
    home.run(&["ls", "landing:"]).good();
    home.run(&["key", "rotate"]).good();
    assert_ne!(std::fs::read(&key).unwrap(), kept);
    home.run(&["ls", "landing:"]).good();
}

#[test]
fn a_local_folder_is_a_connection_too() {
    let home = Home::new();
    let root = home.scratch("data");
    std::fs::create_dir_all(root.join("sub")).unwrap();
    std::fs::write(root.join("sub/x.csv"), "a,b\n1,2\n").unwrap();
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{}'", root.display())).good();
    assert_eq!(home.rows("SELECT a + b AS c FROM disk.\"sub/x.csv\"")[0]["c"], 3);
    let rows = home.run(&["-o", "json", "ls", "disk:"]).json();
    assert_eq!(rows[0]["key"], "sub/");
    for command in [vec!["ls", "disk"], vec!["du", "disk"], vec!["cp", "disk", "disk:x"]] {
        let text = home.run(&command).refused(1);
        assert!(text.contains("local.not_found") && text.contains("`disk:`"), "{text}");
    }
    assert!(home.run(&["cat", "disk:../../etc/passwd"]).refused(1).contains("path.outside"));
}
