//! Each kind of file, as its own writers write it.

use crate::Lake;
use serde_json::{Value, json};

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

/// P-2.5: a password.
#[test]
fn locked_workbooks_are_opened_with_a_secret() {
    let lake = Lake::new();
    lake.python(
        r#"
import io, msoffcrypto.format.ooxml, openpyxl
book = openpyxl.Workbook()
for n in range(3000): book.active.append(["id", "name"] if n == 0 else [n, f"n{n}"])
plain = io.BytesIO()
book.save(plain)
with open("locked.xlsx", "wb") as out:
    msoffcrypto.format.ooxml.OOXMLFile(plain).encrypt("sesame-canary", out)
data = open("locked.xlsx", "rb").read()
open("cut.xlsx", "wb").write(data[:len(data) // 2])
open("old.xlsx", "wb").write(data[:8] + bytes(4000))
"#,
    );
    let error = lake.refused("SELECT * FROM lake.\"locked.xlsx\"");
    assert!(
        error.contains("protected by a password") && error.contains("PASSWORD_SECRET"),
        "{error}"
    );
    lake.sql("CREATE SECRET book = 'sesame-canary'");
    lake.sql("CREATE SECRET other = 'wrong-canary'");
    let wrong = "CREATE FILE TABLE w ON lake LOCATION = 'locked.xlsx' CONTENT_TYPE = (PASSWORD_SECRET = 'sesame-canary')";
    let error = lake.refused(wrong);
    assert!(error.contains("names no secret") && !error.contains("canary"), "{error}");
    lake.table("months", "locked.xlsx", "TYPE = XLSX, PASSWORD_SECRET = 'book'");
    assert_eq!(
        lake.ask("SELECT count(*) AS n, max(id) AS m FROM months"),
        [json!({"n": 2999, "m": 2999})]
    );
    let from = |path: &str, secret: &str| {
        format!(
            "SELECT count(*) AS n FROM read_xlsx('lake', '{path}', password_secret => '{secret}')"
        )
    };
    assert_eq!(lake.ask(&from("locked.xlsx", "book")), [json!({"n": 2999})]);
    for (path, secret, why) in [
        ("locked.xlsx", "other", "the password does not open it"),
        ("locked.xlsx", "nobody-canary", "PASSWORD_SECRET names no secret"),
        ("cut.xlsx", "book", "the password does not open it"),
        ("old.xlsx", "book", "the password does not open it"),
    ] {
        let error = lake.refused(&from(path, secret));
        assert!(error.contains(why), "{path} {secret}: {error}");
        assert!(!error.contains("canary") && !error.contains("panicked"), "{error}");
    }
}
