//! Values and cursors: what a client sends is what a statement gets.

use super::Bench;

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_read_to_its_end_has_no_more_rows() {
    let bench = Bench::new(&[]).await;
    let program = r"
c = connect(autocommit=False)
c.execute('DECLARE k CURSOR FOR SELECT * FROM generate_series(1, 3)')
for sql in ('FETCH ALL FROM k', 'FETCH NEXT FROM k', 'FETCH 2 FROM k'):
    print(c.execute(sql).fetchall())
print(c.execute('MOVE ALL FROM k').statusmessage)
print(c.execute('SELECT 7').fetchone())
";
    assert_eq!(bench.python(program).good(), "[(1,), (2,), (3,)]\n[]\n[]\nMOVE 0\n(7,)\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn uuids_and_json_are_the_text_they_stand_for() {
    let bench = Bench::new(&[]).await;
    let program = r"
import uuid
from psycopg.types.json import Jsonb
five = uuid.UUID(int=5)
with connect() as c:
    for sql in ('SELECT %s', 'SELECT %b', 'SELECT %t'):
        print(c.execute(sql, [five]).fetchone()[0])
    print(c.execute('SELECT %b', [[five, None]]).fetchone()[0])
    print(c.execute('SELECT %b', [Jsonb([1])]).fetchone()[0])
";
    let five = "00000000-0000-0000-0000-000000000005";
    assert_eq!(
        bench.python(program).good(),
        format!("{five}\n{five}\n{five}\n['{five}', None]\n[1]\n")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn any_takes_a_list() {
    let bench = Bench::new(&[]).await;
    let program = r#"
with connect() as c:
    ask = lambda where, *p: print(c.execute("SELECT id FROM (VALUES (1, 'a'), (2, 'b')) t(id, n) WHERE " + where, p).fetchall())
    ask('n = ANY(%s)', ['a', 'c'])
    ask('n = ANY(%b)', ['b'])
    ask('id = ANY(%s)', [2, 3])
    ask('id > %s AND n = ANY(%s)', 1, ['a', 'b'])
"#;
    assert_eq!(bench.python(program).good(), "[(1,)]\n[(2,)]\n[(2,)]\n[(2,)]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_that_write_have_parameters_too() {
    let bench = Bench::new(&[]).await;
    let program = r#"
with connect() as c:
    c.execute("CREATE FILE TABLE t ON lake LOCATION = 't/' CONTENT_TYPE = (TYPE = CSV) (id BIGINT, n TEXT)")
    c.execute('INSERT INTO t VALUES (%s, %s)', [1, "it's $2 -- \\ ü"])
    c.execute('INSERT INTO t (id, n) SELECT %s, %s', [-2, None])
    c.cursor().executemany('INSERT INTO t VALUES (%s, %s)', [(3, 'c'), (4, 'd')])
    for id, n in c.execute('SELECT id, n FROM t ORDER BY id').fetchall(): print((id, n or None))
    c.execute("COPY (SELECT %s AS a WHERE 'x' = ANY(%s)) TO 'lake:o.csv'", [5, ['x', 'y']])
    print(c.execute('SELECT a FROM lake."o.csv"').fetchall())
    # Values keep their types.
    utc = datetime.timezone.utc
    values = [1, 2**40, 1.5, decimal.Decimal('-12.30'), True, b'\x00\xff', datetime.date(1969, 12, 31),
        datetime.time(1, 2, 3, 4), datetime.datetime(1969, 1, 1, 1, 2, 3, 4), datetime.datetime(2024, 1, 1, tzinfo=utc),
        datetime.timedelta(days=2, seconds=3), [1, -2], 'text']
    query = 'SELECT ' + ', '.join(f'%s AS c{n}' for n in range(len(values)))
    c.execute('CREATE TEMPORARY TABLE kept AS ' + query, values)
    kept, sent = c.execute('SELECT * FROM kept').fetchone(), c.execute(query, values).fetchone()
    print(kept == sent, *[(a, b) for a, b in zip(kept, sent) if a != b])
    try: c.execute('CREATE VIEW v AS SELECT %s AS a', [1])
    except psycopg.Error as e: print(e.sqlstate, 'write other values out' in e.diag.message_hint)
"#;
    assert_eq!(
        bench.python(program).good(),
        "(-2, None)\n(1, \"it's $2 -- \\\\ ü\")\n(3, 'c')\n(4, 'd')\n[(5,)]\nTrue\n42P02 True\n"
    );
}
