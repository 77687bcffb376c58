//! Files of independent writers (pandas, pyarrow, openpyxl, fastavro, the standard library of Python)
//! read by the built binary, with the data that breaks readers. P-R2, P-2.5, U 1.3.

mod common;

use common::Home;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A home with the folder `lake` behind the connection `lake`.
struct Lake {
    home: Home,
    root: PathBuf,
}

impl Lake {
    fn new() -> Self {
        let home = Home::new();
        let root = home.scratch("lake");
        std::fs::create_dir_all(&root).unwrap();
        let lake = Self { home, root };
        lake.sql(&format!("CREATE LOCAL CONNECTION lake ROOT = '{}'", lake.root.display()));
        lake
    }

    #[track_caller]
    fn sql(&self, text: &str) {
        self.home.sql(text).good();
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs Python in the folder.
    #[track_caller]
    fn python(&self, program: &str) {
        let environment = std::env::var_os("WINDLASS_TEST_VENV").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv"),
            PathBuf::from,
        );
        let output = Command::new(environment.join("bin/python"))
            .args(["-c", program])
            .current_dir(&self.root)
            .output()
            .expect("`make test` sets up .venv");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// All rows of a path, in the order of the file.
    #[track_caller]
    fn rows(&self, path: &str) -> Vec<Value> {
        self.home.rows(&format!("SELECT * FROM lake.\"{path}\""))
    }

    /// A file table over a path.
    #[track_caller]
    fn table(&self, name: &str, path: &str, options: &str) {
        self.sql(&format!(
            "CREATE FILE TABLE {name} ON lake LOCATION = '{path}' CONTENT_TYPE = ({options})"
        ));
    }

    #[track_caller]
    fn ask(&self, sql: &str) -> Vec<Value> {
        self.home.rows(sql)
    }

    /// Types of the columns, as `name TYPE`.
    #[track_caller]
    fn types(&self, of: &str) -> Vec<String> {
        self.ask(&format!("DESCRIBE {of}"))
            .iter()
            .filter(|row| row["role"] != "note")
            .map(|row| {
                format!(
                    "{} {}",
                    row["column_name"].as_str().unwrap(),
                    row["data_type"].as_str().unwrap()
                )
            })
            .collect()
    }

    /// What DESCRIBE says of the format, and why.
    #[track_caller]
    fn format(&self, of: &str) -> String {
        let rows = self.ask(&format!("DESCRIBE {of}"));
        let row = rows.iter().find(|row| row["column_name"] == "format").unwrap();
        row["note"].as_str().unwrap().to_owned()
    }

    /// The error of a statement.
    #[track_caller]
    fn refused(&self, sql: &str) -> String {
        self.home.sql(sql).refused(1)
    }
}

#[test]
fn json_of_every_layout_is_rows() {
    let lake = Lake::new();
    lake.python(
        r#"
import json, pandas
rows = [{"id": 1, "name": "Zoë \"quoted\"\n", "nested": {"list": [1, 2], "deep": {"x": None}}},
        {"id": 12345678901234567, "name": None, "nested": {"list": [], "deep": {"x": 1.5}}}]
json.dump(rows, open("array.json", "w"))
json.dump(rows, open("pretty.json", "w"), indent=2, ensure_ascii=False)
open("concatenated.json", "w").write("".join(json.dumps(row) for row in rows))
open("documents.json", "w").write("\n".join(json.dumps(row, indent=1) for row in rows))
open("lines.json", "w").write("\n".join(json.dumps(row) for row in rows))
open("one.json", "w").write(json.dumps({"items": rows, "next": None}, indent=2))
pandas.DataFrame({"id": [1, 2, None], "t": ["a", "b", "c"]}).to_json("frame.json", orient="records")
"#,
    );
    let expected = json!([
        {"id": 1, "name": "Zoë \"quoted\"\n", "nested": {"list": [1, 2], "deep": {"x": null}}},
        {"id": 12_345_678_901_234_567_u64, "name": null, "nested": {"list": [], "deep": {"x": 1.5}}},
    ]);
    for name in ["array", "pretty", "concatenated", "documents", "lines"] {
        let found = lake.rows(&format!("{name}.json"));
        assert_eq!(Value::from(found), expected, "{name}");
        let types = lake.types(&format!("lake.\"{name}.json\""));
        assert_eq!(types[0], "id BIGINT", "{name}");
    }
    assert_eq!(Value::from(lake.rows("{array,lines}.json")).as_array().unwrap().len(), 4);
    let one = lake.ask("SELECT cardinality(items) AS n FROM lake.\"one.json\"");
    assert_eq!(one, [json!({"n": 2})]);
    // pandas writes `1.0` where a column has blanks.
    assert_eq!(lake.rows("frame.json")[2], json!({"id": null, "t": "c"}));
    assert!(lake.format("lake.\"array.json\"").contains("it begins with `[`"));
    lake.table("whole", "array.json", "TYPE = JSON, SPLIT_ROOT_ARRAY = FALSE");
    assert_eq!(lake.ask("SELECT cardinality(value) AS n FROM whole"), [json!({"n": 2})]);
    lake.table(
        "kept",
        "array.json",
        "TYPE = JSON, STORE_JSON_AS_STRING = 'raw', TYPES = ('nested TEXT')",
    );
    let kept = lake.ask("SELECT nested, raw FROM kept WHERE id = 1");
    assert_eq!(kept[0]["nested"], r#"{"list": [1, 2], "deep": {"x": null}}"#);
    let raw: Value = serde_json::from_str(kept[0]["raw"].as_str().unwrap()).unwrap();
    assert_eq!(raw["nested"]["list"], json!([1, 2]));
}

#[test]
fn a_large_json_array_is_streamed() {
    let lake = Lake::new();
    lake.python(
        r#"
with open("large.json", "w") as out:
    out.write("[")
    for i in range(300000):
        out.write(("," if i else "") + '\n{"id": %d, "text": "%s"}' % (i, "x" * (i % 50)))
    out.write("]")
"#,
    );
    let found = lake
        .ask("SELECT count(*) AS n, sum(id) AS s, max(length(text)) AS m FROM lake.\"large.json\"");
    assert_eq!(found, [json!({"n": 300_000, "s": 44_999_850_000_u64, "m": 49})]);
    assert_eq!(lake.ask("SELECT id FROM lake.\"large.json\" LIMIT 1"), [json!({"id": 0})]);
}

#[test]
fn avro_arrow_and_orc_keep_their_types() {
    let lake = Lake::new();
    lake.python(
        r#"
import datetime, decimal, fastavro, pyarrow, pyarrow.orc, pyarrow.feather, pyarrow.ipc
D = decimal.Decimal
rows = [
  {"id": 1, "price": D("12345678901234567890.12"), "day": datetime.date(1969, 12, 31), "at": datetime.datetime(1960, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.timezone.utc), "tags": ["a", None], "who": {"name": "Zoë", "age": None}, "blob": b"\x00\xff", "nan": float("nan")},
  {"id": None, "price": None, "day": None, "at": None, "tags": [], "who": None, "blob": None, "nan": None},
]
schema = {"type": "record", "name": "row", "fields": [
  {"name": "id", "type": ["null", "long"]},
  {"name": "price", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 22, "scale": 2}]},
  {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}]},
  {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
  {"name": "tags", "type": {"type": "array", "items": ["null", "string"]}},
  {"name": "who", "type": ["null", {"type": "record", "name": "who", "fields": [{"name": "name", "type": "string"}, {"name": "age", "type": ["null", "int"]}]}]},
  {"name": "blob", "type": ["null", "bytes"]},
  {"name": "nan", "type": ["null", "double"]},
]}
for codec in ["null", "deflate", "bzip2", "xz", "zstandard", "snappy"]:
    try:
        with open(f"rows.{codec}.avro", "wb") as out:
            fastavro.writer(out, schema, rows, codec=codec)
    except ValueError:
        import os; os.remove(f"rows.{codec}.avro")
with open("rows.avro", "wb") as out:
    fastavro.writer(out, schema, rows, codec="deflate")
table = pyarrow.Table.from_pylist(rows, schema=pyarrow.schema([
  ("id", pyarrow.int64()), ("price", pyarrow.decimal128(22, 2)), ("day", pyarrow.date32()),
  ("at", pyarrow.timestamp("us", tz="UTC")), ("tags", pyarrow.list_(pyarrow.string())),
  ("who", pyarrow.struct([("name", pyarrow.string()), ("age", pyarrow.int32())])), ("blob", pyarrow.binary()), ("nan", pyarrow.float64())]))
# pyarrow writes fractions before 1970 in a way that others do not read.
whole = pyarrow.array([datetime.datetime(1960, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc), None], pyarrow.timestamp("us", tz="UTC"))
pyarrow.orc.write_table(table.set_column(3, "at", whole), "rows.orc", compression="zlib")
pyarrow.orc.write_table(table, "fraction.orc")
pyarrow.feather.write_feather(table, "rows.feather", compression="zstd")
with pyarrow.ipc.new_file("rows.arrow", table.schema) as out: out.write_table(table)
with pyarrow.ipc.new_stream("rows.stream", table.schema) as out: out.write_table(table)
coded = table.append_column("code", pyarrow.array(["x", "y"]).dictionary_encode())
with pyarrow.ipc.new_file("coded.arrow", coded.schema) as out: out.write_table(coded)
"#,
    );
    let mut names: Vec<String> = std::fs::read_dir(&lake.root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("rows."))
        .collect();
    names.sort();
    assert!(names.len() >= 8, "{names:?}");
    for name in names {
        let rows = lake.rows(&name);
        let first = &rows[0];
        assert_eq!(first["id"], 1, "{name}");
        assert_eq!(first["price"], "12345678901234567890.12", "{name}");
        assert_eq!(first["day"], "1969-12-31", "{name}");
        let fraction = if name == "rows.orc" { "" } else { ".678901" };
        assert_eq!(first["at"], format!("1960-01-02T03:04:05{fraction}Z"), "{name}");
        assert_eq!(first["tags"], json!(["a", null]), "{name}");
        assert_eq!(first["who"], json!({"name": "Zoë", "age": null}), "{name}");
        assert_eq!(first["blob"], "AP8=", "{name}");
        assert_eq!(first["nan"], Value::Null, "NaN has no JSON: {name}");
        assert!(["id", "price", "day", "at", "who", "blob"].iter().all(|c| rows[1][c].is_null()));
        let types = lake.types(&format!("lake.\"{name}\""));
        assert_eq!(types[1], "price DECIMAL(22, 2)", "{name}");
        let count = lake.ask(&format!("SELECT count(*) AS n, count(id) AS i FROM lake.\"{name}\""));
        assert_eq!(count, [json!({"n": 2, "i": 1})], "{name}");
    }
    assert_eq!(
        lake.ask("SELECT code FROM lake.\"coded.arrow\""),
        [json!({"code": "x"}), json!({"code": "y"})]
    );
    assert!(lake.format("lake.\"rows.stream\"").contains("as a stream of Arrow does"));
    let error = lake.refused("SELECT at FROM lake.\"fraction.orc\"");
    assert!(error.contains("cannot be read as ORC"), "{error}");
}

