//! Names, statements and errors.

use super::Bench;

fn orders() -> Bench {
    Bench::new(&[("orders.csv", "Id,customer,Amount\n1,7,10\n2,8,20\n")])
        .storage(
            "crm",
            &[("people.json", "{\"id\":7,\"name\":\"Ada\"}\n{\"id\":8,\"name\":\"Bo\"}\n")],
        )
        .table("orders", "orders.csv", &[])
}

#[tokio::test]
async fn tables_of_several_connections_join() {
    let sql = "WITH o AS (SELECT * FROM landing.\"orders.csv\"), orders AS (SELECT 1) \
        SELECT p.name, sum(o.amount) FROM o JOIN default.crm.\"people.json\" p ON p.id = o.customer \
        GROUP BY p.name ORDER BY 1";
    assert_eq!(orders().ask(sql).await, "Ada|10\nBo|20");
    let sql = "SELECT count(*) FROM orders a, main.orders b, default.main.orders c WHERE a.id IN (SELECT customer - 6 FROM orders)";
    assert_eq!(orders().ask(sql).await, "8");
}

#[tokio::test]
async fn a_bare_column_matches_without_regard_to_case_if_only_one_does() {
    let bench = orders();
    assert_eq!(
        bench.ask("SELECT id, AMOUNT FROM orders WHERE amount > 10 ORDER BY id").await,
        "2|20"
    );
    assert_eq!(
        bench.ask("SELECT o.Id FROM orders o GROUP BY o.id HAVING max(amount) < 15").await,
        "1"
    );
    assert_eq!(bench.ask("SELECT \"Id\" FROM orders LIMIT 1").await, "1");
    assert_eq!(bench.rows("SELECT id FROM orders").await.unwrap().schema.field(0).name(), "Id");
    let twice = Bench::new(&[("t.csv", "Id,ID\n1,2\n")]);
    insta::assert_snapshot!(twice.ask("SELECT id FROM landing.\"t.csv\"").await, @r#"
    error[sql.plan]: no column `id`: "Id" and "ID" differ only by case
    hint: put the one you mean in double quotes
    "#);
    insta::assert_snapshot!(bench.ask("SELECT \"amount\" FROM orders").await, @r#"
    error[sql.plan]: no column `amount`
    hint: did you mean "Amount"?
    "#);
}

#[tokio::test]
async fn what_is_written_twice_has_two_names() {
    let bench = orders();
    let sql = "SELECT amount, o.customer, 1, amount, o.customer, 1, amount FROM orders o";
    let schema = bench.rows(sql).await.unwrap().schema;
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names[3..], ["amount_2", "customer_2", "1_2", "amount_3"]);
    assert_eq!(
        bench.ask("SELECT NULL, NULL UNION SELECT 1, 1 ORDER BY 1 NULLS FIRST").await,
        "|\n1|1"
    );
    assert_eq!(bench.ask("SELECT now() = now(), current_date <= now()").await, "true|true");
    assert_eq!(bench.ask("SELECT count(*) FROM (SELECT id, id FROM orders) t").await, "2");
}

#[tokio::test]
async fn errors_are_one_line_with_advice() {
    let bench = orders();
    let mut answers = Vec::new();
    for sql in [
        "SELECT custmer FROM orders",
        "SELECT 'a' + 1 FROM orders WHERE",
        "SELEC 1",
        "SELECT nosuch(1)",
        "SELECT 1/0",
        "SELECT CAST('x' AS INT)",
        "SELECT * FROM order",
        "SELECT * FROM landing",
        "SELECT * FROM nowhere.thing",
        "SELECT * FROM landing.orders.csv",
        "SELECT * FROM other.main.orders",
        "SELECT * FROM system.conections",
        "SELECT sum(customer), \"Id\" FROM orders",
        "SELECT 1; SELECT 2",
        "",
    ] {
        answers.push(format!("{sql}\n{}", bench.ask(sql).await));
    }
    insta::assert_snapshot!(answers.join("\n\n"));
}

#[tokio::test]
async fn nothing_that_writes_or_reaches_the_disk_is_run() {
    let bench = orders();
    let mut answers = Vec::new();
    for sql in [
        "INSERT INTO orders VALUES (1)",
        "WITH x AS (SELECT 1) INSERT INTO orders SELECT * FROM x",
        "COPY (SELECT 1) TO '/tmp/out.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO '/tmp/out.csv'",
        "CREATE TABLE t AS SELECT 1",
        "SELECT * INTO t FROM orders",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
        "SET datafusion.execution.batch_size = 1",
        "DROP TABLE orders",
        "UPDATE orders SET id = 1",
        "DELETE FROM orders",
        "CREATE VIEW v AS SELECT 1",
    ] {
        let error = bench.run(sql).await.unwrap_err();
        assert_eq!(error.code().as_str(), "sql.plan", "{sql}: {error:?}");
        answers.push(error.message().to_owned());
    }
    assert!(bench.run("SELECT * FROM '/etc/passwd'").await.is_err());
    insta::assert_snapshot!(answers.join("\n"));
}

#[tokio::test]
async fn system_tables_can_be_filtered_and_tables_shown() {
    let bench = orders();
    assert_eq!(
        bench.ask("SELECT name FROM system.connections WHERE name LIKE 'l%'").await,
        "landing"
    );
    assert_eq!(bench.ask("SHOW TABLES").await, "default|main|orders|FILE TABLE");
    assert_eq!(bench.ask("SELECT count(*) FROM information_schema.tables").await, "3");
    assert_eq!(bench.describe(&["system", "connections"]).await, "name|TEXT|false|column|");
    assert!(bench.ask("DESCRIBE orders").await.starts_with("Id|BIGINT|true|column|\ncustomer|"));
}

#[tokio::test]
async fn plans_and_values_are_shown() {
    let bench = orders();
    assert_eq!(bench.ask("VALUES (1), (2)").await, "1\n2");
    let plan = bench.ask("EXPLAIN SELECT id FROM orders WHERE amount > 1").await;
    assert!(plan.contains("TextExec: format=CSV, files=1"), "{plan}");
    let plan = bench.ask("EXPLAIN ANALYZE SELECT id FROM orders").await;
    assert!(plan.contains("TextExec"), "{plan}");
}

#[tokio::test]
async fn an_answer_larger_than_a_batch_arrives_in_batches() {
    let rows: Vec<String> = (0..50_000).map(|id| format!("{id},name {id}")).collect();
    let bench = Bench::new(&[("big.csv", format!("id,name\n{}", rows.join("\n")))]);
    let batches = bench.run("SELECT * FROM landing.\"big.csv\"").await.unwrap();
    assert!(
        batches.len() > 4
            && batches.iter().map(arrow::array::RecordBatch::num_rows).sum::<usize>() == 50_000
    );
    assert_eq!(
        bench.ask("SELECT count(DISTINCT name), max(id) FROM landing.\"big.csv\"").await,
        "50000|49999"
    );
}

#[tokio::test]
async fn queries_can_be_spawned() {
    let bench = orders();
    let rows = tokio::spawn(async move { bench.ask("SELECT count(*) FROM orders").await });
    assert_eq!(rows.await.unwrap(), "2");
    let bench = orders();
    let rows = tokio::spawn(async move { bench.describe(&["orders"]).await });
    assert!(rows.await.unwrap().contains("customer"));
}

#[tokio::test]
async fn columns_of_using_and_of_qualified_names_match_without_regard_to_case() {
    let bench =
        Bench::new(&[("a.csv", "Id,A\n1,2\n"), ("b.csv", "Id,B\n1,3\n"), ("c.csv", "ID,C\n1,4\n")]);
    let join = |right: &str, columns: &str| {
        format!(
            "SELECT {columns} FROM landing.\"a.csv\" a JOIN landing.\"{right}.csv\" b USING (id)"
        )
    };
    assert_eq!(bench.ask(&join("b", "id, a.a, B.b")).await, "1|2|3");
    assert_eq!(bench.ask(&join("c", "id, C")).await, "1|4");
    assert_eq!(bench.ask(&join("c", "*")).await, "1|2|4");
    assert_eq!(
        bench
            .ask(
                "SELECT a.ID, c.iD FROM landing.\"a.csv\" a JOIN landing.\"c.csv\" c ON a.id = c.id"
            )
            .await,
        "1|1"
    );
}

#[tokio::test]
async fn columns_are_shown_and_listed() {
    let bench = orders().table("broken", "nothing/", &[]);
    assert_eq!(
        bench.ask("SHOW COLUMNS FROM orders").await,
        "default|main|orders|Id|1|BIGINT|YES\ndefault|main|orders|customer|2|BIGINT|YES\ndefault|main|orders|Amount|3|BIGINT|YES"
    );
    assert!(bench.ask("SHOW COLUMNS FROM crm.\"people.json\"").await.contains("|name|2|TEXT|YES"));
    let sql = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema <> 'x' ORDER BY 1, ordinal_position";
    assert_eq!(
        bench.ask(sql).await,
        "broken||\nconnections|name|TEXT\norders|Id|BIGINT\norders|customer|BIGINT\norders|Amount|BIGINT\nsecrets||"
    );
}

#[tokio::test]
async fn a_column_of_using_is_one_column_of_both_tables() {
    let bench = Bench::new(&[
        ("a.csv", "id,u\n1,x\n2,y\n"),
        ("b.csv", "id,v\n2,p\n3,q\n"),
        ("c.csv", "id,w\n1,k\n2,m\n3,n\n"),
    ]);
    let ask = async |sql: &str| {
        let sql = ["a", "b", "c"].iter().fold(sql.to_owned(), |sql, name| {
            sql.replace(&format!("@{name}"), &format!("landing.\"{name}.csv\" {name}"))
        });
        bench.ask(&sql).await
    };
    for (sql, rows) in [
        ("SELECT id, u, v FROM @a FULL JOIN @b USING (id) ORDER BY id", "1|x|\n2|y|p\n3||q"),
        ("SELECT * FROM @a FULL JOIN @b USING (id) ORDER BY id DESC", "3||q\n2|y|p\n1|x|"),
        ("SELECT * FROM @a RIGHT JOIN @b USING (id) ORDER BY v", "2|y|p\n3||q"),
        ("SELECT u FROM @a JOIN @b USING (id) WHERE id = 2", "y"),
        (
            "SELECT id, count(*) FROM @a FULL JOIN @b USING (id) JOIN @c USING (id) GROUP BY id HAVING id > 1 ORDER BY id",
            "2|1\n3|1",
        ),
        ("SELECT DISTINCT ON (id) id, w FROM @b LEFT JOIN @c USING (id) ORDER BY id", "2|m\n3|n"),
        ("SELECT max(id) FROM @a FULL JOIN @b USING (id) ORDER BY max(id)", "3"),
        ("SELECT u AS id FROM @a JOIN @b USING (id) ORDER BY id", "y"),
        ("SELECT u, a._row_number FROM @a JOIN @b USING (id)", "y|2"),
        (
            "SELECT u FROM @a JOIN @b USING (id) UNION ALL SELECT w FROM @c JOIN @b USING (id) WHERE id = 3",
            "y\nn",
        ),
    ] {
        assert_eq!(ask(sql).await, rows, "{sql}");
    }
}

#[tokio::test]
async fn what_other_databases_spell_otherwise_means_the_same_here() {
    let bench = Bench::new(&[(
        "d.csv",
        "doc\n\"{\"\"a\"\": {\"\"b\"\": [1, \"\"x\"\"]}, \"\"n\"\": 7}\"\n",
    )]);
    for (sql, rows) in [
        ("SELECT 2 * 3 ^ 2, -2 ^ 2, 7 // 2, -7 // 2, 7.5 // 2", "18.0|4.0|3|-3|3"),
        ("SELECT 9007199254740993 // 1", "9007199254740993"),
        ("SELECT 'a' || 1 + 2", "a3"),
        ("SELECT doc -> 'a' -> 'b' ->> 1, doc #>> '{a,b,0}' FROM landing.\"d.csv\"", "x|1"),
        (
            "SELECT count(*) FROM landing.\"d.csv\" WHERE doc ->> 'n' = '7' AND (doc ->> 'n')::int > 6",
            "1",
        ),
        ("SELECT json_length(doc), doc ->> 'none' FROM landing.\"d.csv\"", "2|"),
        ("SELECT date_diff('day', DATE '2024-01-31', TIMESTAMP '2024-03-01 05:00:00')", "30"),
        (
            "SELECT datediff(month, DATE '2023-12-31', DATE '2024-02-01'), datediff('week', DATE '2024-01-07', DATE '2024-01-08')",
            "2|1",
        ),
        (
            "SELECT year(DATE '2024-02-03'), last_day(DATE '2024-02-03'), if(1 > 2, 'a', 'b')",
            "2024|2024-02-29|b",
        ),
        (
            "SELECT variance(x), count_if(x > 1), len('abc') FROM (VALUES (1), (2), (3)) t(x)",
            "1.0|2|3",
        ),
        ("SELECT strftime(DATE '2024-02-03', '%Y/%m')", "2024/02"),
        ("FROM (VALUES (1), (2), (3)) t(x) ORDER BY x DESC FETCH FIRST 2 ROWS ONLY", "3\n2"),
    ] {
        assert_eq!(bench.ask(sql).await, rows, "{sql}");
    }
    let refused = bench.ask("SELECT 1 EXCEPT ALL SELECT 2").await;
    assert!(
        refused.contains("EXCEPT ALL is not possible here") && refused.contains("row_number()"),
        "{refused}"
    );
}
