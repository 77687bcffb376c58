//! Statements that are wrong: the one-line error and the hint of each.

use windlass_sql::parse;

const WRONG: &[&str] = &[
    "CREAT S3 CONNECTION c",
    "SELEC 1",
    "frobnicate",
    "'text'",
    "CREATE",
    "CREATE CONNECTION c",
    "CREATE S4 CONNECTION c",
    "CREATE S3 CONECTION c",
    "CREATE SECRT s = 'x'",
    "CREATE TABEL t (a INT)",
    "CREATE S3 CONNECTION",
    "CREATE S3 CONNECTION 'c'",
    "CREATE S3 CONNECTION 9c",
    "CREATE S3 CONNECTION größe",
    "CREATE S3 CONNECTION main",
    "CREATE S3 CONNECTION \"\"",
    "CREATE OR REPLACE S3 CONNECTION IF NOT EXISTS c",
    "CREATE OR REPLACE SECRET s = 'x'",
    "CREATE S3 CONNECTION c\n  REGION = 'eu',\n  AWS_SECRET_ACESS_KEY = 'hunter2'",
    "CREATE S3 CONNECTION c REGION = 'a' region = 'b'",
    "CREATE S3 CONNECTION c REGION 'a'",
    "CREATE S3 CONNECTION c REGION =",
    "CREATE S3 CONNECTION c REGION = \"eu\"",
    "CREATE S3 CONNECTION c REGION = eu-west-1",
    "CREATE S3 CONNECTION c REGION = eu",
    "CREATE S3 CONNECTION c REGION = 5",
    "CREATE S3 CONNECTION c REGION = SECRET s",
    "CREATE S3 CONNECTION c REGION = 'eu' 'west'",
    "CREATE S3 CONNECTION c REGION = 'eu',",
    "CREATE S3 CONNECTION c READ_ONLY = 'yes'",
    "CREATE S3 CONNECTION c READ_ONLY = TURE",
    "CREATE S3 CONNECTION c CHECKSUMS = NOEN",
    "CREATE S3 CONNECTION c ROLE_DURATION = 5 MINUTES",
    "CREATE S3 CONNECTION c ROLE_DURATION = 1.5 HOURS",
    "CREATE S3 CONNECTION c TIMEOUT = 99999999999999999999",
    "CREATE S3 CONNECTION c MAX_CONCURRENCY = -1",
    "CREATE S3 CONNECTION c PATH_DISPLAY_FILTERS = ('a', 5)",
    "CREATE S3 CONNECTION c PATH_DISPLAY_FILTERS = ('a' 'b')",
    "CREATE S3 CONNECTION c AWS_SECRET_ACCESS_KEY = hunter2",
    "CREATE S3 CONNECTION c AWS_SECRET_ACCESS_KEY = '********'",
    "CREATE S3 CONNECTION c AWS_SECRET_ACCESS_KEY = SECRET",
    "CREATE S3 CONNECTION c PROXY = ((((((((((1))))))))))",
    "CREATE LOCAL CONNECTION c BUCKET = 'b'",
    "CREATE S3 CONNECTION c COMMENT = 'it's mine'",
    "ALTER S3 CONNECTION c",
    "ALTER S3 CONNECTION c REGION = 'x'",
    "ALTER S3 CONNECTION c SET REGION = 'x' RESET REGION",
    "ALTER CONNECTION c SET REGION = 'x'",
    "DROP S3 CONNECTION c",
    "DROP CONECTION c",
    "TEST landing",
    "TEST CONNECTION landing WITH WRITES",
    "SHOW",
    "SHOW CREATE landing",
    "SHOW CONNECTIONS WHERE name = 'x'",
    "SHOW CONNECTIONS LIKE x",
    "DESCRIBE",
    "DESCRIBE landing.orders/2026",
    "LIST",
    "LIST 's3://bucket/key'",
    "LIST landing 'orders/'",
    "LIST landing.'orders/'",
    "LIST landing.orders/",
    "LIST landing LIMIT many",
    "USE staging",
    "CREATE SECRET s",
    "CREATE SECRET s 'hunter2'",
    "CREATE SECRET s = hunter2",
    "CREATE SECRET s = ''",
    "CREATE SECRET s FROM ENVIRONMENT X",
    "CREATE SECRET s = E'hunter2'",
    "CREATE SECRET s = 'hunter2",
    "LIST landing.\"orders",
    "SELECT 1 /* half",
    "SELECT $$ half",
    "CREATE FILE TABLE t LOCATION = 'x'",
    "CREATE FILE TABLE t ON c",
    "CREATE FILE TABLE a.b.c ON d LOCATION = 'x'",
    "CREATE FILE TABLE t ON c LOCATION = 'x' CONTENT_TYPE = CVS",
    "CREATE FILE TABLE t ON c LOCATION = 'x' CONTENT_TYPE = (TYPE = CSV, DELIMETER = ';')",
    "CREATE FILE TABLE t ON c LOCATION = 'x' CONTENT_TYPE = (CSV)",
    "CREATE SCHEMA a.b",
    "DROP SCHEMA s CASCADE",
    "SELECT 1;\n\nDROP CONNECTION IF EXIST c",
];

#[test]
fn what_is_wrong_is_said_on_one_line_with_its_place_and_what_to_do() {
    let said: Vec<String> = WRONG
        .iter()
        .map(|text| {
            let error = parse(text).expect_err(text);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
            assert_eq!(error.message().lines().count(), 1);
            format!("{text}\n  -> {}", format!("{error:?}").replace('\n', "\n     "))
        })
        .collect();
    insta::assert_snapshot!(said.join("\n\n"));
}

#[test]
fn long_and_deep_texts_are_read_in_good_time() {
    let start = std::time::Instant::now();
    let many = |unit: &str, n: usize| unit.repeat(n);
    let texts = [
        format!("CREATE S3 CONNECTION c {}", many("UNKNOWN_OPTION = 'x', ", 50_000)),
        format!("CREATE S3 CONNECTION c {} = 1", many("x", 1_000_000)),
        format!("CREATE S3 CONNECTION c HEADERS = {}", many("(", 300_000)),
        format!("CREATE S3 CONNECTION c HEADERS = ({})", many("'a: b', ", 100_000)),
        format!("ALTER S3 CONNECTION c {}", many("SET REGION = 'x' RESET LABEL ", 30_000)),
        format!("SELECT {}", many("(", 300_000)),
        format!("/*{}", many("/*", 300_000)),
        format!("SHOW {}", many("a ", 100_000)),
        format!("{} 1", many("x", 1_000_000)),
        many("LIST c;", 100_000),
        many("'", 300_001),
        many("\"", 300_001),
    ];
    for text in &texts {
        let _ = parse(text);
        let _ = windlass_sql::masked(text);
        let _ = windlass_sql::complete(text, text.len());
    }
    assert!(start.elapsed().as_secs() < 60, "{:?}", start.elapsed());
}
