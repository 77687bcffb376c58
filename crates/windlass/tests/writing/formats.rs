//! Each format is what independent readers read.

use super::Place;

/// Rows that are hard to write.
const NASTY: &str = "SELECT * FROM (VALUES \
    (1, 'plain', 1.5, DATE '1969-07-20', TIMESTAMP '1901-01-02 03:04:05.678', true, '12345678901234567.89'), \
    (2, 'comma, \"quote\"\nnew line', -0.0, DATE '2026-02-28', TIMESTAMP '2026-11-21 23:59:59', false, '-0.01'), \
    (3, 'ünïcödé 漢字 😀', 1e300, DATE '0001-01-01', TIMESTAMP '1970-01-01 00:00:00', NULL, '0.00'), \
    (4, '', 0.1, NULL, NULL, true, NULL), \
    (NULL, NULL, NULL, DATE '9999-12-31', TIMESTAMP '2262-04-11 23:47:16', NULL, '99999999999999999.99')\
    ) AS t(id, label, number, day, moment, flag, amount)";

/// The same, in Python.
const EXPECTED: &str = r#"
import datetime as dt
from decimal import Decimal
D, T = dt.date, dt.datetime
ROWS = [
  (1, 'plain', 1.5, D(1969,7,20), T(1901,1,2,3,4,5,678000), True, Decimal('12345678901234567.89')),
  (2, 'comma, "quote"\nnew line', 0.0, D(2026,2,28), T(2026,11,21,23,59,59), False, Decimal('-0.01')),
  (3, 'ünïcödé 漢字 😀', 1e300, D(1,1,1), T(1970,1,1), None, Decimal('0.00')),
  (4, '', 0.1, None, None, True, None),
  (None, None, None, D(9999,12,31), T(2262,4,11,23,47,16), None, Decimal('99999999999999999.99')),
]
NAMES = ['id', 'label', 'number', 'day', 'moment', 'flag', 'amount']
"#;

