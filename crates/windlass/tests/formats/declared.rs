//! Columns that a table declares, and types that are found where it does not.

use crate::Lake;
use serde_json::{Value, json};

/// A file table of CSV over a folder; `more` follows its location.
#[track_caller]
fn table(lake: &Lake, name: &str, more: &str) {
    lake.sql(&format!("CREATE FILE TABLE {name} ON lake LOCATION = '{name}/' {more}"));
}

#[test]
fn columns_of_files_without_header_are_taken_by_their_place() {
    let lake = Lake::new();
    lake.put("hl/a.csv", "1,x\n2,y\n");
    lake.put("hl/b.csv", "3,z,more\n");
    lake.put("hl/c.csv", "4\n");
    table(&lake, "hl", "CONTENT_TYPE = (TYPE = CSV, HEADER = FALSE) (id BIGINT, n TEXT)");
    lake.sql("INSERT INTO hl VALUES (5, 'w')");
    assert_eq!(
        lake.ask("SELECT * FROM hl ORDER BY id"),
        [
            json!({"id": 1, "n": "x"}),
            json!({"id": 2, "n": "y"}),
            json!({"id": 3, "n": "z"}),
            json!({"id": 4, "n": null}),
            json!({"id": 5, "n": "w"}),
        ]
    );
    let one = lake.ask("SELECT n, _row_number AS at FROM hl WHERE id = 2");
    assert_eq!(one, [json!({"n": "y", "at": 2})]);
    assert_eq!(lake.ask("SELECT count(*) AS n FROM hl"), [json!({"n": 5})]);
    // Bad rows are left out by another reader.
    lake.put("careful/a.csv", "1,x\nno,y\n");
    let careful =
        "CONTENT_TYPE = (TYPE = CSV, HEADER = FALSE, ON_ERROR = SKIP) (id BIGINT, n TEXT)";
    table(&lake, "careful", careful);
    assert_eq!(lake.ask("SELECT * FROM careful"), [json!({"id": 1, "n": "x"})]);
    // What a folder tells has no place in the file.
    lake.put("parts/dt=2026-01-02/a.csv", "7,q\n");
    let parts = "CONTENT_TYPE = (TYPE = CSV, HEADER = FALSE) (dt DATE, id BIGINT, n TEXT)";
    table(&lake, "parts", parts);
    let row = json!({"id": 7, "n": "q", "dt": "2026-01-02"});
    assert_eq!(lake.ask("SELECT id, n, dt FROM parts"), [row]);
}

#[test]
fn columns_are_found_in_any_case_in_every_format() {
    let lake = Lake::new();
    lake.put("c/a.csv", "Id,Name,AMOUNT\n1,a,10\n");
    lake.put("c/b.csv", "id,name,amount\n2,b,20\n");
    lake.put("j/a.jsonl", "{\"Id\":1,\"Name\":\"a\",\"AMOUNT\":10}\n");
    lake.put("j/b.jsonl", "{\"amount\":20,\"id\":2,\"name\":\"b\"}\n");
    for (name, id) in [("a", 1), ("b", 2)] {
        let names = if id == 1 { ["Id", "Name", "AMOUNT"] } else { ["id", "name", "amount"] };
        let [one, two, three] = names;
        lake.sql(&format!(
            "COPY (SELECT {id} AS \"{one}\", '{name}' AS \"{two}\", {id}0 AS \"{three}\") TO 'lake:p/{name}.parquet'"
        ));
    }
    for name in ["c", "j", "p"] {
        table(&lake, name, "(Id BIGINT, Name TEXT, amount BIGINT)");
        assert_eq!(
            lake.ask(&format!("SELECT * FROM {name} ORDER BY id")),
            [
                json!({"id": 1, "name": "a", "amount": 10}),
                json!({"id": 2, "name": "b", "amount": 20})
            ],
            "{name}"
        );
        let found = lake.ask(&format!("SELECT amount FROM {name} WHERE name = 'a' AND id > 0"));
        assert_eq!(found, [json!({"amount": 10})], "{name}");
        let all = lake.ask(&format!("SELECT count(*) AS n, max(amount) AS most FROM {name}"));
        assert_eq!(all, [json!({"n": 2, "most": 20})], "{name}");
    }
    // A file that nobody looked at before the query.
    for number in 0..20 {
        let header = if number == 7 { "ID" } else { "id" };
        lake.put(&format!("many/{number:02}.csv"), format!("{header}\n{number}\n"));
    }
    table(&lake, "many", "(id BIGINT)");
    assert_eq!(lake.ask("SELECT count(id) AS n FROM many"), [json!({"n": 20})]);
    // New files that write a stored column otherwise.
    lake.put("m/a.csv", "c\n1\n");
    table(&lake, "m", "");
    assert_eq!(lake.ask("SELECT * FROM m"), [json!({"c": 1})]);
    lake.put("m/b.csv", "C\n2\n");
    assert_eq!(lake.ask("SELECT * FROM m ORDER BY c"), [json!({"c": 1}), json!({"c": 2})]);
}