#[test]
fn names_that_lie_are_seen_through() {
    let lake = Lake::new();
    lake.python(
        r#"
import pyarrow, pyarrow.parquet, fastavro
table = pyarrow.table({"a": [1, 2]})
pyarrow.parquet.write_table(table, "really.csv")
pyarrow.parquet.write_table(table, "really.json")
with open("avro.parquet", "wb") as out:
    fastavro.writer(out, {"type": "record", "name": "r", "fields": [{"name": "a", "type": "long"}]}, [{"a": 1}, {"a": 2}])
open("array.jsonl", "w").write('[{"a": 1},\n {"a": 2}]')
open("text.parquet", "w").write("a\n1\n2\n")
"#,
    );
    for name in ["really.csv", "really.json", "avro.parquet", "array.jsonl"] {
        assert_eq!(lake.rows(name), [json!({"a": 1}), json!({"a": 2})], "{name}");
    }
    let said = lake.format("lake.\"really.csv\"");
    assert!(said.contains("Parquet") && said.contains("`PAR1`, whatever its name says"), "{said}");
    let error = lake.refused("SELECT * FROM lake.\"text.parquet\"");
    assert!(error.contains("cannot be read as Parquet"), "{error}");
}

#[test]
fn lines_patterns_and_fixed_places_are_columns() {
    let lake = Lake::new();
    lake.put("app.log", "2026-01-01 INFO started\r\n\n2026-01-02 WARN Zoë <3\n2026-01-03 ERROR");
    let lines = lake.rows("app.log");
    assert_eq!(lines.len(), 4);
    assert_eq!(lines[0]["line"], "2026-01-01 INFO started");
    lake.table(
        "log",
        "app.log",
        r"TYPE = REGEX, PATTERN = '^(?P<day>\S+) (?P<level>\w+)(?: (?P<text>.*))?$'",
    );
    assert_eq!(lake.types("log"), ["day DATE", "level TEXT", "text TEXT"]);
    assert_eq!(
        lake.ask("SELECT * FROM log WHERE day >= DATE '2026-01-02' ORDER BY day"),
        [
            json!({"day": "2026-01-02", "level": "WARN", "text": "Zoë <3"}),
            json!({"day": "2026-01-03", "level": "ERROR", "text": null}),
        ]
    );
    lake.table(
        "strict",
        "app.log",
        r"TYPE = REGEX, PATTERN = '^(?P<day>\S+) (?P<level>\w+) (?P<text>.*)$'",
    );
    let error = lake.refused("SELECT * FROM strict");
    assert!(error.contains("line 4: it does not match the pattern"), "{error}");
    let error = lake.refused("CREATE FILE TABLE none ON lake LOCATION = 'app.log' CONTENT_TYPE = (TYPE = REGEX, PATTERN = 'x')");
    assert!(error.contains("the pattern has no group"), "{error}");

    // P-2.5: offsets, lengths, rows to skip, a decimal comma, blanks, ragged lines.
    lake.put("bank.txt", "HEADER 2026\n00042Zoë      12,50  \n00043  Bo     -1,0x\n     \n00044\n");
    let columns = "COLUMNS = ('id TEXT 0 5', 'name TEXT 5 9', 'price DECIMAL(10, 2) 14 7')";
    lake.table(
        "bank",
        "bank.txt",
        &format!("TYPE = FIXED_WIDTH, {columns}, SKIP_ROWS = 1, STRIP_BLANKS = TRUE, DECIMAL_POINT = ',', ON_ERROR = NULL"),
    );
    assert_eq!(
        lake.ask("SELECT * FROM bank"),
        [
            json!({"id": "00042", "name": "Zoë", "price": "12.50"}),
            json!({"id": "00043", "name": "  Bo", "price": null}),
            json!({"id": null, "name": null, "price": null}),
            json!({"id": "00044", "name": null, "price": null}),
        ]
    );
    lake.put("records.dat", "0001AAA||0002BBB||0003CCC\r\n");
    lake.table(
        "records",
        "records.dat",
        "TYPE = FIXED_WIDTH, COLUMNS = ('n 0 4', 'code 4 3'), LINE_DELIMITED = FALSE, SKIP_BYTES = 2, TYPES = ('n BIGINT')",
    );
    assert_eq!(
        lake.ask("SELECT sum(n) AS s, max(code) AS c FROM records"),
        [json!({"s": 6, "c": "CCC"})]
    );
}

