//! Filters prune listing, and never lose a file: compared with listing everything.

use super::Bench;
use windlass_types::OptionValue;

fn days(from: u32, to: u32) -> Vec<(String, String)> {
    (from..=to)
        .map(|n| {
            let date = chrono::NaiveDate::from_ymd_opt(2020, 1, 1).unwrap()
                + chrono::TimeDelta::days(i64::from(n));
            (format!("t/dt={date}/a.csv"), format!("id\n{n}\n"))
        })
        .collect()
}

fn bench(objects: &[(String, String)]) -> Bench {
    let objects: Vec<(&str, &str)> =
        objects.iter().map(|(key, text)| (key.as_str(), text.as_str())).collect();
    let full = [("INFER", OptionValue::Text("FULL".to_owned()))];
    Bench::new(&objects).table("whole", "t/", &full)
}

/// The line of EXPLAIN about listing.
async fn listing(bench: &Bench, sql: &str) -> String {
    let text = bench.ask(&format!("EXPLAIN {sql}")).await;
    let of_table = |line: &&str| line.starts_with("listing|landing.\"t/\"");
    text.lines().find(of_table).unwrap_or(&text).to_owned()
}

#[tokio::test]
async fn a_filter_on_a_partition_lists_what_it_can_want() {
    let bench = bench(&days(0, 400));
    let mut answers = Vec::new();
    for filter in [
        "dt = '2020-03-07'",
        "dt = DATE '2020-03-07'",
        "dt IN ('2020-03-07', '2020-05-01') AND id > 1",
        "dt BETWEEN '2020-02-27' AND '2020-03-02'",
        "dt >= '2020-03-01' AND dt < '2020-04-01'",
        "dt = '2020-03-07' OR dt = '2020-03-08'",
        "dt = '2020-03-07' OR id = 3",
        "date_part('day', dt) = 7",
        "dt <> '2020-03-07'",
        "_file = 'landing:t/dt=2020-03-07/a.csv'",
        "_file LIKE 'landing:t/dt=2020-03-0%'",
        "dt = '2031-01-01'",
    ] {
        let sql = format!("SELECT count(*), sum(id) FROM landing.\"t/\" WHERE {filter}");
        let whole = format!("SELECT count(*), sum(id) FROM whole WHERE {filter}");
        let told = listing(&bench, &sql).await;
        answers.push(format!("{filter}\n  {told}\n  {}", bench.ask(&sql).await));
        assert_eq!(bench.ask(&sql).await, bench.ask(&whole).await, "{filter}");
    }
    insta::assert_snapshot!(answers.join("\n"));
}

#[tokio::test]
async fn a_filter_on_a_number_lists_the_folders_that_may_spell_it() {
    let numbers: Vec<(String, String)> =
        (0..150).map(|n| (format!("t/p={n}/a.csv"), format!("id\n{n}\n"))).collect();
    let bench = bench(&numbers);
    let what = "SELECT count(*), sum(id)";
    for (filter, prefixes) in [
        ("p = 77", "[t/, t/p=77/]"),
        ("p = 7", "[t/, t/p=07/, t/p=7/]"),
        ("p IN (7, 77, 149)", "[t/, t/p=07/, t/p=149/, t/p=7/, t/p=77/]"),
        ("p IN (11, 22, 33, 44, 55)", "[t/, t/p=11/, t/p=22/, t/p=33/, t/p=44/, t/p=55/]"),
        ("p = 500", "[t/, t/p=500/]"),
        ("p BETWEEN 70 AND 77", "t/p=7, "),
        ("p >= 98 AND p < 102", "t/p=10, "),
        ("p = -1", "[t/, t/p=-1/]"),
    ] {
        let sql = format!("{what} FROM landing.\"t/\" WHERE {filter}");
        let whole = bench.ask(&format!("{what} FROM whole WHERE {filter}")).await;
        assert_eq!(bench.ask(&sql).await, whole, "{filter}");
        let told = listing(&bench, &sql).await;
        assert!(told.contains("pruned by filters") && told.contains(prefixes), "{filter}: {told}");
    }
}