#[test]
fn declared_columns_that_no_file_has_are_refused() {
    let lake = Lake::new();
    lake.put("strict/a.csv", "a,b\n1,2\n");
    lake.put("astray/a.csv", "a,b\n1,2\n");
    table(&lake, "strict", "ON_SCHEMA_CHANGE = FAIL (a BIGINT, b BIGINT, z TEXT)");
    let said = lake.refused("SELECT a FROM strict");
    assert!(said.contains("`z` is in no file that was read"), "{said}");
    table(&lake, "astray", "(x BIGINT, y TEXT)");
    let said = lake.refused("SELECT * FROM astray");
    assert!(said.contains("none of its columns `x`, `y`; they have `a`, `b`"), "{said}");
    assert!(said.contains("hint:") && said.contains("HEADER = FALSE"), "{said}");
}

#[test]
fn tables_with_columns_need_no_files() {
    let lake = Lake::new();
    for content in ["CSV", "JSON", "AUTO"] {
        let name = format!("e_{}", content.to_lowercase());
        let columns = "(id BIGINT, n TEXT)";
        table(&lake, &name, &format!("CONTENT_TYPE = {content} {columns}"));
        let none = || {
            assert_eq!(lake.ask(&format!("SELECT * FROM {name}")), Vec::<Value>::new(), "{name}");
            assert_eq!(lake.ask(&format!("SELECT count(*) AS n FROM {name}"))[0]["n"], 0);
        };
        none();
        lake.put(&format!("{name}/a.{}", if content == "JSON" { "json" } else { "csv" }), "");
        none();
        lake.put(&format!("{name}/b.{}", if content == "JSON" { "json" } else { "csv" }), "\n");
        none();
        lake.sql(&format!("INSERT INTO {name} VALUES (1, 'x')"));
        assert_eq!(lake.ask(&format!("SELECT * FROM {name}")), [json!({"id": 1, "n": "x"})]);
    }
    lake.put("void/a.csv", "");
    assert!(lake.refused("SELECT * FROM lake.\"void/\"").contains("format.no_files"));
}

#[test]
fn decimals_keep_digits_that_double_would_lose() {
    let lake = Lake::new();
    let exact = "12345678901234567890.12";
    lake.put("d/a.csv", format!("n\n{exact}\n0.5\n"));
    lake.put("d.jsonl", format!("{{\"n\":{exact}}}\n{{\"n\":0.5}}\n"));
    lake.put("d.json", format!("[{{\"n\":{exact}}},{{\"n\":0.5}}]"));
    lake.put("d.xml", format!("<r><i><n>{exact}</n></i><i><n>0.5</n></i></r>"));
    // The other files of a table do not take them away.
    lake.put("d/b.csv", "n\n0.25\n");
    lake.put("d/c.csv", "n\n7\n");
    for path in ["d/a.csv", "d.jsonl", "d.json", "d.xml", "d/"] {
        let place = format!("lake.\"{path}\"");
        assert_eq!(lake.types(&place), ["n DECIMAL(22, 2)"], "{path}");
        let most = lake.ask(&format!("SELECT max(n) AS n, min(n) < 1 AS less FROM {place}"));
        assert_eq!(most, [json!({"n": exact, "less": true})], "{path}");
    }
    lake.put("plain.csv", "n,m\n0.1,1e5\n1.50000000000000000,3.1415926535897931\n");
    assert_eq!(lake.types("lake.\"plain.csv\""), ["n DOUBLE", "m DOUBLE"]);
}

