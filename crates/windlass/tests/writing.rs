//! Writing files from SQL: what is written is what independent readers read, nobody sees half a write,
//! and a write that was killed has happened or has not.
//!
//! `WINDLASS_KILL_ROUNDS` sets how often a write is killed (`make soak`), `WINDLASS_SEED` the moments.

mod common;

use common::Home;
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use windlass_testkit::{Dice, Fault, FaultKind, TestS3};

/// A home with the connection `lake`, bound to a bucket, and `disk`, a folder.
struct Place {
    home: Home,
    s3: TestS3,
}

impl Place {
    async fn new() -> Self {
        let s3 = TestS3::start().await;
        s3.state().create_bucket("lake");
        let home = Home::new();
        let (id, secret) = s3.admin();
        home.connect("lake", &s3.endpoint(), &id, &secret, "BUCKET = 'lake'").good();
        let disk = home.scratch("disk");
        std::fs::create_dir_all(&disk).unwrap();
        home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{}'", disk.display())).good();
        Self { home, s3 }
    }

    fn text(&self, key: &str) -> String {
        let bytes = self.s3.state().get("lake", key);
        let bytes = bytes.unwrap_or_else(|| panic!("no {key} in {:?}", self.keys()));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn keys(&self) -> Vec<String> {
        self.s3.state().keys("lake")
    }

    fn write(&self, statement: &str) -> Value {
        let mut rows = self.home.rows(statement);
        assert_eq!(rows.len(), 1, "{statement}");
        rows.remove(0)
    }

    /// Everything in the bucket as files, for programs that read files.
    fn files(&self) -> std::path::PathBuf {
        let folder = self.home.scratch("read");
        let _ = std::fs::remove_dir_all(&folder);
        for key in self.keys() {
            let path = folder.join(&key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, self.s3.state().get("lake", &key).unwrap()).unwrap();
        }
        folder
    }

    /// Runs a program of Python with all files in its folder; its asserts are the test.
    fn python(&self, program: &str) -> String {
        let python = windlass_testkit::program("python");
        let output =
            Command::new(python).args(["-c", program]).current_dir(self.files()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn nothing_is_left(&self, what: &str) {
        let uploads = self.s3.state().uploads("lake");
        assert!(uploads.is_empty(), "{what}: {uploads:?}");
    }
}

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
    let program = r#"
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
"#;
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
    }
    let program = r#"
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
"#;
    assert_eq!(place.python(program), "good\n");
    let refused = place
        .home
        .sql("COPY (SELECT 1 AS x) TO 'lake:x.xlsx' OPTIONS (COMPRESSION = GZIP)")
        .refused(1);
    assert!(refused.contains("XLSX files are not compressed with GZIP"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_are_read_back_with_their_values() {
    let place = Place::new().await;
    let query = "SELECT * FROM (VALUES (1, 'a/b', 7), (2, 'x=y %41', 7), (3, NULL, NULL), (4, '__HIVE_DEFAULT_PARTITION__', 8), \
                 (5, 'ü 漢', 8), (6, '*?[{', 9), (7, 'q''\"#:', 9)) AS t(id, kind, n)";
    let row = place.write(&format!(
        "COPY ({query}) TO 'lake:p/' OPTIONS (FILE_FORMAT = PARQUET, PARTITIONED_BY = ('kind', 'N'))"
    ));
    assert_eq!((&row["rows"], &row["files"]), (&7.into(), &7.into()), "{row}");
    assert!(
        place.keys().contains(&"p/kind=a%2Fb/n=7/part-00000.parquet".to_owned()),
        "{:?}",
        place.keys()
    );
    let back = place.home.rows("SELECT id, kind, n FROM lake.\"p/\" ORDER BY id");
    let expected = place.home.rows(&format!("SELECT id, kind, n FROM ({query}) AS q ORDER BY id"));
    assert_eq!(back, expected);
    let program = r##"
import duckdb, pyarrow.dataset as ds
want = {1: 'a/b', 2: 'x=y %41', 3: None, 5: 'ü 漢', 6: '*?[{', 7: 'q\'"#:'}
rows = dict(ds.dataset('p', partitioning=ds.partitioning(flavor='hive')).to_table(columns=['id', 'kind']).select(['id', 'kind']).to_pandas().itertuples(index=False, name=None))
for id, kind in want.items():
    assert (rows[id] if rows[id] == rows[id] else None) == kind, (id, rows)
print('good')
"##;
    assert_eq!(place.python(program), "good\n");
    let refused = place
        .home
        .sql(
            "COPY (SELECT 1 AS a) TO 'lake:q/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('a'))",
        )
        .refused(1);
    assert!(refused.contains("PARTITIONED_BY names every column"), "{refused}");
    let refused = place
        .home
        .sql("COPY (SELECT 1 AS a, 2 AS b) TO 'lake:q/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('c'))")
        .refused(1);
    assert!(refused.contains("PARTITIONED_BY names `c`, which is no column"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn more_partitions_than_can_be_open_have_one_file_each_in_the_order_of_rows() {
    let place = Place::new().await;
    let query = "SELECT id, id % 300 AS bucket FROM (SELECT unnest(range(0, 60000)) AS id) AS s ORDER BY id";
    let row = place.write(&format!(
        "COPY ({query}) TO 'lake:many/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('bucket'))"
    ));
    assert_eq!((&row["rows"], &row["files"]), (&60_000.into(), &300.into()), "{row}");
    for bucket in [0, 31, 32, 150, 299] {
        let mut expected = "id\n".to_owned();
        (0..200).for_each(|n| expected.push_str(&format!("{}\n", n * 300 + bucket)));
        assert_eq!(place.text(&format!("many/bucket={bucket}/part-00000.csv")), expected);
    }
    place.nothing_is_left("many partitions");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_cut_named_and_put_into_folders_of_dates() {
    let place = Place::new().await;
    let row = place.write(
        "COPY (SELECT unnest(range(0, 50000)) AS id) TO 'lake:cut/' OPTIONS (FILE_FORMAT = CSV, MAX_FILE_SIZE = '50KB', FILE_NAME = 'orders-{n}')",
    );
    let files: Vec<String> =
        place.keys().into_iter().filter(|key| key.starts_with("cut/")).collect();
    assert!(files.len() >= 5, "{files:?}");
    assert_eq!(row["files"], files.len());
    assert_eq!(files[1], "cut/orders-00001.csv");
    let mut ids = Vec::new();
    for file in &files {
        let text = place.text(file);
        assert!(text.len() < 60_000, "{file} has {} bytes", text.len());
        let lines = text.strip_prefix("id\n").unwrap().lines();
        ids.extend(lines.map(|line| line.parse::<u32>().unwrap()));
    }
    assert_eq!(ids, (0..50_000).collect::<Vec<_>>());
    place.write(
        "COPY (SELECT * FROM (VALUES (1, TIMESTAMP '1969-12-31 23:30:00'), (2, TIMESTAMP '2026-01-02 03:04:05'), (3, NULL)) AS t(id, at)) \
         TO 'lake:days/' OPTIONS (FILE_FORMAT = JSON, DATE_PATTERN = '''y=''yyyy/MM-dd/HH', DATE_COLUMN = 'at', COMPRESSION = GZIP)",
    );
    let days: Vec<String> =
        place.keys().into_iter().filter(|key| key.starts_with("days/")).collect();
    assert_eq!(
        days,
        [
            "days/__HIVE_DEFAULT_PARTITION__/part-00000.jsonl.gz",
            "days/y=1969/12-31/23/part-00000.jsonl.gz",
            "days/y=2026/01-02/03/part-00000.jsonl.gz"
        ]
    );
    for (options, what) in [
        ("SINGLE = TRUE, MAX_FILE_SIZE = 5", "contradict"),
        ("FILE_NAME = 'a/b'", "without `/`"),
        ("FILE_NAME = 'a{x}'", "no other braces"),
        ("DATE_PATTERN = 'QQ'", "DATE_PATTERN has `QQ`"),
        ("DATE_COLUMN = 'a'", "DATE_PATTERN, which is not given"),
        ("MODE = OVERWRITE_PARTITIONS", "folders of partitions"),
        ("AFTER_READ = MOVE", "does not say where to"),
        ("FILE_FORMAT = (DELIMITR = ';')", "did you mean DELIMITER?"),
        ("COMPRESION = GZIP", "did you mean COMPRESSION?"),
    ] {
        let refused =
            place.home.sql(&format!("COPY (SELECT 1 AS a) TO 'lake:o/' OPTIONS ({options})"));
        let refused = refused.refused(1);
        assert!(
            refused.contains("error[option.invalid]") && refused.contains(what),
            "{options}: {refused}"
        );
    }
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
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_decide_what_becomes_of_files_that_are_there() {
    let place = Place::new().await;
    let copy = |value: u32, to: &str, options: &str| {
        place.home.sql(&format!("COPY (SELECT {value} AS x, {value} % 2 AS odd) TO 'lake:{to}' OPTIONS (FILE_FORMAT = CSV{options})"))
    };
    copy(1, "one.csv", "").good();
    let refused = copy(2, "one.csv", "").refused(1);
    assert!(refused.contains("error[object.changed]: `lake:one.csv` is there"), "{refused}");
    assert_eq!(place.text("one.csv"), "x,odd\n1,1\n");
    copy(3, "one.csv", ", MODE = OVERWRITE").good();
    assert_eq!(place.text("one.csv"), "x,odd\n3,1\n");
    let refused = copy(4, "one.csv", ", MODE = APPEND").refused(1);
    assert!(refused.contains("nothing can be added to one file"), "{refused}");

    copy(1, "d/", "").good();
    let refused = copy(2, "d/", "").refused(1);
    assert!(refused.contains("`lake:d/part-00000.csv` is there"), "{refused}");
    copy(2, "d/", ", MODE = APPEND").good();
    place.home.sql("INSERT INTO lake.\"d/\" SELECT 3 AS x, 1 AS odd").good();
    let all = place.home.rows("SELECT x FROM lake.\"d/\" ORDER BY x");
    assert_eq!(all.len(), 3, "{all:?}");
    place.s3.state().put("lake", "d/sub/old.csv", "x,odd\n9,9\n");
    let row = place.write(
        "COPY (SELECT 7 AS x, 1 AS odd) TO 'lake:d/' OPTIONS (FILE_FORMAT = CSV, MODE = OVERWRITE)",
    );
    assert_eq!(row["removed"], 4, "{row}");
    let all = place.home.rows("SELECT x FROM lake.\"d/\"");
    assert_eq!(all.len(), 1, "{all:?}");

    for value in [1, 2, 4] {
        copy(value, "q/", ", PARTITIONED_BY = ('odd'), MODE = APPEND").good();
    }
    copy(6, "q/", ", PARTITIONED_BY = ('odd'), MODE = OVERWRITE_PARTITIONS").good();
    let all = place.home.rows("SELECT x, odd FROM lake.\"q/\" ORDER BY x");
    assert_eq!(serde_json::to_string(&all).unwrap(), r#"[{"x":1,"odd":1},{"x":6,"odd":0}]"#);

    place.s3.state().put("lake", "t/_delta_log/00000000000000000000.json", "{}");
    let refused = copy(1, "t/", ", MODE = OVERWRITE").refused(1);
    assert!(refused.contains("holds a Delta Lake table"), "{refused}");
    let refused = place
        .home
        .sql("COPY (SELECT 1 AS x) TO 'lake:' OPTIONS (FILE_FORMAT = CSV, MODE = OVERWRITE)")
        .refused(1);
    assert!(refused.contains("would replace everything"), "{refused}");
    place.nothing_is_left("modes");
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
async fn tables_are_made_of_queries_and_added_to() {
    let place = Place::new().await;
    place
        .home
        .sql("CREATE FILE TABLE totals ON lake LOCATION = 'totals/' CONTENT_TYPE = (TYPE = CSV, DELIMITER = ';') AS SELECT 1 AS id, 'a' AS label")
        .good();
    place.home.sql("INSERT INTO totals SELECT 2 AS id, 'b' AS label").good();
    place.home.sql("INSERT INTO main.totals VALUES (3, 'c')").good();
    let refused = place.home.sql("INSERT INTO nowhere SELECT 1").refused(1);
    assert!(refused.contains("error[table.not_found]"), "{refused}");
    let rows = place.home.rows("SELECT count(*) AS n FROM lake.\"totals/\"");
    assert_eq!(rows[0]["n"], 3);
    let first = place.keys().into_iter().find(|key| key.contains("part-00000")).unwrap();
    assert_eq!(place.text(&first), "id;label\n1;a\n");
    let refused = place
        .home
        .sql("CREATE FILE TABLE totals ON lake LOCATION = 'other/' AS SELECT 1 AS x")
        .refused(1);
    assert!(refused.contains("error[table.exists]"), "{refused}");
    let said = place
        .home
        .sql("CREATE FILE TABLE IF NOT EXISTS totals ON lake LOCATION = 'other/' AS SELECT 1 AS x")
        .good();
    assert!(said.contains("nothing changed") || said.is_empty(), "{said}");
    place.home.sql("CREATE FILE TABLE p ON lake LOCATION = 'pq/' AS SELECT 5 AS five").good();
    assert_eq!(place.home.rows("SELECT five FROM p")[0]["five"], 5);
    assert!(!place.keys().iter().any(|key| key.starts_with("other/")));
    let runs = place.home.rows("SELECT kind, state, statement FROM system.runs WHERE kind = 'write' AND state = 'succeeded'");
    assert_eq!(runs.len(), 4, "{runs:?}");
    let items =
        place.home.rows("SELECT action, destination FROM system.run_items WHERE action = 'write'");
    assert_eq!(items.len(), 4, "{items:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_byte_keeps_the_rules_of_its_connection() {
    let place = Place::new().await;
    let (id, secret) = place.s3.admin();
    let endpoint = place.s3.endpoint();
    place
        .home
        .connect(
            "sealed",
            &endpoint,
            &id,
            &secret,
            "BUCKET = 'lake' PREFIX = 'in/' ENCRYPTION = 'AES256'",
        )
        .good();
    place.home.connect("shut", &endpoint, &id, &secret, "BUCKET = 'lake' READ_ONLY = TRUE").good();
    place.home.sql("COPY (SELECT 1 AS x) TO 'sealed:small.csv'").good();
    place.home.sql("COPY (SELECT 1 AS x, 2 AS p) TO 'sealed:many/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = OVERWRITE)").good();
    let written: Vec<String> = place.keys();
    assert_eq!(written.len(), 2, "{written:?}");
    let puts: Vec<_> = place
        .s3
        .state()
        .requests()
        .into_iter()
        .filter(|request| {
            ["PutObject", "CreateMultipartUpload"].contains(&request.operation.as_str())
        })
        .collect();
    assert!(puts.len() >= 2);
    for request in &puts {
        assert_eq!(request.header("x-amz-server-side-encryption"), Some("AES256"), "{request:?}");
    }
    for statement in [
        "COPY (SELECT 1 AS x) TO 'shut:a.csv'",
        "INSERT INTO shut.\"d/\" OPTIONS (FILE_FORMAT = CSV) SELECT 1 AS x",
        "CREATE FILE TABLE t ON shut LOCATION = 'd/' AS SELECT 1 AS x",
    ] {
        let refused = place.home.sql(statement).refused(1);
        assert!(refused.contains("error[connection.read_only]"), "{statement}: {refused}");
    }
    place.s3.state().put("lake", "src.csv", "x\n1\n");
    let refused = place
        .home
        .sql(
            "COPY (SELECT * FROM shut.\"src.csv\") TO 'lake:out.csv' OPTIONS (AFTER_READ = DELETE)",
        )
        .refused(1);
    assert!(refused.contains("error[connection.read_only]"), "{refused}");
    assert!(!place.keys().contains(&"out.csv".to_owned()));
    let outside =
        place.home.sql("COPY (SELECT 1 AS x) TO 'sealed:s3://lake/elsewhere.csv'").refused(1);
    assert!(outside.contains("error[path.outside]"), "{outside}");
    place.nothing_is_left("rules");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_goes_only_once_the_output_is_there() {
    let place = Place::new().await;
    for n in 0..5 {
        place.s3.state().put("lake", &format!("in/{n}.csv"), format!("id\n{n}\n"));
    }
    let refused = place
        .home
        .sql("COPY (SELECT * FROM lake.\"in/\" LIMIT 2) TO 'lake:out/a.csv' OPTIONS (AFTER_READ = DELETE)")
        .refused(1);
    assert!(refused.contains("LIMIT"), "{refused}");
    place.s3.state().put("lake", "out/b.csv", "there");
    place
        .home
        .sql("COPY (SELECT * FROM lake.\"in/\") TO 'lake:out/b.csv' OPTIONS (AFTER_READ = DELETE)")
        .refused(1);
    assert_eq!(place.keys().iter().filter(|key| key.starts_with("in/")).count(), 5);
    let row = place.write(
        "COPY (SELECT * FROM lake.\"in/[01].csv\") TO 'lake:out/c.csv' OPTIONS (AFTER_READ = MOVE, AFTER_READ_LOCATION = 'done/')",
    );
    assert_eq!(row["after_read"], 2, "{row}");
    assert_eq!(place.text("done/in/0.csv"), "id\n0\n");
    // One changes while the query runs: its new state was not read, and stays.
    let stall = FaultKind::Delay(Duration::from_millis(1500));
    place.s3.state().add_fault(Fault::new("CompleteMultipartUpload", stall));
    let before = place.s3.state().count("CompleteMultipartUpload");
    let changed = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            place.home.sql("COPY (SELECT * FROM lake.\"in/\") TO 'lake:out/d.csv' OPTIONS (AFTER_READ = DELETE)")
        });
        let begin = Instant::now();
        while place.s3.state().count("CompleteMultipartUpload") == before {
            assert!(begin.elapsed() < Duration::from_secs(60), "it never wrote");
            std::thread::sleep(Duration::from_millis(10));
        }
        place.s3.state().put("lake", "in/3.csv", "id\n33\n");
        writing.join().unwrap()
    });
    assert_eq!(changed.code, 3, "{changed:?}");
    assert_eq!(place.text("out/d.csv").lines().count(), 4);
    let left: Vec<String> = place.keys().into_iter().filter(|key| key.starts_with("in/")).collect();
    assert_eq!(left, ["in/3.csv"]);
    assert_eq!(place.text("in/3.csv"), "id\n33\n");
    let items =
        place.home.rows("SELECT source, reason FROM system.run_items WHERE status = 'failed'");
    assert!(
        items[0]["reason"].as_str().unwrap().contains("changed after it was read"),
        "{items:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_goes_in_parts_and_a_failed_one_leaves_nothing() {
    let place = Place::new().await;
    let query = "SELECT id, md5(CAST(id AS VARCHAR)) AS hash FROM (SELECT unnest(range(0, 700000)) AS id) AS s";
    let row = place.write(&format!("COPY ({query}) TO 'lake:big.csv'"));
    assert_eq!(row["rows"], 700_000);
    assert!(place.s3.state().count("UploadPart") >= 3, "{}", place.s3.state().count("UploadPart"));
    let text = place.text("big.csv");
    assert_eq!(text.lines().count(), 700_001);
    let last = "699999,7c590f287acefdd3ea84a7678f1e907b";
    assert!(text.lines().any(|line| line == last), "the last row is not there");
    let denied =
        FaultKind::Error { status: 403, code: "AccessDenied".into(), message: "no".into() };
    place.s3.state().add_fault(Fault::new("UploadPart", denied).after(1).always());
    let refused = place.home.sql(&format!("COPY ({query}) TO 'lake:never.csv'")).refused(1);
    assert!(refused.contains("error[connection.denied]"), "{refused}");
    place.s3.state().clear_faults();
    // Rows that cannot be written come late.
    let refused = place
        .home
        .sql("COPY (SELECT id, CASE WHEN id = 650000 THEN '漢' ELSE 'some longer text of a row' END AS t FROM (SELECT unnest(range(0, 700000)) AS id) AS s) TO 'lake:never.csv' OPTIONS (FILE_FORMAT = (ENCODING = 'latin1'))")
        .refused(1);
    assert!(refused.contains("error[format.unwritable]"), "{refused}");
    assert_eq!(place.keys(), ["big.csv"]);
    place.nothing_is_left("failures");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_cannot_be_completed_is_undone() {
    let place = Place::new().await;
    place.home.sql("COPY (SELECT 0 AS x, 0 AS p) TO 'lake:d/' OPTIONS (FILE_FORMAT = CSV)").good();
    let before = place.keys();
    let denied =
        FaultKind::Error { status: 403, code: "AccessDenied".into(), message: "no".into() };
    let fault = Fault::new("CompleteMultipartUpload", denied).on_key("*p=7/*").always();
    place.s3.state().add_fault(fault);
    let refused = place
        .home
        .sql("COPY (SELECT id AS x, id % 10 AS p FROM (SELECT unnest(range(0, 1000)) AS id) AS s) TO 'lake:d/' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = OVERWRITE)")
        .refused(1);
    assert!(refused.contains("error[connection.denied]"), "{refused}");
    place.s3.state().clear_faults();
    assert_eq!(place.keys(), before);
    place.nothing_is_left("undone");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writers_that_want_the_same_place_each_leaves_it_whole() {
    let place = Place::new().await;
    place.s3.state().set_latency(Duration::from_millis(2));
    let write = |value: u32, to: &str, mode: &str| {
        place.home.sql(&format!(
            "COPY (SELECT {value} AS writer, id, id % 6 AS p FROM (SELECT unnest(range(0, 600)) AS id) AS s) TO 'lake:{to}' OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = {mode})"
        ))
    };
    let together = |to: &str, mode: &str| {
        std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..4).map(|value| scope.spawn(move || write(value, to, mode))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect::<Vec<_>>()
        })
    };
    let outputs = together("over/", "OVERWRITE");
    assert!(outputs.iter().all(|output| output.code == 0), "{outputs:?}");
    let left = place.home.rows("SELECT writer, count(*) AS n FROM lake.\"over/\" GROUP BY writer");
    assert_eq!((left.len(), left[0]["n"].as_i64()), (1, Some(600)), "{left:?}");
    let outputs = together("error/", "ERROR");
    let good = outputs.iter().filter(|output| output.code == 0).count();
    assert_eq!(good, 1, "{outputs:?}");
    let left = place.home.rows("SELECT writer, count(*) AS n FROM lake.\"error/\" GROUP BY writer");
    assert_eq!((left.len(), left[0]["n"].as_i64()), (1, Some(600)), "{left:?}");
    let outputs = together("append/", "APPEND");
    assert!(outputs.iter().all(|output| output.code == 0), "{outputs:?}");
    let left = place.home.rows("SELECT count(*) AS n FROM lake.\"append/\"");
    assert_eq!(left[0]["n"], 2400);
    let one = |value: u32| place.home.sql(&format!("COPY (SELECT {value} AS x) TO 'lake:one.csv'"));
    let outputs: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|value| scope.spawn(move || one(value))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(outputs.iter().filter(|output| output.code == 0).count(), 1, "{outputs:?}");
    place.nothing_is_left("writers");
}

#[tokio::test(flavor = "multi_thread")]
async fn wide_rows_and_long_cells_are_written() {
    let place = Place::new().await;
    let columns: Vec<String> = (0..1500).map(|n| format!("{n} AS c{n}")).collect();
    let wide = format!("SELECT {}", columns.join(", "));
    for name in ["w.csv", "w.parquet", "w.jsonl"] {
        place.write(&format!("COPY ({wide}) TO 'lake:{name}'"));
    }
    for name in ["l.csv", "l.parquet", "l.xml"] {
        place.write(&format!("COPY (SELECT repeat('x\"<', 3500000) AS big) TO 'lake:{name}'"));
    }
    let program = r#"
import csv, json, pyarrow.parquet as pq, sys
import xml.etree.ElementTree as ET
csv.field_size_limit(sys.maxsize)
want = {f'c{n}': n for n in range(1500)}
assert json.load(open('w.jsonl')) == want
assert pq.read_table('w.parquet').to_pylist() == [want]
assert [{k: int(v) for k, v in row.items()} for row in csv.DictReader(open('w.csv'))] == [want]
big = 'x"<' * 3500000
assert list(csv.reader(open('l.csv')))[1] == [big]
assert pq.read_table('l.parquet').to_pylist() == [{'big': big}]
assert ET.parse('l.xml').getroot()[0][0].text == big
print('good')
"#;
    assert_eq!(place.python(program), "good\n");
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// What is below a folder, by partition: the writer, and how many rows.
fn seen(place: &Place, connection: &str, to: &str) -> BTreeMap<(i64, i64), i64> {
    let rows = place.home.run(&[
        "-o",
        "json",
        "sql",
        "-c",
        &format!("SELECT writer, p, count(*) AS n FROM {connection}.\"{to}\" GROUP BY writer, p"),
    ]);
    if rows.code != 0 {
        assert!(rows.stderr.contains("format.no_files"), "{rows:?}");
        return BTreeMap::new();
    }
    let rows: Vec<Value> = serde_json::from_str(rows.stdout.trim()).unwrap();
    let cell = |row: &Value, name: &str| row[name].as_i64().unwrap();
    rows.iter().map(|row| ((cell(row, "writer"), cell(row, "p")), cell(row, "n"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_killed_has_happened_or_has_not() {
    let place = Place::new().await;
    place.s3.state().set_latency(Duration::from_millis(3));
    for operation in ["UploadPart", "CompleteMultipartUpload", "DeleteObjects"] {
        let slow = FaultKind::Delay(Duration::from_millis(25));
        place.s3.state().add_fault(Fault::new(operation, slow).always());
    }
    let mut dice = Dice::new(number("WINDLASS_SEED", 11));
    let rounds = number("WINDLASS_KILL_ROUNDS", 12);
    let mut usual = Duration::from_millis(900);
    let (mut happened, mut ended) = (0, 0);
    let whole =
        |writer: i64| -> BTreeMap<(i64, i64), i64> { (0..20).map(|p| ((writer, p), 50)).collect() };
    for round in 0..rounds {
        let connection = if round % 3 == 2 { "disk" } else { "lake" };
        let to = format!("{round}/");
        let statement = |writer: u32| {
            format!(
                "COPY (SELECT {writer} AS writer, id, id % 20 AS p FROM (SELECT unnest(range(0, 1000)) AS id) AS s) TO '{connection}:{to}' \
                 OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = OVERWRITE)"
            )
        };
        place.home.sql(&statement(1)).good();
        let statement = statement(2);
        let mut child = place
            .home
            .command()
            .args(["sql", "-c", &statement])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment =
            Duration::from_millis(dice.below(usize::try_from(usual.as_millis()).unwrap()) as u64);
        let what = format!("round {round} to {connection}, killed after {moment:?}");
        let begin = Instant::now();
        std::thread::sleep(moment);
        let over = child.try_wait().unwrap().is_some();
        ended += u64::from(over);
        let _ = child.kill();
        child.wait().unwrap();
        if over {
            usual = begin.elapsed();
        } else {
            usual += usual / 20;
        }
        // The next start ends it, one way or the other.
        let found = seen(&place, connection, &to);
        assert!(found == whole(1) || found == whole(2), "{what}: {found:?}");
        happened += u64::from(found == whole(2));
        place.nothing_is_left(&what);
        let hidden = std::process::Command::new("find")
            .args([place.home.scratch("disk").to_str().unwrap(), "-name", ".windlass-*"])
            .output()
            .unwrap();
        assert!(hidden.stdout.is_empty(), "{what}: {}", String::from_utf8_lossy(&hidden.stdout));
        let open =
            place.home.rows("SELECT id FROM system.runs WHERE state IN ('running', 'queued')");
        assert!(open.is_empty(), "{what}: {open:?}");
    }
    println!("{rounds} rounds: {happened} happened, {ended} ended before they were killed");
    assert!(ended < rounds, "it was never killed");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_within_the_commit_a_write_is_completed_by_the_next_start_or_by_doctor() {
    let place = Place::new().await;
    for (round, way) in ["doctor", "sql"].into_iter().enumerate() {
        let to = format!("k{round}/");
        place.s3.state().put("lake", &format!("{to}old.csv"), "writer,p\n1,1\n");
        // The third file is made seen so late that nobody waits for it.
        let stall = FaultKind::Delay(Duration::from_secs(600));
        place.s3.state().add_fault(Fault::new("CompleteMultipartUpload", stall).after(2).always());
        let before = place.s3.state().count("CompleteMultipartUpload");
        let statement = format!(
            "COPY (SELECT 2 AS writer, id, id % 5 AS p FROM (SELECT unnest(range(0, 100)) AS id) AS s) TO 'lake:{to}' \
             OPTIONS (FILE_FORMAT = CSV, PARTITIONED_BY = ('p'), MODE = OVERWRITE)"
        );
        let mut child = place
            .home
            .command()
            .args(["sql", "-c", &statement])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while place.s3.state().count("CompleteMultipartUpload") < before + 3 {
            assert!(begin.elapsed() < Duration::from_secs(60), "it never came so far");
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        place.s3.state().clear_faults();
        assert!(place.keys().contains(&format!("{to}old.csv")), "the old file went too early");
        assert!(!place.s3.state().uploads("lake").is_empty());
        match way {
            "doctor" => {
                let said = place.home.run(&["doctor"]);
                assert!(said.stdout.contains("was ended"), "{said:?}");
            }
            _ => drop(place.home.rows("SELECT 1 AS x")),
        }
        let found = seen(&place, "lake", &to);
        assert_eq!(found, (0..5).map(|p| ((2, p), 20)).collect(), "{way}");
        place.nothing_is_left(way);
        let runs = place.home.rows(
            "SELECT state FROM system.runs WHERE kind = 'write' ORDER BY started_at DESC LIMIT 1",
        );
        assert_eq!(runs[0]["state"], "succeeded", "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_writes_and_moves_what_it_has_read() {
    let place = Place::new().await;
    place.s3.state().put("lake", "inbox/a.csv", "id,v\n1,x\n");
    place
        .home
        .sql("CREATE JOB load AS INSERT INTO lake.\"tidy/\" OPTIONS (FILE_FORMAT = PARQUET, AFTER_READ = MOVE, AFTER_READ_LOCATION = 'done/') SELECT * FROM lake.\"inbox/\"")
        .good();
    let shown = place.home.sql("SHOW CREATE JOB load").good();
    assert!(shown.contains("AFTER_READ = 'MOVE'"), "{shown}");
    place.home.sql("RUN JOB load").good();
    place.s3.state().put("lake", "inbox/b.csv", "id,v\n2,y\n");
    place.home.sql("RUN JOB load").good();
    let rows = place.home.rows("SELECT id, v FROM lake.\"tidy/\" ORDER BY id");
    assert_eq!(serde_json::to_string(&rows).unwrap(), r#"[{"id":1,"v":"x"},{"id":2,"v":"y"}]"#);
    assert!(place.keys().contains(&"done/inbox/b.csv".to_owned()), "{:?}", place.keys());
    let refused = place.home.sql("DROP CONNECTION lake").refused(1);
    assert!(refused.contains("error[connection.in_use]"), "{refused}");
}