#[test]
fn xml_nests_and_lists() {
    let lake = Lake::new();
    lake.python(
        r#"
import pandas
frame = pandas.DataFrame({"id": [1, 2, 3], "name": ["a & b", None, "ü"], "price": [1.5, None, 3], "day": ["2026-01-01", "1969-12-31", None]})
frame.to_xml("frame.xml", index=False, parser="etree")
frame.to_xml("attributes.xml", index=False, parser="etree", attr_cols=["id", "name"], elem_cols=["price"])
frame.to_xml("latin.xml", index=False, parser="etree", encoding="ISO-8859-1")
open("nested.xml", "w").write('''<?xml version="1.0"?>
<feed xmlns:x="urn:x"><title>t</title>
  <x:entry id="1"><author><name>A</name></author><tag>p</tag><tag>q</tag></x:entry>
  <x:entry id="2"><author><name>B</name></author></x:entry>
</feed>''')
"#,
    );
    let expected = [
        json!({"id": 1, "name": "a & b", "price": 1.5, "day": "2026-01-01"}),
        json!({"id": 2, "name": null, "price": null, "day": "1969-12-31"}),
        json!({"id": 3, "name": "ü", "price": 3.0, "day": null}),
    ];
    assert_eq!(lake.rows("frame.xml"), expected);
    assert_eq!(
        lake.types("lake.\"frame.xml\""),
        ["id BIGINT", "name TEXT", "price DOUBLE", "day DATE"]
    );
    assert_eq!(lake.rows("latin.xml"), expected);
    assert_eq!(
        lake.ask("SELECT _id, _name FROM lake.\"attributes.xml\" WHERE price > 2"),
        [json!({"_id": 3, "_name": "ü"})]
    );
    lake.table("feed", "nested.xml", "TYPE = XML, ROW_TAG = 'entry'");
    assert_eq!(
        lake.ask("SELECT _id, author, tag FROM feed"),
        [
            json!({"_id": 1, "author": {"name": "A"}, "tag": ["p", "q"]}),
            json!({"_id": 2, "author": {"name": "B"}, "tag": null}),
        ]
    );
}