#[test]
fn what_a_table_is_made_of_is_what_it_is_read_as() {
    let lake = Lake::new();
    for format in ["CSV", "TSV", "JSON", "XML", "XLSX", "PARQUET"] {
        let name = format.to_lowercase();
        lake.sql(&format!(
            "CREATE FILE TABLE {name} ON lake LOCATION = 'made_{name}/' CONTENT_TYPE = (TYPE = {format}) AS \
             SELECT CAST('1.50' AS DECIMAL(22, 2)) AS n, DATE '2026-01-02' AS d, '007' AS t, true AS b"
        ));
        let types = ["n DECIMAL(22, 2)", "d DATE", "t TEXT", "b BOOLEAN"];
        assert_eq!(lake.types(&name), types, "{name}");
        let row = json!({"n": "1.50", "d": "2026-01-02", "t": "007", "b": true});
        assert_eq!(lake.ask(&format!("SELECT * FROM {name}")), [row], "{name}");
    }
    // A type that SQL has no word for: the files say what there is.
    lake.sql("CREATE FILE TABLE listed ON lake LOCATION = 'listed/' CONTENT_TYPE = (TYPE = JSON) AS SELECT make_array(1, 2) AS l, '007' AS t");
    assert_eq!(lake.types("listed"), ["l BIGINT[]", "t TEXT"]);
}

#[test]
fn nan_signs_and_dates_are_found_by_their_looks() {
    let lake = Lake::new();
    lake.put("n.csv", "x,only,plus,tel\nNaN,nan,+5,+493012345\n1.5,inf,-6,+493012346\n-inf,,7,\n");
    let types = ["x DOUBLE", "only TEXT", "plus BIGINT", "tel TEXT"];
    assert_eq!(lake.types("lake.\"n.csv\""), types);
    let found = lake.ask("SELECT min(plus) AS least, min(x) < -1 AS low FROM lake.\"n.csv\"");
    assert_eq!(found, [json!({"least": -6, "low": true})]);
    let day = |d: &str, t: &str, s: &str| format!("{{\"d\":\"{d}\",\"t\":{t},\"s\":\"{s}\"}}\n");
    let rows = day("2026-01-02", "\"2026-01-02T03:04:05\"", "2026-01-02")
        + &day("2026-01-03", "null", "soon");
    lake.put("day.jsonl", &rows);
    lake.put("day.json", format!("[{}]", rows.trim().replace('\n', ",")));
    for path in ["day.jsonl", "day.json"] {
        let place = format!("lake.\"{path}\"");
        assert_eq!(lake.types(&place), ["d DATE", "t TIMESTAMP", "s TEXT"], "{path}");
        let found = lake.ask(&format!("SELECT s FROM {place} WHERE d = DATE '2026-01-03'"));
        assert_eq!(found, [json!({"s": "soon"})], "{path}");
    }
    lake.table("kept", "day.jsonl", "TYPE = JSON, INFER = NONE");
    assert_eq!(lake.types("kept"), ["d TEXT", "t TEXT", "s TEXT"]);
}

#[test]
fn a_few_small_text_files_are_read_in_the_order_of_their_names() {
    let lake = Lake::new();
    for number in 1..=9 {
        lake.put(&format!("o/{number}.csv"), format!("id\n{number}\n"));
    }
    for _ in 0..5 {
        let rows = lake.rows("o/");
        let ids: Vec<i64> = rows.iter().map(|row| row["id"].as_i64().unwrap()).collect();
        assert_eq!(ids, (1..=9).collect::<Vec<i64>>());
    }
}
