//! What was read goes only if all of it was read.

use super::Place;

fn inbox(place: &Place) {
    for n in 0..3 {
        place.s3.state().put("lake", &format!("in/{n}.csv"), format!("id\n{n}\n"));
    }
}

fn left(place: &Place) -> usize {
    place.keys().iter().filter(|key| key.starts_with("in/")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn files_stay_where_a_limit_may_leave_rows_unread_wherever_it_stands() {
    let place = Place::new().await;
    inbox(&place);
    place.home.sql("CREATE VIEW few AS SELECT * FROM lake.\"in/\" ORDER BY id LIMIT 1").good();
    for (query, what) in [
        ("SELECT * FROM lake.\"in/\" LIMIT 1", "a LIMIT"),
        ("SELECT * FROM lake.\"in/\" ORDER BY id LIMIT 1", "a LIMIT"),
        ("SELECT * FROM lake.\"in/\" ORDER BY id FETCH FIRST 1 ROWS ONLY", "a LIMIT"),
        ("SELECT * FROM lake.\"in/\" ORDER BY id OFFSET 1", "a LIMIT"),
        ("SELECT s.id FROM (SELECT * FROM lake.\"in/\" ORDER BY id LIMIT 1) AS s", "a LIMIT"),
        ("WITH c AS (SELECT * FROM lake.\"in/\" ORDER BY id LIMIT 1) SELECT * FROM c", "a LIMIT"),
        ("SELECT * FROM few", "a LIMIT"),
        (
            "SELECT 7 AS id UNION ALL (SELECT id FROM lake.\"in/\" ORDER BY id DESC LIMIT 2)",
            "a LIMIT",
        ),
        (
            "SELECT a.id FROM lake.\"in/\" AS a WHERE a.id IN (SELECT id FROM lake.\"in/\" ORDER BY id LIMIT 1)",
            "a LIMIT",
        ),
        (
            "SELECT a.id FROM lake.\"in/\" AS a WHERE EXISTS (SELECT 1 FROM lake.\"in/\" AS b WHERE b.id = a.id)",
            "an EXISTS",
        ),
    ] {
        let refused = place
            .home
            .sql(&format!("COPY ({query}) TO 'lake:out.csv' OPTIONS (AFTER_READ = DELETE)"))
            .refused(1);
        let expected = format!(
            "error[option.invalid]: AFTER_READ with {what} would remove rows that were never read"
        );
        assert!(refused.contains(&expected), "{query}: {refused}");
        assert_eq!(left(&place), 3, "{query}");
        assert!(!place.keys().contains(&"out.csv".to_owned()), "{query}");
    }
    // A file that a filter left out was not read; one whose rows were counted was.
    let row = place.write(
        "COPY (SELECT id FROM lake.\"in/\" WHERE _file LIKE '%0.csv') TO 'lake:one.csv' OPTIONS (AFTER_READ = DELETE)",
    );
    assert_eq!((&row["after_read"], left(&place)), (&1.into(), 2), "{row}");
    let row = place.write(
        "COPY (SELECT id FROM lake.\"in/\" ORDER BY id) TO 'lake:all.csv' OPTIONS (AFTER_READ = DELETE)",
    );
    assert_eq!((&row["after_read"], left(&place)), (&2.into(), 0), "{row}");
    assert_eq!(place.text("all.csv"), "id\n1\n2\n");
    place.nothing_is_left("limits");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_goes_only_if_all_of_its_members_were_read() {
    let place = Place::new().await;
    place.python(
        "import zipfile\nwith zipfile.ZipFile('../disk/mz.zip', 'w') as out:\n    out.writestr('a.csv', 'id\\n1\\n')\n    out.writestr('b.csv', 'id\\n2\\n')\n",
    );
    let archive = place.home.scratch("disk").join("mz.zip");
    for query in [
        "SELECT * FROM read_csv('disk', 'mz.zip', members => 'a.csv')",
        "SELECT id FROM read_csv('disk', 'mz.zip') WHERE _file LIKE '%b.csv'",
    ] {
        let refused = place
            .home
            .sql(&format!("COPY ({query}) TO 'lake:some.csv' OPTIONS (AFTER_READ = DELETE)"))
            .refused(1);
        let expected =
            "AFTER_READ would remove what was never read of `disk:mz.zip`: 1 of its 2 members";
        assert!(refused.contains(expected), "{query}: {refused}");
        assert!(archive.exists(), "{query}");
    }
    // Each scan reads one, together they read both.
    let row = place.write(
        "COPY (SELECT * FROM read_csv('disk', 'mz.zip', members => 'a.csv') UNION ALL SELECT * FROM read_csv('disk', 'mz.zip', members => 'b.csv')) \
         TO 'lake:all.csv' OPTIONS (AFTER_READ = DELETE)",
    );
    assert_eq!((&row["rows"], &row["after_read"]), (&2.into(), &1.into()), "{row}");
    assert!(!archive.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workbook_goes_only_if_all_of_its_sheets_were_read() {
    let place = Place::new().await;
    place.write(
        "COPY (SELECT * FROM (VALUES (1, 'north'), (2, 'south')) AS t(id, region)) TO 'lake:in/book.xlsx' OPTIONS (FILE_FORMAT = (SHEET_COLUMN = 'region'))",
    );
    place.write("COPY (SELECT 3 AS id) TO 'lake:in/alone.xlsx'");
    for query in [
        "SELECT * FROM lake.\"in/book.xlsx\"",
        "SELECT * FROM read_xlsx('lake', 'in/book.xlsx', sheet => 'north')",
    ] {
        let refused = place
            .home
            .sql(&format!("COPY ({query}) TO 'lake:some.csv' OPTIONS (AFTER_READ = DELETE)"))
            .refused(1);
        let expected =
            "AFTER_READ would remove what was never read of `lake:in/book.xlsx`: the sheet `south`";
        assert!(refused.contains(expected), "{query}: {refused}");
        assert_eq!(left(&place), 2, "{query}");
    }
    for (query, rows) in [
        ("SELECT * FROM read_xlsx('lake', 'in/book.xlsx', sheets => 'ALL')", 2),
        ("SELECT * FROM lake.\"in/alone.xlsx\"", 1),
    ] {
        let row = place.write(&format!(
            "COPY ({query}) TO 'lake:out-{rows}.csv' OPTIONS (AFTER_READ = DELETE)"
        ));
        assert_eq!((&row["rows"], &row["after_read"]), (&rows.into(), &1.into()), "{row}");
    }
    assert_eq!(left(&place), 0);
}