fn nasty() -> String {
    format!(
        "SELECT id, label, CAST(number AS DOUBLE) AS number, day, moment, flag, CAST(amount AS DECIMAL(20, 2)) AS amount FROM ({NASTY}) AS n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_read_back_by_independent_readers() {
    let place = Place::new().await;
    for name in
        ["n.csv", "n.tsv", "n.jsonl", "n.json", "n.parquet", "n.arrow", "n.avro", "n.xlsx", "n.xml"]
    {
        let row = place.write(&format!("COPY ({}) TO 'lake:{name}'", nasty()));
        assert_eq!((&row["rows"], &row["files"]), (&5.into(), &1.into()), "{name}: {row}");
        let size = place.s3.state().get("lake", name).unwrap().len();
        assert_eq!(row["bytes"], size, "{name}");
    }
    let program = r#"
import pyarrow.parquet as pq, pyarrow as pa, fastavro, openpyxl, csv, json, duckdb, math
import xml.etree.ElementTree as ET
def same(rows, what):
    rows = [tuple(r) for r in rows]
    assert rows == ROWS, (what, rows)
table = pq.read_table('n.parquet')
assert table.column_names == NAMES
same(zip(*[c.to_pylist() for c in table.columns]), 'parquet')
assert pa.types.is_decimal(table.schema.field('amount').type), table.schema
same(duckdb.sql("select * from 'n.parquet'").fetchall(), 'duckdb parquet')
table = pa.ipc.open_file('n.arrow').read_all()
same(zip(*[c.to_pylist() for c in table.columns]), 'arrow')
def naive(v): return v.replace(tzinfo=None) if isinstance(v, dt.datetime) else v
rows = list(fastavro.reader(open('n.avro', 'rb')))
same([[naive(r[n]) for n in NAMES] for r in rows], 'avro')
same(duckdb.sql("""select * from read_csv('n.csv', header=true, nullstr='', allow_quoted_nulls=false, auto_detect=false,
  columns={id: 'BIGINT', label: 'VARCHAR', number: 'DOUBLE', day: 'DATE', moment: 'TIMESTAMP', flag: 'BOOLEAN', amount: 'DECIMAL(20,2)'})""").fetchall(), 'csv')
rows = list(csv.reader(open('n.tsv', newline=''), delimiter='\t'))
assert rows[0] == NAMES and rows[2][1] == ROWS[1][1] and rows[5][:3] == ['', '', ''], rows
lines = open('n.jsonl').read().splitlines()
assert len(lines) == 5
array = json.load(open('n.json'), parse_float=Decimal)
assert array == [json.loads(line, parse_float=Decimal) for line in lines]
for row, want in zip(array, ROWS):
    assert list(row) == NAMES
    assert row['id'] == want[0] and row['label'] == want[1] and row['flag'] == want[5], row
    assert row['amount'] == want[6], row
    assert row['day'] == (want[3] and want[3].isoformat()), row
    assert (row['moment'] and dt.datetime.fromisoformat(row['moment'])) == want[4], row
book = openpyxl.load_workbook('n.xlsx')
rows = list(book['Sheet1'].values)
assert list(rows[0]) == NAMES
for row, want in zip(rows[1:], ROWS):
    assert row[0] == want[0] and (row[1] or '') == (want[1] or '') and row[5] == want[5], row
assert rows[1][4] == '1901-01-02T03:04:05.678000' or abs((rows[1][4] - ROWS[0][4]).total_seconds()) < 0.001, rows[1]
assert rows[2][3] == dt.datetime(2026,2,28), rows[2]
assert rows[3][3] == '0001-01-01', rows[3]
assert Decimal(rows[5][6]) == ROWS[4][6] and isinstance(rows[5][6], str), rows[5]
root = ET.parse('n.xml').getroot()
assert root.tag == 'rows' and len(root) == 5
for element, want in zip(root, ROWS):
    cells = {child.tag: child.text or '' for child in element}
    assert cells.get('label') == want[1], cells
    assert cells.get('id') == (None if want[0] is None else str(want[0])), cells
    assert cells.get('amount') == (None if want[6] is None else str(want[6])), cells
print('good')
"#;
    assert_eq!(place.python(&format!("{EXPECTED}{program}")), "good\n");
    place.nothing_is_left("formats");
}

#[tokio::test(flavor = "multi_thread")]
async fn nested_and_binary_values_are_read_back() {
    let place = Place::new().await;
    let query = "SELECT make_array(1, NULL, 3) AS list, named_struct('a', 1, 'b', 'x,y') AS pair, \
                 make_array(make_array('p'), make_array('q', NULL)) AS deep, \
                 decode('AAEC/w==', 'base64') AS bytes, CAST('NaN' AS DOUBLE) AS nan, CAST('Infinity' AS DOUBLE) AS inf";
    for name in ["v.parquet", "v.arrow", "v.avro", "v.csv", "v.jsonl", "v.xml"] {
        place.write(&format!("COPY ({query}) TO 'lake:{name}'"));
    }
    let program = r"
import pyarrow.parquet as pq, pyarrow as pa, fastavro, csv, json, base64, math
import xml.etree.ElementTree as ET
def check(row, what):
    assert row['list'] == [1, None, 3] and row['pair'] == {'a': 1, 'b': 'x,y'}, (what, row)
    assert row['deep'] == [['p'], ['q', None]] and row['bytes'] == b'\x00\x01\x02\xff', (what, row)
    assert math.isnan(row['nan']) and row['inf'] == math.inf, (what, row)
check(pq.read_table('v.parquet').to_pylist()[0], 'parquet')
check(pa.ipc.open_file('v.arrow').read_all().to_pylist()[0], 'arrow')
check(next(fastavro.reader(open('v.avro', 'rb'))), 'avro')
row = next(csv.DictReader(open('v.csv', newline='')))
check({**{k: json.loads(row[k]) for k in ('list', 'pair', 'deep')}, 'bytes': base64.b64decode(row['bytes']),
       'nan': float(row['nan']), 'inf': float(row['inf'])}, 'csv')
row = json.loads(open('v.jsonl').read())
assert row['nan'] is None and row['inf'] is None
check({**row, 'bytes': base64.b64decode(row['bytes']), 'nan': math.nan, 'inf': math.inf}, 'json')
element = ET.parse('v.xml').getroot()[0]
assert [e.text for e in element.findall('list')] == ['1', '3']
assert element.find('pair/b').text == 'x,y'
print('good')
";
    assert_eq!(place.python(program), "good\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_rows_and_large_cells_are_written() {
    let place = Place::new().await;
    let row = |value: &dyn Fn(usize) -> String| (0..1500).map(value).collect::<Vec<_>>().join(",");
    let wide = format!("{}\n{}\n", row(&|at| format!("c{at}")), row(&|at| at.to_string()));
    place.s3.state().put("lake", "in.csv", wide);
    for format in ["csv", "jsonl", "json", "parquet", "arrow", "avro", "xlsx", "xml"] {
        place.write(&format!("COPY (SELECT * FROM lake.\"in.csv\") TO 'lake:wide.{format}'"));
    }
    let large = "SELECT 1 AS id, repeat('x', 10485760) AS big";
    for format in ["csv", "jsonl", "json", "parquet", "arrow", "avro", "xml"] {
        place.write(&format!("COPY ({large}) TO 'lake:big.{format}'"));
    }
    let refused = place.home.sql(&format!("COPY ({large}) TO 'lake:big.xlsx'")).refused(1);
    assert!(refused.contains("32,767") || refused.contains("32767"), "{refused}");
    let program = r"
import pyarrow.parquet as pq, pyarrow as pa, fastavro, openpyxl, csv, json, sys
import xml.etree.ElementTree as ET
csv.field_size_limit(1 << 30)
def of(name):
    found = [dict(row) for row in csv.DictReader(open(f'{name}.csv', newline=''))]
    yield 'csv', found[0]
    yield 'jsonl', json.loads(open(f'{name}.jsonl').read())
    yield 'json', json.load(open(f'{name}.json'))[0]
    yield 'parquet', pq.read_table(f'{name}.parquet').to_pylist()[0]
    yield 'arrow', pa.ipc.open_file(f'{name}.arrow').read_all().to_pylist()[0]
    yield 'avro', next(fastavro.reader(open(f'{name}.avro', 'rb')))
    yield 'xml', {child.tag: child.text for child in ET.parse(f'{name}.xml').getroot()[0]}
    if name == 'wide':
        header, values = openpyxl.load_workbook('wide.xlsx').active.values
        yield 'xlsx', dict(zip(header, values))
for format, row in of('wide'):
    assert {k: str(v) for k, v in row.items()} == {f'c{n}': str(n) for n in range(1500)}, format
for format, row in of('big'):
    assert str(row['id']) == '1' and row['big'] == 'x' * (10 << 20), format
print('good')
";
    assert_eq!(place.python(program), "good\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_is_written_as_the_options_say() {
    let place = Place::new().await;
    let query =
        "SELECT * FROM (VALUES (1, 'a;b'), (2, 'say \"hi\"'), (3, NULL), (4, 'x')) AS t(id, label)";
    let mut wrong = Vec::new();
    for (number, (options, expected)) in [
        ("TYPE = CSV", "id,label\n1,a;b\n2,\"say \"\"hi\"\"\"\n3,\n4,x\n"),
        (
            "TYPE = CSV, DELIMITER = ';', HEADER = FALSE",
            "1;\"a;b\"\n2;\"say \"\"hi\"\"\"\n3;\n4;x\n",
        ),
        (
            "TYPE = CSV, ESCAPE = '\\', LINE_END = CRLF",
            "id,label\r\n1,a;b\r\n2,\"say \\\"hi\\\"\"\r\n3,\r\n4,x\r\n",
        ),
        (
            "TYPE = CSV, QUOTING = ALWAYS, NULL_VALUE = 'NULL'",
            "\"id\",\"label\"\n\"1\",\"a;b\"\n\"2\",\"say \"\"hi\"\"\"\n\"3\",NULL\n\"4\",\"x\"\n",
        ),
        (
            "TYPE = CSV, QUOTING = STRINGS, QUOTE = ''''",
            "'id','label'\n1,'a;b'\n2,'say \"hi\"'\n3,\n4,'x'\n",
        ),
        ("TYPE = CSV, NULL_VALUE = 'x'", "id,label\n1,a;b\n2,\"say \"\"hi\"\"\"\n3,x\n4,\"x\"\n"),
        (
            "TYPE = TSV, QUOTE = '', QUOTING = NEVER",
            "id\tlabel\n1\ta;b\n2\tsay \"hi\"\n3\t\n4\tx\n",
        ),
        (
            "TYPE = CSV, BOM = TRUE, HEADER = FALSE, LINE_END = CR",
            "\u{feff}1,a;b\r2,\"say \"\"hi\"\"\"\r3,\r4,x\r",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        place.write(&format!(
            "COPY ({query}) TO 'lake:{number}.txt' OPTIONS (FILE_FORMAT = ({options}))"
        ));
        let found = place.text(&format!("{number}.txt"));
        if found != expected {
            wrong.push(format!("{options}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    place.write("COPY (SELECT 'ä€' AS x) TO 'lake:w.csv' OPTIONS (FILE_FORMAT = (ENCODING = 'windows-1252'))");
    assert_eq!(place.s3.state().get("lake", "w.csv").unwrap().as_ref(), b"x\n\xe4\x80\n");
    place.write("COPY (SELECT 'a' AS x) TO 'lake:u.csv' OPTIONS (FILE_FORMAT = (ENCODING = 'UTF-16LE', BOM = TRUE))");
    let utf16 = place.s3.state().get("lake", "u.csv").unwrap();
    assert_eq!(utf16.as_ref(), b"\xff\xfex\0\n\0a\0\n\0");
    let refused = place
        .home
        .sql("COPY (SELECT '漢' AS x) TO 'lake:bad.csv' OPTIONS (FILE_FORMAT = (ENCODING = 'ISO-8859-1'))")
        .refused(1);
    assert!(
        refused.contains("error[format.unwritable]") && refused.contains("U+6F22"),
        "{refused}"
    );
    let refused = place
        .home
        .sql("COPY (SELECT 'a,b' AS x, 1 AS y) TO 'lake:bad.csv' OPTIONS (FILE_FORMAT = (QUOTING = NEVER))")
        .refused(1);
    assert!(refused.contains("row 1 needs quotes"), "{refused}");
    // One column: NULL and nothing are not the same.
    place.write("COPY (SELECT * FROM (VALUES (NULL), (''), ('a')) AS t(x)) TO 'lake:one.csv'");
    assert_eq!(place.text("one.csv"), "x\n\"\"\n\"\"\na\n");
    assert!(!place.keys().contains(&"bad.csv".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn compressions_are_those_of_the_names_and_options() {
    let place = Place::new().await;
    let query = "SELECT unnest(range(0, 20000)) AS id, 'some text that repeats' AS label";
    for name in ["c.csv.gz", "c.csv.bz2", "c.csv.xz", "c.csv.zst", "c.csv.lz4", "c.csv.sz"] {
        place.write(&format!("COPY ({query}) TO 'lake:{name}'"));
    }
    for codec in ["NONE", "GZIP", "ZSTD", "SNAPPY", "LZ4", "BROTLI"] {
        place.write(&format!(
            "COPY ({query}) TO 'lake:{codec}.parquet' OPTIONS (COMPRESSION = {codec})"
        ));
    }
    for codec in ["NONE", "GZIP", "ZSTD", "SNAPPY", "BZIP2", "XZ"] {
        place.write(&format!(
            "COPY ({query}) TO 'lake:{codec}.avro' OPTIONS (COMPRESSION = {codec})"
        ));
    }
    for codec in ["NONE", "ZSTD", "LZ4"] {
        place.write(&format!(
            "COPY ({query}) TO 'lake:{codec}.arrow' OPTIONS (COMPRESSION = {codec})"
        ));
        let back = format!("SELECT count(*) AS n, sum(id) AS s FROM lake.\"{codec}.arrow\"");
        let expected = serde_json::json!({"n": 20_000, "s": 199_990_000});
        assert_eq!(place.home.rows(&back), [expected], "{codec}");
    }
    let program = r"
import gzip, bz2, lzma, pyarrow as pa, pyarrow.parquet as pq, fastavro
text = 'id,label\n' + ''.join(f'{n},some text that repeats\n' for n in range(20000))
read = {'gz': lambda f: gzip.open(f).read(), 'bz2': lambda f: bz2.open(f).read(), 'xz': lambda f: lzma.open(f).read(),
        'zst': lambda f: pa.CompressedInputStream(pa.OSFile(f), 'zstd').read(), 'lz4': lambda f: pa.CompressedInputStream(pa.OSFile(f), 'lz4').read()}
for name, reads in read.items():
    assert reads(f'c.csv.{name}').decode() == text, name
assert open('c.csv.sz', 'rb').read(10) == b'\xff\x06\x00\x00sNaPpY'
for codec, known in [('NONE', 'UNCOMPRESSED'), ('GZIP', 'GZIP'), ('ZSTD', 'ZSTD'), ('SNAPPY', 'SNAPPY'), ('LZ4', 'LZ4'), ('BROTLI', 'BROTLI')]:
    file = pq.ParquetFile(f'{codec}.parquet')
    assert file.metadata.row_group(0).column(0).compression == known, (codec, file.metadata.row_group(0).column(0).compression)
    assert file.read().column('id').to_pylist() == list(range(20000)), codec
for codec in ['NONE', 'ZSTD', 'LZ4']:
    assert pa.ipc.open_file(f'{codec}.arrow').read_all().column('id').to_pylist() == list(range(20000))
for codec, known in [('NONE', 'null'), ('GZIP', 'deflate'), ('BZIP2', 'bzip2'), ('XZ', 'xz')]:
    reader = fastavro.reader(open(f'{codec}.avro', 'rb'))
    assert reader.codec == known, (codec, reader.codec)
    assert [r['id'] for r in reader] == list(range(20000)), codec
print('good')
";
    assert_eq!(place.python(program), "good\n");
    let refused = place
        .home
        .sql("COPY (SELECT 1 AS x) TO 'lake:x.xlsx' OPTIONS (COMPRESSION = GZIP)")
        .refused(1);
    assert!(refused.contains("XLSX files are not compressed with GZIP"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sheets_and_elements_are_named() {
    let place = Place::new().await;
    let query = "SELECT * FROM (VALUES (1, 'north', 'a&b'), (2, 'south', '<x>'), (3, 'north', NULL)) AS t(id, region, note)";
    place.write(&format!(
        "COPY ({query}) TO 'lake:s.xlsx' OPTIONS (FILE_FORMAT = (SHEET_COLUMN = 'region', HEADER = FALSE))"
    ));
    place.write(&format!(
        "COPY ({query}) TO 'lake:t.xlsx' OPTIONS (FILE_FORMAT = (SHEET = 'All of it'))"
    ));
    place.write(&format!(
        "COPY ({query}) TO 'lake:s.xml' OPTIONS (FILE_FORMAT = (ROOT_TAG = 'regions', ROW_TAG = 'r', ATTRIBUTES = ('id')))"
    ));
    assert_eq!(
        place.text("s.xml"),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<regions>\n\
         <r id=\"1\"><region>north</region><note>a&amp;b</note></r>\n\
         <r id=\"2\"><region>south</region><note>&lt;x&gt;</note></r>\n\
         <r id=\"3\"><region>north</region></r>\n</regions>\n"
    );
    let program = "
import openpyxl
book = openpyxl.load_workbook('s.xlsx')
assert book.sheetnames == ['north', 'south'], book.sheetnames
assert list(book['north'].values) == [(1, 'a&b'), (3, None)], list(book['north'].values)
assert list(book['south'].values) == [(2, '<x>')]
book = openpyxl.load_workbook('t.xlsx')
assert book.sheetnames == ['All of it'] and len(list(book['All of it'].values)) == 4
print('good')
";
    assert_eq!(place.python(program), "good\n");
    let long =
        place.home.sql("COPY (SELECT repeat('x', 40000) AS big) TO 'lake:long.xlsx'").refused(1);
    assert!(long.contains("`big` in row 1 does not fit a cell"), "{long}");
    let bad = place.home.sql("COPY (SELECT chr(1) AS c) TO 'lake:c.xml'").refused(1);
    assert!(bad.contains("U+0001"), "{bad}");
    let beyond = "SELECT CAST(18446744073709551615 AS BIGINT UNSIGNED) AS n";
    let bad = place.home.sql(&format!("COPY ({beyond}) TO 'lake:n.avro'")).refused(1);
    assert!(bad.contains("`n` in row 1 is 18446744073709551615"), "{bad}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_leaves_a_file_with_its_columns() {
    let place = Place::new().await;
    for name in ["e.csv", "e.json", "e.jsonl", "e.parquet", "e.arrow", "e.avro", "e.xlsx", "e.xml"]
    {
        let row =
            place.write(&format!("COPY (SELECT 1 AS a, 'x' AS b WHERE false) TO 'lake:{name}'"));
        assert_eq!((&row["rows"], &row["files"]), (&0.into(), &1.into()), "{name}");
    }
    assert_eq!((place.text("e.csv").as_str(), place.text("e.jsonl").as_str()), ("a,b\n", ""));
    let program = "
import json, pyarrow.parquet as pq, pyarrow as pa, fastavro, openpyxl
assert json.load(open('e.json')) == []
assert pq.read_table('e.parquet').column_names == ['a', 'b']
assert pa.ipc.open_file('e.arrow').schema.names == ['a', 'b']
assert list(fastavro.reader(open('e.avro', 'rb'))) == []
assert list(openpyxl.load_workbook('e.xlsx')['Sheet1'].values) == [('a', 'b')]
print('good')
";
    assert_eq!(place.python(program), "good\n");
    let row = place.write("COPY (SELECT 1 AS a, 'x' AS b WHERE false) TO 'lake:none/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('a'))");
    assert_eq!(row["files"], 0, "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_can_be_read_with_the_same_options() {
    let place = Place::new().await;
    let home = &place.home;
    place.write(
        "COPY (SELECT 'üß' AS x) TO 'lake:cp.csv' OPTIONS (FILE_FORMAT = (ENCODING = 'CP850'))",
    );
    assert_eq!(place.s3.state().get("lake", "cp.csv").unwrap().as_ref(), b"x\n\x81\xe1\n");
    home.sql("CREATE FILE TABLE cp ON lake LOCATION = 'cp.csv' CONTENT_TYPE = (TYPE = CSV, ENCODING = 'CP850')").good();
    assert_eq!(home.rows("SELECT x FROM cp")[0]["x"], "üß");
    for (name, said, expected) in
        [("one", "\\x01", "a\x01b\n1\x012\n"), ("two", "TAB", "a\tb\n1\t2\n")]
    {
        place.write(&format!(
            "COPY (SELECT 1 AS a, 2 AS b) TO 'lake:{name}.csv' OPTIONS (FILE_FORMAT = (DELIMITER = '{said}'))"
        ));
        assert_eq!(place.text(&format!("{name}.csv")), expected);
        home.sql(&format!(
            "CREATE FILE TABLE {name} ON lake LOCATION = '{name}.csv' CONTENT_TYPE = (TYPE = CSV, DELIMITER = '{said}')"
        ))
        .good();
        let rows = home.rows(&format!("SELECT a, b FROM {name}"));
        assert_eq!(serde_json::to_string(&rows).unwrap(), r#"[{"a":1,"b":2}]"#, "{said}");
    }
    for (to, options, what) in [
        ("w.csv.gz", "COMPRESSION = ZSTD", "the name says GZIP, and COMPRESSION ZSTD"),
        ("w.csv", "FILE_FORMAT = (DELIMITER = '||')", "DELIMITER is not one ASCII character"),
        ("w.csv", "FILE_FORMAT = (SHEET = 'x')", "CSV files take no SHEET"),
        ("w.json", "FILE_FORMAT = (DELIMITER = ';')", "JSON_ARRAY files take no DELIMITER"),
        (
            "w/",
            "FILE_FORMAT = XLSX, MAX_FILE_SIZE = 5",
            "MAX_FILE_SIZE has no sense for XLSX files",
        ),
    ] {
        let refused = home
            .sql(&format!("COPY (SELECT 1 AS a) TO 'lake:{to}' OPTIONS ({options})"))
            .refused(1);
        assert!(refused.contains("error[option.invalid]"), "{options}: {refused}");
        assert!(refused.contains(what), "{options}: {refused}");
    }
    assert!(!place.keys().iter().any(|key| key.starts_with('w')), "{:?}", place.keys());
}