#[test]
fn workbooks_are_read_by_sheet() {
    let lake = Lake::new();
    lake.python(
        r#"
import datetime, openpyxl, pandas
book = openpyxl.Workbook()
sheet = book.active
sheet.title = "Jan 2026"
sheet.append(["id", "name", "price", "day", "at", "ok", None, "id"])
sheet.append([1, "Zoë", 1.5, datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 3, 4, 5), True, "x", "007"])
sheet.append([None] * 8)
sheet.append([3, "=1+1", None, None, None, False, None, "8"])
other = book.create_sheet("Feb 2026")
other.append(["id", "name", "extra"])
other.append([9007199254740, "b", "e"])
book.create_sheet("Notes").append(["nothing"])
book.save("book.xlsx")
book.save("book.unknown")
pandas.DataFrame({"a": [1, 2, None]}).to_excel("frame.xlsx", index=False)
"#,
    );
    let rows = lake.rows("book.xlsx");
    assert_eq!(
        rows[0],
        json!({"id": 1, "name": "Zoë", "price": 1.5, "day": "2026-01-02", "at": "2026-01-02T03:04:05Z", "ok": true, "column_7": "x", "id_2": "007"})
    );
    assert_eq!((rows.len(), &rows[1]["id"], &rows[2]["id"]), (3, &Value::Null, &json!(3)));
    assert_eq!(
        lake.types("lake.\"book.xlsx\"")[..6],
        ["id BIGINT", "name TEXT", "price DOUBLE", "day DATE", "at TIMESTAMP", "ok BOOLEAN"]
    );
    assert_eq!(lake.rows("book.unknown"), rows);
    assert_eq!(lake.types("lake.\"frame.xlsx\""), ["a BIGINT"]);
    lake.table(
        "months",
        "book.xlsx",
        "TYPE = XLSX, SHEET_SUFFIX = '2026', SHEET_COLUMN = 'sheet', EMPTY_ROWS = SKIP",
    );
    assert_eq!(
        lake.ask("SELECT sheet, id, extra FROM months"),
        [
            json!({"sheet": "Jan 2026", "id": 1, "extra": null}),
            json!({"sheet": "Jan 2026", "id": 3, "extra": null}),
            json!({"sheet": "Feb 2026", "id": 9_007_199_254_740_u64, "extra": "e"}),
        ]
    );
    lake.table("wrong", "book.xlsx", "TYPE = XLSX, SHEET = 'March'");
    let error = lake.refused("SELECT * FROM wrong");
    assert!(error.contains("no sheet `March`") && error.contains("`Feb 2026`"), "{error}");
    lake.table("full", "book.xlsx", "TYPE = XLSX, EMPTY_ROWS = FAIL");
    let error = lake.refused("SELECT * FROM full");
    assert!(error.contains("line 3: sheet `Jan 2026`: the row is empty"), "{error}");
}

