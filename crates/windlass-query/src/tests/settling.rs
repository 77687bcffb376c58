//! Numbers and times that meet others: nothing wraps, nothing is rounded away, no year is too late.

use super::Bench;

fn bench() -> Bench {
    Bench::new(&[(
        "t.csv",
        "id,valid_to,at\n1,9999-12-31,9999-12-31 23:59:59\n2,2024-01-01,2024-01-01 00:00:00\n3,0001-01-01,0001-01-01 00:00:00\n",
    )])
    .table("t", "t.csv", &[])
}

async fn said(bench: &Bench, queries: &[&str]) -> String {
    let mut answers = Vec::new();
    for sql in queries {
        answers.push(format!("{sql}\n  {}", bench.ask(sql).await.replace('\n', "\n  ")));
    }
    answers.join("\n")
}

#[tokio::test]
async fn whole_numbers_never_wrap() {
    let queries = [
        "SELECT 9223372036854775807 + 1",
        "SELECT x * 2 FROM (VALUES (9223372036854775807)) t(x)",
        "SELECT -9223372036854775807 - x FROM (VALUES (1), (2)) t(x)",
        "SELECT 2147483647::int + 1::int",
        "SELECT 2147483647::int + 1",
        "SELECT sum(x) FROM (VALUES (9223372036854775807), (1)) t(x)",
        "SELECT g, sum(x) FROM (VALUES (1, 9223372036854775807), (1, 1)) t(g, x) GROUP BY g",
        "SELECT sum(x::decimal(38,0)) FROM (VALUES (9223372036854775807), (1)) t(x)",
        "SELECT sum(x), sum(DISTINCT x), sum(x) FILTER (WHERE x > 5), sum(y) FROM (VALUES (1, NULL::int), (1, NULL), (2, NULL)) t(x, y)",
        "SELECT x, sum(x) OVER (ORDER BY x ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1), (2), (4)) t(x) ORDER BY 1",
        "SELECT x + 1 AS y, count(*) FROM (VALUES (1), (1)) t(x) GROUP BY x + 1",
        "SELECT x + 1 FROM (VALUES (1)) t(x) WHERE x + 1 = 2 ORDER BY x + 1 LIMIT 1 + 1",
        "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT sum(i) FROM n",
    ];
    insta::assert_snapshot!(said(&bench(), &queries).await);
}

#[tokio::test]
async fn decimals_meet_other_numbers_exactly() {
    let queries = [
        "SELECT count(*) FROM (SELECT (x * 0.01::decimal(3,2))::decimal(12,2) AS d FROM generate_series(1, 3000) g(x)) WHERE d = d::double",
        "SELECT 9.21::decimal(12,2) = 9.21, 9.21::decimal(12,2) = 9.21::double, 16.38::decimal(12,2) IN (1.0, 16.38)",
        "SELECT 0.05::decimal(12,2) BETWEEN 0.06 - 0.01 AND 0.06 + 0.01, 0.07::decimal(12,2) BETWEEN 0.06 - 0.01 AND 0.06 + 0.01",
        "SELECT a * 0.19, a + 0.1, 0.5 * a - 1.25, -0.5 * a FROM (VALUES (10.05::decimal(12,2))) t(a)",
        "SELECT 1.0 * a / 3, a / 3.0, 100.0 * a / a FROM (VALUES (10.05::decimal(12,2))) t(a)",
        "SELECT a < 1e20::double, a + 1e20::double > 1, 1e20::double IN (a) FROM (VALUES (10.05::decimal(12,2))) t(a)",
        "SELECT coalesce(NULL::decimal(5,2), 1e20::double), coalesce(NULL::decimal(5,2), 0.25), greatest(1.5::decimal(5,2), 0.5)",
        "SELECT CASE WHEN x = 1 THEN 1.5::decimal(5,2) ELSE 0.125 END FROM (VALUES (1), (2)) t(x)",
        "SELECT d FROM (VALUES (9.21::decimal(5,2)), (1.5)) t(d) WHERE d IN (SELECT 9.21::double)",
        "SELECT f FROM (VALUES (9.21::double), (1.5)) t(f) WHERE f IN (SELECT 9.21::decimal(5,2))",
        "SELECT count(*) FROM (VALUES (9.21::decimal(12,2))) a(d) JOIN (VALUES (9.21::double)) b(f) ON a.d = b.f",
        "SELECT 12345678901234567.89::decimal(20,2), 12345678901234567.89, 99999999999999999999 + 1, 1e3",
        "SELECT 0.1 + 0.2, 1.0 / 3",
    ];
    insta::assert_snapshot!(said(&bench(), &queries).await);
}

#[tokio::test]
async fn no_year_is_too_late_to_compare() {
    let queries = [
        "SELECT id FROM t WHERE at > TIMESTAMP '9999-01-01 00:00:00'",
        "SELECT id FROM t WHERE at > '9999-01-01'",
        "SELECT id FROM t WHERE at BETWEEN '2020-01-01' AND '9999-12-31 23:59:59'",
        "SELECT id FROM t WHERE at NOT BETWEEN '2020-01-01' AND '2030-01-01' ORDER BY 1",
        "SELECT id FROM t WHERE at IN ('9999-12-31 23:59:59', '2024-01-01') ORDER BY 1",
        "SELECT id FROM t WHERE valid_to < now() ORDER BY 1",
        "SELECT id FROM t WHERE at < now() AND valid_to <= at ORDER BY 1",
        "SELECT id, valid_to::timestamp, coalesce(at, now()), to_timestamp('9999-12-31') FROM t ORDER BY 1",
        "SELECT count(*) FROM t WHERE arrow_cast(TIMESTAMP '2024-01-01 00:00:00', 'Timestamp(Nanosecond, None)') < '9999-12-31'",
        "SELECT arrow_typeof(now()), arrow_typeof(TIMESTAMP '2024-01-01 00:00:00.123456'), arrow_typeof('2024-01-01'::datetime)",
    ];
    insta::assert_snapshot!(said(&bench(), &queries).await);
}

#[tokio::test]
async fn patterns_of_times_are_those_of_postgresql_too() {
    let queries = [
        "SELECT to_char(DATE '2026-01-02', 'YYYY-MM'), to_char(TIMESTAMP '2026-01-02 03:04:05', 'DD.MM.YYYY HH24:MI'), to_char(DATE '2026-01-02', '%Y')",
        "SELECT to_date('20260102', 'YYYYMMDD'), to_timestamp('2026-01-02 03:04', 'YYYY-MM-DD HH24:MI'), mod(7, 4)",
    ];
    insta::assert_snapshot!(said(&bench(), &queries).await);
}

#[tokio::test]
async fn a_name_may_be_written_and_come_through_a_star() {
    let queries = [
        "SELECT id, * FROM t WHERE id = 2",
        "SELECT t.*, t.id FROM t WHERE id = 2",
        "SELECT id AS z, valid_to AS z FROM t WHERE id = 2",
        "SELECT z.* FROM (SELECT id, * FROM t) z WHERE id_2 = 2",
    ];
    insta::assert_snapshot!(said(&bench(), &queries).await);
}