#[tokio::test]
async fn numbers_with_zeros_or_signs_before_them_are_found() {
    let what = "SELECT count(*), sum(id)";
    let months: Vec<(String, String)> = (1..=12)
        .flat_map(|month| (1..=9).map(move |day| (month, day)))
        .map(|(month, day)| {
            (format!("t/m={month:02}/d={day:02}/a.csv"), format!("id\n{}\n", month * 100 + day))
        })
        .collect();
    let months = bench(&months);
    for (filter, expected) in [
        ("m = 3", "9|2745"),
        ("m = 3 AND d = 7", "1|307"),
        ("m IN (1, 12) AND d BETWEEN 2 AND 5", "8|5228"),
        ("m BETWEEN 8 AND 11 AND d = 1", "4|3804"),
    ] {
        let sql = format!("{what} FROM landing.\"t/\" WHERE {filter}");
        assert_eq!(months.ask(&sql).await, expected, "{filter}");
        let told = listing(&months, &sql).await;
        assert!(told.contains("pruned by filters"), "{filter}: {told}");
    }
    // Nobody writes such, and nobody loses it.
    let mut signed: Vec<(String, String)> =
        (0..12).map(|n| (format!("t/p={n}/a.csv"), format!("id\n{n}\n"))).collect();
    signed.push(("t/p=+5/a.csv".to_owned(), "id\n500\n".to_owned()));
    let signed = bench(&signed);
    let sql = format!("{what} FROM landing.\"t/\" WHERE p = 5");
    assert_eq!(signed.ask(&sql).await, "2|505");
}

#[tokio::test]
async fn joins_subqueries_and_views_prune_where_the_optimizer_brings_the_filter() {
    let bench = bench(&days(0, 100))
        .view("v", "SELECT id, dt FROM landing.\"t/\"")
        .storage("crm", &[("x.csv", "id,dt\n7,2020-01-08\n")]);
    for sql in [
        "SELECT id FROM v WHERE dt = '2020-01-08'",
        "SELECT a.id FROM landing.\"t/\" a JOIN crm.\"x.csv\" b ON a.id = b.id WHERE a.dt = '2020-01-08'",
        "WITH d AS (SELECT * FROM landing.\"t/\") SELECT id FROM d WHERE dt = '2020-01-08' AND id > 0",
    ] {
        assert_eq!(bench.ask(sql).await, "7", "{sql}");
        let told = listing(&bench, sql).await;
        assert!(told.contains("pruned by filters"), "{sql}: {told}");
    }
    // Two scans of one table: what either wants.
    let sql = "SELECT a.id, b.id FROM landing.\"t/\" a, landing.\"t/\" b WHERE a.dt = '2020-01-08' AND b.dt = '2020-01-09'";
    assert_eq!(bench.ask(sql).await, "7|8");
    let sql = "SELECT id FROM landing.\"t/\" WHERE dt = '2020-01-08' AND id < (SELECT count(*) FROM landing.\"t/\")";
    assert_eq!(bench.ask(sql).await, "7");
    let told = listing(&bench, sql).await;
    assert!(told.contains("files=101"), "{told}");
}

#[tokio::test]
async fn a_column_that_only_later_files_have_may_be_named_with_a_filter() {
    let mut objects = days(0, 60);
    objects.push(("t/dt=2021-01-01/a.csv".to_owned(), "id,extra\n500,x\n".to_owned()));
    let bench = bench(&objects);
    let sql = "SELECT extra FROM landing.\"t/\" WHERE dt = '2021-01-01'";
    assert_eq!(bench.ask(sql).await, "x");
    let sql = "SELECT * FROM landing.\"t/\" WHERE dt = '2021-01-01'";
    assert_eq!(bench.ask(sql).await, "500|x|2021-01-01");
}

#[tokio::test]
async fn dates_of_a_pattern_are_a_column_and_prune() {
    let mut objects: Vec<(String, String)> = (1..=28)
        .flat_map(|day| (0..24).map(move |hour| (day, hour)))
        .map(|(day, hour)| {
            (format!("t/2026/02/{day:02}/{hour:02}/a.csv"), format!("id\n{}\n", day * 100 + hour))
        })
        .collect();
    objects.push(("t/2999/01/01/00/a.csv".to_owned(), "id\n9999\n".to_owned()));
    objects.push(("t/other.csv".to_owned(), "id\n7777\n".to_owned()));
    let bench = bench(&objects);
    let from = "FROM read_csv('landing', 't/', date_pattern => 'yyyy/MM/dd/HH')";
    assert_eq!(
        bench
            .ask(&format!(
                "SELECT id, path_time {from} WHERE path_time = TIMESTAMP '2026-02-03 04:00:00'"
            ))
            .await,
        "304|2026-02-03T04:00:00"
    );
    let day = format!(
        "SELECT count(*) {from} WHERE path_time >= '2026-02-03' AND path_time < '2026-02-04'"
    );
    assert_eq!(bench.ask(&day).await, "24");
    let told = listing(&bench, &day).await;
    assert!(told.contains("pruned by filters") && told.contains("prefixes listed=25"), "{told}");
    assert_eq!(
        bench.ask(&format!("SELECT count(*), max(id), count(path_time) {from}")).await,
        "673|7777|672",
        "what lies in the future waits, what has no date is read"
    );
    let refused =
        bench.ask("SELECT * FROM read_csv('landing', 't/', date_pattern => 'dd/MM')").await;
    assert!(refused.contains("does not go from years to finer units"), "{refused}");
}