#[test]
fn compressions_archives_and_encodings_are_undone() {
    let lake = Lake::new();
    lake.python(
        r#"
import gzip, pyarrow, zipfile
text = "id,name\n" + "".join(f"{i},Zoë {i}\n" for i in range(20000))
data = text.encode()
for codec, name in [("lz4", "lz4"), ("gzip", "gz"), ("zstd", "zst"), ("bz2", "bz2")]:
    with pyarrow.CompressedOutputStream(f"rows.csv.{name}", codec) as out: out.write(data)
open("rows.csv.snappy", "wb").write(pyarrow.compress(data, "snappy", asbytes=True))
open("plain.lz4x", "wb").write(open("rows.csv.lz4", "rb").read())
with zipfile.ZipFile("rows.zip", "w", zipfile.ZIP_DEFLATED) as out:
    out.writestr("a/one.csv", text)
    out.writestr("a/two.csv.gz", gzip.compress(b"id,name\n7,seven\n"))
    out.writestr("read.me", "not a table")
    out.writestr("__MACOSX/._one.csv", b"\x00\x05")
with zipfile.ZipFile("bomb.zip", "w", zipfile.ZIP_DEFLATED) as out:
    with out.open("zeros.csv", "w", force_zip64=True) as member:
        for _ in range(400): member.write(b"0\n" * (1 << 19))
for name in ["utf-16", "utf-16-le", "cp1252", "cp850", "iso-8859-15", "koi8-r"]:
    euro = "Ж" if name == "koi8-r" else "ü"
    open(f"{name}.csv", "wb").write(f"id,name\n1,{euro}\n".encode(name))
open("bad.csv", "wb").write(b"id,name\n1,\xff\xfe\n")
"#,
    );
    let expected = [json!({"n": 20000, "m": "Zoë 9999"})];
    for name in [
        "rows.csv.lz4",
        "rows.csv.gz",
        "rows.csv.zst",
        "rows.csv.bz2",
        "rows.csv.snappy",
        "plain.lz4x",
    ] {
        let found =
            lake.ask(&format!("SELECT count(id) AS n, max(name) AS m FROM lake.\"{name}\""));
        assert_eq!(found, expected, "{name}");
    }
    lake.table("zipped", "rows.zip", "MEMBERS = '**/*.csv*'");
    assert_eq!(
        lake.ask("SELECT count(*) AS n, max(name) AS m FROM zipped"),
        [json!({"n": 20001, "m": "seven"})]
    );
    let error = lake.refused("SELECT count(*) FROM lake.\"rows.zip\"");
    assert!(error.contains("several formats"), "{error}");
    let error = lake.refused("SELECT count(*) FROM lake.\"bomb.zip\"");
    assert!(error.contains("as only bombs do"), "{error}");

    assert_eq!(lake.rows("utf-16.csv"), [json!({"id": 1, "name": "ü"})]);
    for (table, name, encoding, value) in [
        ("le", "utf-16-le", "UTF-16LE", "ü"),
        ("w", "cp1252", "windows-1252", "ü"),
        ("dos", "cp850", "CP850", "ü"),
        ("iso", "iso-8859-15", "ISO-8859-15", "ü"),
        ("koi", "koi8-r", "KOI8-R", "Ж"),
    ] {
        lake.table(table, &format!("{name}.csv"), &format!("TYPE = CSV, ENCODING = '{encoding}'"));
        assert_eq!(lake.ask(&format!("SELECT * FROM {table}")), [json!({"id": 1, "name": value})]);
    }
    let error = lake.refused("SELECT * FROM lake.\"bad.csv\"");
    assert!(error.contains("cannot be read as CSV"), "{error}");
    let error = lake.refused("CREATE FILE TABLE e ON lake LOCATION = 'x.csv' CONTENT_TYPE = (TYPE = CSV, ENCODING = 'latin-9000')");
    assert!(error.contains("unknown ENCODING"), "{error}");
}

