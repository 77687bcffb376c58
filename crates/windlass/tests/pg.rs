//! `serve --pg`: psql and psycopg, as people use them.

mod common;
#[path = "pg/values.rs"]
mod values;

use common::{Home, Output, Pg};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use windlass_testkit::TestS3;

/// A home with a bucket behind the connection `lake`, served.
struct Bench {
    home: Home,
    s3: TestS3,
    pg: Pg,
}

impl Bench {
    async fn new(files: &[(&str, &str)]) -> Self {
        Self::with(files, &[]).await
    }

    async fn with(files: &[(&str, &str)], arguments: &[&str]) -> Self {
        Self::of(Home::new(), files, arguments).await
    }

    async fn of(home: Home, files: &[(&str, &str)], arguments: &[&str]) -> Self {
        let s3 = TestS3::start().await;
        s3.state().create_bucket("lake");
        for (key, text) in files {
            s3.state().put("lake", key, (*text).to_owned());
        }
        let (id, secret) = s3.admin();
        home.connect("lake", &s3.endpoint(), &id, &secret, "BUCKET = 'lake'").good();
        let pg = Pg::start(&home, arguments);
        Self { home, s3, pg }
    }

    /// What psql prints, unaligned.
    fn psql(&self, arguments: &[&str], input: &str) -> Output {
        psql(&self.pg, "dbname=default user=ada", arguments, input)
    }

    /// The rows of a statement, a line each.
    #[track_caller]
    fn rows(&self, sql: &str) -> String {
        self.psql(&["-At"], sql).good()
    }

    /// What a Python program prints; `connect()` is there.
    fn python(&self, program: &str) -> Output {
        python(&self.pg, "user=ada", program)
    }
}

fn run(mut command: Command, input: &str) -> Output {
    use std::io::Write as _;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn psql(pg: &Pg, who: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new("psql");
    command
        .args(["-X", "-v", "ON_ERROR_STOP=1", "-d"])
        .arg(format!("host=127.0.0.1 port={} {who}", pg.port))
        .args(arguments)
        .env("PGCLIENTENCODING", "UTF8")
        .env("PGCONNECT_TIMEOUT", "20");
    run(command, input)
}

fn python(pg: &Pg, who: &str, program: &str) -> Output {
    let folder = std::env::var_os("WINDLASS_TEST_VENV").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../.venv"),
        PathBuf::from,
    );
    let mut command = Command::new(folder.join("bin/python"));
    let head = format!(
        "import psycopg, datetime, decimal, math, threading, time\n\
         def connect(**more):\n\
         \x20   more = {{'dbname': 'default', 'autocommit': True, **more}}\n\
         \x20   return psycopg.connect('host=127.0.0.1 port={} {who}', **more)\n",
        pg.port
    );
    command.args(["-c", &format!("{head}{program}")]);
    run(command, "")
}