/// A small random number generator, so that a failed round can be named.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.below(of.len() as u64)).unwrap()]
    }
}

const DATES: &[&str] = &[
    "2026-01-05",
    "2026-01-06",
    "2026-01-31",
    "2026-02-01",
    "2026-02-28",
    "2025-12-31",
    "2026-10-10",
];
const ODD: &[&str] = &[
    "2026-1-5",
    "__HIVE_DEFAULT_PARTITION__",
    "a%2Fb",
    "2026-01-05%20x",
    "2026-01-05 y",
    "",
    "S%C3%A3o",
    "0",
    "007",
    "-1",
    "~",
    "2026-01",
];
const FILTERS: &[&str] = &[
    "dt = '2026-01-05'",
    "dt = '2026-1-5'",
    "dt IN ('2026-01-05', '2026-02-01')",
    "dt > '2026-01-05'",
    "dt BETWEEN '2026-01-05' AND '2026-01-31'",
    "dt IS NULL",
    "dt IS NOT NULL",
    "dt LIKE '2026-01%'",
    "dt = '2026-01-05' OR dt IS NULL",
    "dt = '2026-01-05' OR region = 'eu'",
    "region = 'eu'",
    "region = 'eu' AND dt = '2026-02-01'",
    "region <> 'eu'",
    "length(CAST(dt AS VARCHAR)) = 8",
    "NOT (dt = '2026-01-05')",
    "dt = 'a/b'",
    "region = 'São'",
    "CAST(dt AS VARCHAR) = '2026-01-05'",
    "coalesce(CAST(dt AS VARCHAR), 'none') = 'none'",
    "dt >= '2026-01-01' AND dt < '2026-02-01' AND id % 2 = 0",
    "region IN ('eu', 'us') AND dt BETWEEN '2026-01-06' AND '2026-02-28'",
    "dt = '2026-01-05 y'",
    "_file LIKE 'landing:t/dt=2026-01%'",
    "_file LIKE '%eu%'",
    "region = dt",
    "dt = ''",
];

/// Rounds with layouts of all sorts: a pruned query answers what an unpruned one does.
#[tokio::test]
async fn no_layout_and_no_filter_loses_a_file() {
    let mut pruned = 0;
    for seed in 0..12 {
        let mut dice = Dice(seed * 7919 + 1);
        let odd = dice.below(4);
        let layout = dice.below(5);
        let mut objects: Vec<(String, String)> = Vec::new();
        for number in 0..20 + dice.below(60) {
            let value = |dice: &mut Dice| {
                let names = if dice.below(10) < odd { ODD } else { DATES };
                dice.one(names).to_owned()
            };
            let dt = value(&mut dice);
            let region = dice.one(&["eu", "us", "S%C3%A3o", "ap"]).to_owned();
            let folder = match (layout, dice.below(12)) {
                (_, 0) => String::new(),
                (_, 1) => "plain/".to_owned(),
                (0 | 1, _) => format!("dt={dt}/"),
                (2, _) => format!("dt={dt}/region={region}/"),
                (3, _) => format!("region={region}/dt={dt}/"),
                (_, 2) => format!("zone=1/dt={dt}/"),
                (_, 3) => format!("archive/dt={dt}/"),
                _ => format!("dt={dt}/more/"),
            };
            objects.push((format!("t/{folder}f{}.csv", dice.below(5)), format!("id\n{number}\n")));
        }
        // So that every filter can be planned.
        objects.push(("t/dt=2026-01-06/region=eu/z.csv".to_owned(), "id\n1000\n".to_owned()));
        let bench = bench(&objects);
        for filter in FILTERS {
            let what = "SELECT count(*), sum(id)";
            let whole = bench.ask(&format!("{what} FROM whole WHERE {filter}")).await;
            let sql = format!("{what} FROM landing.\"t/\" WHERE {filter}");
            let found = bench.ask(&sql).await;
            if whole.starts_with("error") {
                continue;
            }
            assert_eq!(found, whole, "seed {seed}: {filter}");
            if seed % 3 == 0 {
                pruned += u32::from(listing(&bench, &sql).await.contains("pruned"));
            }
        }
    }
    assert!(pruned > 5, "only {pruned} queries were pruned");
}