#[test]
fn bad_rows_and_files_are_left_out_and_told() {
    let lake = Lake::new();
    lake.python(
        r#"
import gzip
rows = "".join(f"{i},n{i},2026-01-01\n" for i in range(5000))
open("a.csv", "w").write("id,name,day\n" + rows + "x,wrong,2026-01-01\n7,\"two\nlines\",2026-02-30\n8,short\n9,a,2026-01-01,more\n10,good,2026-01-01\n")
open("open.csv", "w").write('id,name,day\n1,"never closed,2026-01-01\n2,b,2026-01-01\n')
packed = gzip.compress(("id,name,day\n" + rows).encode())
open("half.csv.gz", "wb").write(packed[:len(packed) // 2])
open("noise.parquet", "wb").write(b"PAR1 not really PAR1")
open("rows.jsonl", "w").write('{"id": 1}\n{"id": \n{"id": "x"}\n[2]\n{"id": 3}\n')
"#,
    );
    let learnt = "TYPES = ('id BIGINT', 'day DATE')";
    lake.table("skip", "a.csv", &format!("TYPE = CSV, ON_ERROR = SKIP, {learnt}"));
    let found = lake.home.run_with(
        &["-o", "json", "sql", "-c", "-"],
        b"SELECT count(*) AS n, max(id) AS m FROM skip; SELECT * FROM system.read_errors ORDER BY line;",
    );
    let text = found.good();
    let mut answers = text.lines();
    let counted: Value = serde_json::from_str(answers.next().unwrap()).unwrap();
    assert_eq!(counted, json!([{"n": 5001, "m": 4999}]));
    let told: Value = serde_json::from_str(answers.next().unwrap()).unwrap();
    let told: Vec<(&Value, &Value, &str)> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (&row["bad_rows"], &row["line"], row["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!((told[0].0, told[0].1), (&json!(4), &json!(5002)));
    assert!(told[0].2.contains("column `id`: `x` is not BIGINT"), "{told:?}");
    assert_eq!((told[1].1, told[2].1, told[3].1), (&json!(5003), &json!(5005), &json!(5006)));

    lake.table("part", "a.csv", &format!("TYPE = CSV, ON_ERROR = NULL, {learnt}"));
    assert_eq!(
        lake.ask("SELECT * FROM part WHERE id IS NULL OR day IS NULL OR id = 9 ORDER BY name"),
        [
            json!({"id": 9, "name": "a", "day": "2026-01-01"}),
            json!({"id": 9, "name": "n9", "day": "2026-01-01"}),
            json!({"id": 8, "name": "short", "day": null}),
            json!({"id": 7, "name": "two\nlines", "day": null}),
            json!({"id": null, "name": "wrong", "day": "2026-01-01"}),
        ]
    );
    let error = {
        lake.table("fail", "a.csv", &format!("TYPE = CSV, {learnt}"));
        lake.refused("SELECT count(id) FROM fail")
    };
    assert!(error.contains("line 5002"), "{error}");

    lake.table("unclosed", "open.csv", "TYPE = CSV, ON_ERROR = SKIP");
    assert_eq!(
        lake.ask("SELECT * FROM unclosed"),
        [json!({"id": 2, "name": "b", "day": "2026-01-01"})]
    );
    // What comes before the end of a file that breaks off is read.
    lake.table("files", "{a.csv,half.csv.gz}", &format!("TYPE = CSV, ON_ERROR = SKIP, {learnt}"));
    let n = lake.ask("SELECT count(*) AS n FROM files")[0]["n"].as_u64().unwrap();
    assert!((5001 + 500..10001).contains(&n), "{n}");
    lake.table("noise", "noise.parquet", "TYPE = PARQUET");
    assert!(lake.refused("SELECT * FROM noise").contains("cannot be read as Parquet"));

    lake.table("lines", "rows.jsonl", "TYPE = JSONL, ON_ERROR = SKIP, TYPES = ('id BIGINT')");
    assert_eq!(lake.ask("SELECT id FROM lines"), [json!({"id": 1}), json!({"id": 3})]);
    lake.table("lines_null", "rows.jsonl", "TYPE = JSONL, ON_ERROR = NULL, TYPES = ('id BIGINT')");
    assert_eq!(lake.ask("SELECT count(*) AS n, count(id) AS i FROM lines_null")[0]["i"], 2);
}

#[test]
fn nasty_files_are_read_or_refused() {
    let lake = Lake::new();
    lake.python(
        r#"
import json, pyarrow, pyarrow.parquet, fastavro, pyarrow.orc
open("bom.csv", "wb").write(b"\xef\xbb\xbfid,id,\r\n1,2,3\r\n")
open("header.csv", "w").write("id,name\n")
open("empty.json", "w").write("[]")
open("wide.csv", "w").write(",".join(f"c{i}" for i in range(5000)) + "\n" + ",".join(str(i) for i in range(5000)) + "\n")
json.dump([{f"c{i}": i for i in range(5000)}], open("wide.json", "w"))
big = "x" * (10 << 20)
open("big.csv", "w").write(f"id,text\n1,{big}\n2,y\n")
json.dump([{"id": 1, "text": big}, {"id": 2, "text": "y"}], open("big.json", "w"))
open("big.xml", "w").write(f"<r><row><id>1</id><text>{big}</text></row><row><id>2</id><text>y</text></row></r>")
fastavro.writer(open("ints.avro", "wb"), {"type": "record", "name": "r", "fields": [{"name": "n", "type": "int"}]}, [{"n": 1}])
fastavro.writer(open("longs.avro", "wb"), {"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}, {"name": "more", "type": "string"}]}, [{"n": 1 << 40, "more": "m"}])
for i, kind in enumerate([pyarrow.int32(), pyarrow.float64(), pyarrow.string()]):
    pyarrow.orc.write_table(pyarrow.table({"n": pyarrow.array(["7"]).cast(kind) if i < 2 else pyarrow.array(["z"])}), f"widen{i}.orc")
data = open("longs.avro", "rb").read()
open("cut.avro", "wb").write(data[:-9])
open("cut.orc", "wb").write(open("widen0.orc", "rb").read()[:-20])
open("cut.json", "w").write('[{"a": 1}, {"a"')
open("cut.xml", "w").write("<r><row><a>1</a></row><row>")
open("binary.bin", "wb").write(bytes(range(256)) * 10)
"#,
    );
    assert_eq!(lake.rows("bom.csv"), [json!({"id": 1, "id_2": 2, "column_3": 3})]);
    assert_eq!(lake.rows("header.csv"), Vec::<Value>::new());
    assert!(lake.refused("SELECT * FROM lake.\"empty.json\"").contains("empty"));
    for name in ["wide.csv", "wide.json"] {
        assert_eq!(
            lake.ask(&format!("SELECT c0 + c4999 AS s FROM lake.\"{name}\"")),
            [json!({"s": 4999})]
        );
    }
    for name in ["big.csv", "big.json", "big.xml"] {
        let found =
            lake.ask(&format!("SELECT id, length(text) AS l FROM lake.\"{name}\" ORDER BY id"));
        assert_eq!(found, [json!({"id": 1, "l": 10 << 20}), json!({"id": 2, "l": 1})], "{name}");
    }
    assert_eq!(lake.types("lake.\"{ints,longs}.avro\""), ["n BIGINT", "more TEXT"]);
    assert_eq!(
        lake.ask("SELECT * FROM lake.\"{ints,longs}.avro\" ORDER BY n"),
        [json!({"n": 1, "more": null}), json!({"n": 1_u64 << 40, "more": "m"})]
    );
    assert_eq!(lake.types("lake.\"widen[01].orc\""), ["n DOUBLE"]);
    assert_eq!(lake.types("lake.\"widen*.orc\""), ["n TEXT"]);
    let widened = lake.ask("SELECT count(DISTINCT n) AS n FROM lake.\"widen*.orc\"");
    assert!(widened[0]["n"].as_u64().unwrap() >= 2);
    for name in ["cut.avro", "cut.orc", "cut.json", "cut.xml", "binary.bin"] {
        let error = lake.refused(&format!("SELECT * FROM lake.\"{name}\""));
        assert!(error.contains("error[format.invalid]"), "{name}: {error}");
    }
}