const ORDERS: &str =
    "id,item,price,day\n1,bolt,1.50,2024-01-01\n2,nut,0.25,1969-12-31\n3,\"a, b\",,2024-02-29\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_of_files_is_a_notice() {
    let bench = Bench::new(&[("bad.csv", "id,n\n1,a\nx,b\n3,c\n")]).await;
    let sql = "SELECT sum(id) FROM read_csv('lake', 'bad.csv', on_error => 'SKIP', types => ['id BIGINT'])";
    let output = bench.psql(&["-At"], sql);
    assert!(output.stderr.contains("NOTICE:  1 row of 1 file was left out"), "{output:?}");
    assert_eq!(output.good(), "4\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn psql_runs_statements_of_windlass_and_queries() {
    let bench = Bench::new(&[("orders.csv", ORDERS)]).await;
    assert_eq!(
        bench.rows("SELECT * FROM lake.\"orders.csv\" ORDER BY id"),
        "1|bolt|1.5|2024-01-01\n2|nut|0.25|1969-12-31\n3|a, b||2024-02-29\n"
    );
    // Several statements in one message, some without rows.
    let many = "CREATE FILE TABLE orders ON lake LOCATION = 'orders.csv'; SELECT count(*) FROM orders; SHOW FILE TABLES; ; SELECT 'x'";
    let output = bench.psql(&["-At", "-c", many], "").good();
    assert!(
        output.starts_with("CREATE TABLE\n3\n") && output.ends_with("|\nx\n")
            || output.ends_with("x\n"),
        "{output}"
    );
    assert!(bench.psql(&["-At", "-c", "SHOW CONNECTIONS"], "").good().contains("lake|S3|default"));
    let listed = bench.rows("LIST lake.\"\"");
    assert!(listed.contains("orders.csv|object|"), "{listed}");
    let tested = bench.psql(&["-At", "-c", "TEST CONNECTION lake"], "").good();
    assert!(tested.contains("|passed|"), "{tested}");
    let created = bench.psql(&["-c", "CREATE SECRET s = 'hidden-value'"], "");
    assert!(created.stderr.contains("NOTICE") && !created.stderr.contains("hidden"), "{created:?}");
    assert_eq!(created.good(), "CREATE SECRET\n");
    // Transactions are taken; what is done stays done.
    let rolled =
        bench.psql(&["-At"], "BEGIN;\nCREATE SCHEMA lab;\nROLLBACK;\nSHOW SCHEMAS LIKE 'lab';");
    assert!(rolled.stderr.contains("stays"), "{rolled:?}");
    assert_eq!(rolled.good(), "BEGIN\nCREATE SCHEMA\nROLLBACK\nlab|schema\n");
    // Read-only connections are so here too.
    let (id, secret) = bench.s3.admin();
    bench.rows(&format!(
        "CREATE S3 CONNECTION still ENDPOINT = '{}' ALLOW_HTTP = TRUE AWS_ACCESS_KEY_ID = '{id}' AWS_SECRET_ACCESS_KEY = '{secret}' READ_ONLY = TRUE BUCKET = 'lake'",
        bench.s3.endpoint()
    ));
    let refused = bench.psql(
        &["-At"],
        "COPY FILES FROM lake LOCATION = 'orders.csv' TO still LOCATION = 'copy.csv'",
    );
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.stderr.contains("READ_ONLY") || refused.stderr.contains("read"), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_have_a_state_and_advice_and_the_session_goes_on() {
    let bench = Bench::new(&[("orders.csv", ORDERS)]).await;
    let verbose = |sql: &str| {
        let mut command = Command::new("psql");
        command
            .args(["-X", "-At", "-v", "VERBOSITY=verbose", "-d"])
            .arg(format!("host=127.0.0.1 port={} dbname=default user=ada", bench.pg.port));
        run(command, &format!("{sql};\nSELECT 'still here';"))
    };
    for (sql, state, words) in [
        ("SELEC 1", "42601", "SELECT"),
        ("SELECT nope FROM lake.\"orders.csv\"", "42000", "no column `nope`"),
        ("SELECT * FROM nowhere", "42P01", "no table `nowhere`"),
        ("DROP CONNECTION nowhere", "42704", "SHOW CONNECTIONS"),
        ("SET statement_timeot = 5", "22023", "did you mean `statement_timeout`"),
        ("FETCH 1 FROM c", "34000", "DECLARE"),
        ("COPY t FROM STDIN", "0A000", "windlass cp"),
    ] {
        let output = verbose(sql);
        assert!(output.stderr.contains(state), "{sql}: {}", output.stderr);
        assert!(output.stderr.contains(words), "{sql}: {}", output.stderr);
        assert_eq!(output.stdout, "still here\n", "{sql}");
    }
    // In a transaction that has failed all is refused until it ends.
    let failed = bench.python(
        "c = connect(autocommit=False)\n\
         try: c.execute('SELECT nope')\n\
         except psycopg.Error as e: print(e.sqlstate, c.info.transaction_status.name)\n\
         try: c.execute('SELECT 1')\n\
         except psycopg.Error as e: print(e.sqlstate)\n\
         c.rollback()\n\
         print(c.execute('SELECT 7').fetchone(), c.info.transaction_status.name)\n\
         c.commit()\n",
    );
    assert_eq!(failed.good(), "42000 INERROR\n25P02\n(7,) INTRANS\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn types_come_as_python_knows_them_in_text_and_in_binary() {
    let bench = Bench::new(&[]).await;
    let program = r#"
sql = """SELECT 1::smallint AS i2, 2::int AS i4, -9000000000 AS i8, CAST(18446744073709551615 AS BIGINT UNSIGNED) AS u8,
    1.5::float AS f4, 'NaN'::double AS nan, '-Infinity'::double AS inf, CAST('-12345.6789' AS DECIMAL(20,4)) AS num, true AS b,
    'ünï' AS t, x'00ff' AS bin, DATE '1969-12-31' AS d, TIME '23:59:59.5' AS tm,
    TIMESTAMP '1969-12-31 23:59:59.123456' AS ts,
    arrow_cast(TIMESTAMP '2024-06-01 12:00:00', 'Timestamp(Nanosecond, Some("UTC"))') AS tz,
    INTERVAL '1 month 2 days 3 hours 4 minutes 5 seconds' AS iv, [1, NULL, 3] AS l, ['a b', 'c"d'] AS ls, [] AS e,
    named_struct('a', 1, 'b', 'x') AS s, [[1],[2,3]] AS ll, NULL AS n"""
for binary in (False, True):
    with connect() as c:
        row = c.cursor(binary=binary).execute(sql).fetchone()
        print(*[repr(v) for v in row if not (isinstance(v, float) and math.isnan(v))], sep='\n')
        cur = c.cursor(binary=binary).execute("SELECT 'NaN'::double, 'Infinity'::float")
        v = cur.fetchone(); print(math.isnan(v[0]), v[1])
"#;
    let output = bench.python(program).good();
    let (text, binary) = output.split_at(output.len() / 2);
    insta::assert_snapshot!(text);
    assert_eq!(text, binary);
    // A time with a zone is written in that of the session.
    let zoned = bench.rows(
        "SET TIME ZONE 'America/New_York';\n\
         SELECT arrow_cast(TIMESTAMP '2024-06-01 12:00:00', 'Timestamp(Second, Some(\"UTC\"))');\n\
         SHOW TimeZone;",
    );
    assert_eq!(zoned, "SET\n2024-06-01 08:00:00-04\nAmerica/New_York\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_bound_in_every_way_psycopg_knows() {
    let bench = Bench::new(&[("orders.csv", ORDERS)]).await;
    let program = r#"
t = 'lake."orders.csv"'
with connect() as c:
    ask = lambda sql, p, **k: print([tuple(r) for r in c.execute(sql, p, **k).fetchall()])
    ask(f'SELECT item FROM {t} WHERE id = %s', [2])
    ask(f'SELECT item FROM {t} WHERE id = %s', ['2'])
    ask(f'SELECT item FROM {t} WHERE id = %b', [2])
    ask(f'SELECT id FROM {t} WHERE item = %s AND day > %s', ['bolt', datetime.date(2000, 1, 1)])
    ask(f'SELECT id FROM {t} WHERE day = %b', [datetime.date(1969, 12, 31)])
    ask(f'SELECT id FROM {t} WHERE price = %s', [decimal.Decimal('0.25')])
    ask(f'SELECT id FROM {t} ORDER BY id LIMIT %s', [2])
    ask('SELECT %s, %s, %s::int, %b::text', ['text', None, 7, 'bin'])
    ask('SELECT %s::timestamp, %b::bytea, %s::boolean', [datetime.datetime(1969, 1, 1, 1), b'\x00\xff', True])
    ask('SELECT array_length(%s)', [[1, 2, 3]])
    ask('SELECT %s', ["quote ' and \\ and ü"])
    # Prepared: parsed once, described, executed again.
    for n in (1, 3): ask(f'SELECT item FROM {t} WHERE id = %s', [n], prepare=True)
    # A pipeline sends before it reads.
    with c.pipeline():
        one, two = c.execute('SELECT %s::int', [1]), c.execute('SELECT %s::int', [2])
    print(one.fetchone(), two.fetchone())
    try: c.execute(f'SELECT id FROM {t} WHERE id = %s', ['x'])
    except psycopg.Error as e: print(e.sqlstate, e)
    cur = c.cursor(); cur.executemany('SELECT %s::int', [(1,), (2,)], returning=True); print(cur.fetchone())
"#;
    insta::assert_snapshot!(bench.python(program).good());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_has_a_session_and_a_fabric_of_its_own() {
    let bench = Bench::new(&[("orders.csv", ORDERS)]).await;
    bench.rows("CREATE FABRIC lab");
    let program = r#"
a, b = connect(), connect(dbname='lab')
b.execute("CREATE SCHEMA only_here")
for c in (a, b):
    names = [r[0] for r in c.execute("SHOW SCHEMAS").fetchall()]
    print(c.execute("SELECT current_database()").fetchone()[0], 'only_here' in names, 'lake' in names)
a.execute("SET statement_timeout = '5min'"); a.execute("SET application_name = 'one'")
print(a.execute('SHOW statement_timeout').fetchone(), b.execute('SHOW statement_timeout').fetchone())
print(a.info.parameter_status('application_name'), b.info.parameter_status('application_name') == '')
a.execute('USE FABRIC lab')
print('only_here' in [r[0] for r in a.execute("SHOW SCHEMAS").fetchall()])
print(connect(options='-c statement_timeout=7s').execute('SHOW statement_timeout').fetchone())
print(a.execute("SELECT current_user, current_schema()").fetchone())
"#;
    assert_eq!(
        bench.python(program).good(),
        "default False True\nlab True False\n('300s',) ('0',)\none True\nTrue\n('7s',)\n('ada', 'main')\n"
    );
    let unknown = psql(&bench.pg, "dbname=nowhere user=ada", &[], "");
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.stderr.contains("FATAL")
            && unknown.stderr.contains("database \"nowhere\" does not exist"),
        "{unknown:?}"
    );
    assert!(unknown.stderr.contains("`default`"), "{unknown:?}");
    let state = bench.python(
        "try: connect(dbname='nowhere')\nexcept psycopg.Error as e: print(type(e).__name__)",
    );
    assert_eq!(state.good(), "OperationalError\n");
}

/// A query that takes long, gives nothing before its end and holds little.
const LONG: &str = "SELECT count(*) FROM generate_series(1, 4000000000) a WHERE a.value % 7 = 8";

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_is_cancelled_times_out_or_ends_with_its_client() {
    let bench = Bench::new(&[]).await;
    let program = format!(
        r#"
c = connect()
# What is cancelled before it begins goes on: it is asked again.
def cancelled(work):
    done = threading.Event()
    def ask():
        while not done.wait(1.0): c.cancel()
    asking = threading.Thread(target=ask)
    asking.start()
    try: work()
    except psycopg.errors.QueryCanceled as e: print('cancelled', e.sqlstate)
    done.set()
    asking.join()
cancelled(lambda: c.execute("{LONG}"))
print(c.execute('SELECT 1').fetchone())
# While rows are sent, too.
cancelled(lambda: sum(1 for row in c.cursor().stream("SELECT * FROM generate_series(1, 4000000000)")))
print(c.execute('SELECT 2').fetchone())
c.execute("SET statement_timeout = '3s'")
try: c.execute("{LONG}")
except psycopg.errors.QueryCanceled as e: print('late', e.sqlstate, e.diag.message_hint is not None)
c.execute("SET statement_timeout = 0")
c.cancel()  # nothing runs: nothing happens
print(c.execute('SELECT 3').fetchone())
"#
    );
    assert_eq!(
        bench.python(&program).good(),
        "cancelled 57014\n(1,)\ncancelled 57014\n(2,)\nlate 57014 True\n(3,)\n"
    );
    // A client that is killed takes its statement with it: the processor comes to rest.
    let mut command = Command::new("psql");
    command
        .args(["-X", "-c", LONG, "-d"])
        .arg(format!("host=127.0.0.1 port={} dbname=default user=ada", bench.pg.port))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let worked = bench.pg.cpu();
    wait("the statement works", || bench.pg.cpu() > worked + 20);
    child.kill().unwrap();
    child.wait().unwrap();
    wait("the statement has ended", || {
        let before = bench.pg.cpu();
        std::thread::sleep(Duration::from_millis(700));
        bench.pg.cpu() - before < 10
    });
}

/// Waits until something is so.
#[track_caller]
fn wait(what: &str, mut so: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_mins(4);
    while !so() {
        assert!(Instant::now() < until, "waited for: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_big_result_read_slowly_takes_no_memory() {
    let bench = Bench::new(&[]).await;
    bench.rows("SELECT 1");
    let before = bench.pg.memory();
    // A gigabyte and more, of which the client reads a little, waits, and goes.
    let program = r#"
import socket
c = connect()
text = "'" + 'x' * 1000 + "'"
cur = c.cursor()
for n, row in enumerate(cur.stream(f"SELECT value, {text} || value FROM generate_series(1, 2000000)")):
    if n == 1000: time.sleep(3)
    if n == 300000: break
c.close()
# The same with portals of a fetch size, as JDBC has them, and with cursors.
c = connect(autocommit=False)
with c.cursor('slow') as cur:
    cur.itersize = 500
    cur.execute(f"SELECT value, {text} || value FROM generate_series(1, 2000000)")
    seen = 0
    for row in cur:
        seen += 1
        if seen == 2000: break
print(seen)
c.rollback()
"#;
    assert_eq!(bench.python(program).good(), "2000\n");
    let after = bench.pg.peak();
    assert!(after < before + 300_000, "{before} KiB before, {after} KiB at most");
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_and_cursors_of_psql_and_psycopg_work() {
    let bench = Bench::new(&[("orders.csv", ORDERS)]).await;
    let query = "SELECT id, item, price FROM lake.\"orders.csv\" ORDER BY id";
    let copied = bench.rows(&format!("COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)"));
    assert_eq!(copied, "id,item,price\n1,bolt,1.5\n2,nut,0.25\n3,\"a, b\",\n");
    let copied = bench.rows(&format!("\\copy ({query}) TO STDOUT"));
    assert_eq!(copied, "1\tbolt\t1.5\n2\tnut\t0.25\n3\ta, b\t\\N\n");
    let fetched = bench.psql(&["-At", "-v", "FETCH_COUNT=2"], query).good();
    assert_eq!(fetched, "1|bolt|1.5\n2|nut|0.25\n3|a, b|\n");
    let program = r#"
c = connect(autocommit=False)
with c.cursor('walk') as cur:
    cur.execute('SELECT id FROM lake."orders.csv" WHERE id > %s ORDER BY id', [1])
    print(cur.fetchone(), cur.fetchall())
with c.cursor().copy('COPY (SELECT id FROM lake."orders.csv" ORDER BY id) TO STDOUT') as copy:
    print([row for row in copy.rows()])
c.commit()
try: c.execute('FETCH 1 FROM walk')
except psycopg.Error as e: print(e.sqlstate)
"#;
    assert_eq!(bench.python(program).good(), "(2,) [(3,)]\n[('1',), ('2',), ('3',)]\n34000\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_catalogue_shows_what_is_there() {
    let bench = Bench::new(&[("orders.csv", ORDERS)]).await;
    bench.rows("CREATE FABRIC lab;\nCREATE SCHEMA shop;\nCREATE FILE TABLE orders ON lake LOCATION = 'orders.csv';\nCREATE FILE TABLE shop.gone ON lake LOCATION = 'gone.csv';\nCREATE VIEW shop.cheap AS SELECT id, price FROM orders WHERE price < 1;");
    let mut said = String::new();
    for command in [
        "\\l",
        "\\dn",
        "\\dt",
        "\\dt shop.*",
        "\\d orders",
        "\\dv shop.*",
        "\\d shop.cheap",
        "SELECT * FROM pg_views WHERE viewname = 'cheap'",
        "SELECT * FROM information_schema.views",
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 's%'",
    ] {
        let output = bench.psql(&["-At"], command);
        let _ = write!(said, "# {command}\n{}{}", output.stderr, output.stdout);
    }
    insta::assert_snapshot!(said);
}

/// Queries as drivers and tools send them; each must give at least `least` rows.
#[tokio::test(flavor = "multi_thread")]
async fn questions_of_drivers_and_tools_are_answered() {
    let bench = Bench::new(&[("orders.csv", ORDERS)]).await;
    bench.rows("CREATE FILE TABLE orders ON lake LOCATION = 'orders.csv'");
    let mut failed = String::new();
    for (name, least, sql) in include!("pg/questions.rs") {
        let output = bench.psql(&["-At"], sql);
        let rows = output.stdout.lines().count();
        if output.code != 0 || rows < least {
            let _ = writeln!(failed, "{name}: {rows} rows\n{}", output.stderr);
        }
    }
    assert!(failed.is_empty(), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn others_come_in_with_a_password_over_tls_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new();
    let key = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let write = |name: &str, text: &str| {
        let path = home.scratch(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let certificate = write("cert.pem", &key.cert.pem());
    let private = write("key.pem", &key.signing_key.serialize_pem());
    let passwords = write("passwords", "# who may come\nada:love:lace\n");
    // Off loopback all of it is asked for before anything listens.
    for arguments in [
        vec!["serve", "--listen", "127.0.0.1:0", "--pg", "0.0.0.0:0"],
        vec![
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--pg",
            "0.0.0.0:0",
            "--pg-password-file",
            &passwords,
        ],
        vec![
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--pg",
            "0.0.0.0:0",
            "--pg-tls-cert",
            &certificate,
            "--pg-tls-key",
            &private,
        ],
    ] {
        let refused = home.run(&arguments).refused(1);
        assert!(
            refused.contains("server.listen") && refused.contains("--pg-password-file"),
            "{refused}"
        );
    }
    let all = [
        "--pg-password-file",
        passwords.as_str(),
        "--pg-tls-cert",
        certificate.as_str(),
        "--pg-tls-key",
        private.as_str(),
    ];
    let open = Pg::start_at(&home, "0.0.0.0:0", &all);
    let who = |more: &str| {
        format!("host=localhost dbname=default user=ada sslrootcert={certificate} {more}")
    };
    let ask = |pg: &Pg, more: &str| psql(pg, &who(more), &["-At", "-c", "SELECT 1"], "");
    assert_eq!(
        ask(&open, "hostaddr=127.0.0.1 password=love:lace sslmode=verify-full").good(),
        "1\n"
    );
    assert_eq!(
        ask(&open, "password=love:lace sslmode=require channel_binding=require").good(),
        "1\n"
    );
    let wrong = ask(&open, "password=guess sslmode=require");
    assert!(wrong.stderr.contains("password authentication failed for user \"ada\""), "{wrong:?}");
    let stranger = psql(
        &open,
        "dbname=default user=eve password=love:lace sslmode=require",
        &["-c", "SELECT 1"],
        "",
    );
    assert!(
        stranger.stderr.contains("password authentication failed for user \"eve\""),
        "{stranger:?}"
    );
    let plain = ask(&open, "password=love:lace sslmode=disable");
    assert!(plain.stderr.contains("TLS is required"), "{plain:?}");
    drop(open);
    // On loopback a password file alone is enough, and is asked for.
    let near = Pg::start(&home, &["--pg-password-file", &passwords]);
    assert_eq!(ask(&near, "password=love:lace sslmode=prefer").good(), "1\n");
    assert_eq!(ask(&near, "password=nothing").code, 2);
    let states = python(
        &near,
        "user=ada",
        "for p in ('love:lace', 'no'):\n    try: print(connect(password=p).execute('SELECT 1').fetchone())\n    except psycopg.OperationalError as e: print('password authentication failed' in str(e))\n",
    );
    assert_eq!(states.good(), "(1,)\nTrue\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_beyond_the_memory_fails_alone_or_goes_to_disk() {
    let mut home = Home::new();
    home.set("WINDLASS_MEMORY_LIMIT", "64 MiB");
    home.set("WINDLASS_STATEMENT_TIMEOUT", "10min");
    let bench = Bench::of(home, &[], &[]).await;
    assert_eq!(bench.rows("SHOW memory_limit;\nSHOW statement_timeout;"), "64.0 MiB\n10min\n");
    let idle = bench.python("c = connect(); print(c.execute('SELECT 1').fetchone())");
    idle.good();
    // A sort of some 300 MB goes to the disk, below the home, and comes back in order.
    let sort = "SELECT count(*), min(v), max(v) FROM (SELECT v, row_number() OVER (ORDER BY md5(v::text), v) AS r FROM (SELECT value AS v FROM generate_series(1, 1500000)))";
    assert_eq!(bench.rows(sort), "1500000|1|1500000\n");
    // One array of everything cannot be put anywhere.
    let program = r#"
other = connect()
c = connect()
try: c.execute("SELECT array_length(array_agg(value || repeat('x', 200))) FROM generate_series(1, 3000000)")
except psycopg.Error as e: print(e.sqlstate, 'WINDLASS_MEMORY_LIMIT' in e.diag.message_hint)
print(c.execute('SELECT 1').fetchone(), other.execute('SELECT 2').fetchone())
"#;
    assert_eq!(bench.python(program).good(), "53200 True\n(1,) (2,)\n");
    let left = std::fs::read_dir(bench.home.path().join("home/tmp")).unwrap().count();
    assert_eq!(left, 1, "one folder, of the server");
    // What a killed process has left goes with the next.
    let Bench { home, mut pg, .. } = bench;
    let folder = std::fs::read_dir(home.path().join("home/tmp")).unwrap().next().unwrap().unwrap();
    std::fs::write(folder.path().join("left"), "x").unwrap();
    pg.kill();
    home.run(&["sql", "-c", "SELECT 1"]).good();
    assert!(!folder.path().exists());
}
