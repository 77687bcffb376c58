//! What comes around and between the rows: compression, archives, encodings, bad rows, bad files.

use crate::Lake;
use serde_json::{Value, json};

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
import gzip, pyarrow, pyarrow.parquet
rows = "".join(f"{i},n{i},2026-01-01\n" for i in range(5000))
open("a.csv", "w").write("id,name,day\n" + rows + "x,wrong,2026-01-01\n7,\"two\nlines\",2026-02-30\n8,short\n9,a,2026-01-01,more\n10,good,2026-01-01\n")
open("open.csv", "w").write('id,name,day\n1,"never closed,2026-01-01\n2,b,2026-01-01\n')
packed = gzip.compress(("id,name,day\n" + rows).encode())
open("half.csv.gz", "wb").write(packed[:len(packed) // 2])
open("noise.parquet", "wb").write(b"PAR1 not really PAR1")
pyarrow.parquet.write_table(pyarrow.table({"id": list(range(1000))}), "nothing.parquet")
nothing = bytearray(open("nothing.parquet", "rb").read())
nothing[-48:-8] = bytes([255]) * 40
open("nothing.parquet", "wb").write(nothing)
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
    for name in ["noise", "nothing"] {
        lake.table(name, &format!("{name}.parquet"), "TYPE = PARQUET");
        let error = lake.refused(&format!("SELECT * FROM {name}"));
        assert!(error.contains("cannot be read as Parquet"), "{error}");
        assert!(!error.contains("panicked"), "{error}");
    }

    lake.table("lines", "rows.jsonl", "TYPE = JSONL, ON_ERROR = SKIP, TYPES = ('id BIGINT')");
    assert_eq!(lake.ask("SELECT id FROM lines"), [json!({"id": 1}), json!({"id": 3})]);
    lake.table("lines_null", "rows.jsonl", "TYPE = JSONL, ON_ERROR = NULL, TYPES = ('id BIGINT')");
    assert_eq!(lake.ask("SELECT count(*) AS n, count(id) AS i FROM lines_null")[0]["i"], 2);
}

#[test]
fn what_comes_before_a_break_is_read() {
    let lake = Lake::new();
    lake.python(
        r#"
import gzip, json, os
for folder in ["arrays", "xml", "regex"]: os.mkdir(folder)
def cut(name, text):
    packed = gzip.compress(text.encode())
    open(name, "wb").write(packed[:len(packed) // 2])
count = range(1, 30001)
cut("rows.jsonl.gz", "".join(f'{{"id": {i}, "name": "n{i}"}}\n' for i in count))
cut("app.log.gz", "".join(f"{i} n{i}\n" for i in count))
cut("bank.txt.gz", "".join(f"{i:06} n{i:06}\n" for i in count))
open("regex/a.txt", "w").write("1 n1\n")
cut("regex/b.txt.gz", "".join(f"{i} n{i}\n" for i in count))
open("arrays/a.json", "w").write('[{"id": 1, "name": "n1"}]')
open("arrays/b.json", "w").write("[" + ",\n".join(f'{{"id": {i}, "name": "n{i}"}}' for i in count)[:-3])
open("xml/a.xml", "w").write("<o><r><id>1</id><name>n1</name></r></o>")
open("xml/b.xml", "w").write("<o>" + "\n".join(f"<r><id>{i}</id><name>n{i}</name></r>" for i in count)[:-3])
"#,
    );
    let columns = "COLUMNS = ('id BIGINT 0 6', 'name TEXT 7 7')";
    let pattern = r"PATTERN = '^(?P<id>\d+) (?P<name>\w+)$'";
    for (name, path, options) in [
        ("jsonl", "rows.jsonl.gz", "TYPE = JSONL, INFER = FULL".to_owned()),
        ("log", "app.log.gz", "TYPE = LINES".to_owned()),
        ("fixed", "bank.txt.gz", format!("TYPE = FIXED_WIDTH, {columns}")),
        ("regex", "regex/", format!("TYPE = REGEX, {pattern}, SAMPLE_FILES = 1")),
        ("arrays", "arrays/", "TYPE = JSON, SAMPLE_FILES = 1".to_owned()),
        ("xml", "xml/", "TYPE = XML, SAMPLE_FILES = 1".to_owned()),
    ] {
        for rule in ["SKIP", "NULL"] {
            let table = format!("{name}_{rule}").to_lowercase();
            lake.table(&table, path, &format!("{options}, ON_ERROR = {rule}"));
            let found = lake.home.run_with(
                &["-o", "json", "sql", "-c", "-"],
                format!("SELECT count(*) AS n FROM {table}; SELECT bad_rows, line FROM system.read_errors;")
                    .as_bytes(),
            );
            let text = found.good();
            let answers: Vec<Value> =
                text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let n = answers[0][0]["n"].as_u64().unwrap();
            let expected = if path.ends_with('/') && name != "regex" {
                // All rows but the one that is cut, and that of the whole file.
                30_000..30_001
            } else {
                2000..29_000
            };
            assert!(expected.contains(&n), "{table}: {n}");
            assert_eq!(answers[1], json!([{"bad_rows": 1, "line": null}]), "{table}");
        }
        let table = format!("{name}_fail");
        lake.table(&table, path, &format!("{options}, ON_ERROR = FAIL"));
        let error = lake.refused(&format!(
            "SELECT count(*) AS n, max({}) FROM {table}",
            if name == "log" { "line" } else { "id" }
        ));
        assert!(error.contains("error[format.invalid]"), "{table}: {error}");
    }
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
import gzip
open("cut.csv.gz", "wb").write(gzip.compress(b"id\n" + b"".join(b"%d\n" % n for n in range(50000)))[:-2000])
pyarrow.parquet.write_table(pyarrow.table({"n": list(range(100000))}), "whole.parquet")
data = open("whole.parquet", "rb").read()
open("cut.parquet", "wb").write(data[:len(data) // 2])
open("middle.parquet", "wb").write(data[:1000] + data[2000:])
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
    for name in [
        "cut.avro",
        "cut.orc",
        "cut.json",
        "cut.xml",
        "cut.csv.gz",
        "cut.parquet",
        "middle.parquet",
        "binary.bin",
    ] {
        let error = lake.refused(&format!("SELECT * FROM lake.\"{name}\""));
        assert!(error.contains("error[format.invalid]"), "{name}: {error}");
    }
}

#[test]
fn files_that_duckdb_writes_are_read() {
    let lake = Lake::new();
    lake.python(
        r#"
import duckdb
rows = """SELECT i AS id, 'n,' || i || ' "q"' AS name, DATE '1969-12-30' + i::INTEGER AS day, i / 4 AS ratio,
    CASE WHEN i % 2 = 0 THEN NULL ELSE i * 10 END AS some, (i * 1.25)::DECIMAL(10, 2) AS price FROM range(4) t(i)"""
for name, options in [("d.csv", "HEADER"), ("d.tsv", "HEADER, DELIMITER '\t'"), ("d.csv.gz", "HEADER, COMPRESSION gzip"),
        ("d.parquet", "COMPRESSION zstd"), ("d.jsonl", "FORMAT json"), ("d.json", "FORMAT json, ARRAY true")]:
    duckdb.sql(f"COPY ({rows}) TO '{name}' ({options})")
duckdb.sql(f"COPY (SELECT *, id % 2 AS part FROM ({rows})) TO 'parts' (FORMAT parquet, PARTITION_BY (part))")
"#,
    );
    let columns = "id, name, CAST(day AS TEXT) AS day, ratio, some, CAST(price AS DOUBLE) AS price";
    let expected = [
        json!({"id": 0, "name": "n,0 \"q\"", "day": "1969-12-30", "ratio": 0.0, "some": null, "price": 0.0}),
        json!({"id": 1, "name": "n,1 \"q\"", "day": "1969-12-31", "ratio": 0.25, "some": 10, "price": 1.25}),
        json!({"id": 2, "name": "n,2 \"q\"", "day": "1970-01-01", "ratio": 0.5, "some": null, "price": 2.5}),
        json!({"id": 3, "name": "n,3 \"q\"", "day": "1970-01-02", "ratio": 0.75, "some": 30, "price": 3.75}),
    ];
    for name in ["d.csv", "d.tsv", "d.csv.gz", "d.parquet", "d.jsonl", "d.json", "parts/"] {
        let sql = format!("SELECT {columns} FROM lake.\"{name}\" ORDER BY id");
        assert_eq!(lake.ask(&sql), expected, "{name}");
    }
    assert_eq!(
        lake.ask("SELECT part, count(*) AS n FROM lake.\"parts/\" GROUP BY part ORDER BY part"),
        [json!({"part": 0, "n": 2}), json!({"part": 1, "n": 2})]
    );
}

#[test]
fn objects_in_columns_of_text_are_their_text_in_lines_of_json_too() {
    let lake = Lake::new();
    lake.put("mixed.jsonl", "{\"p\":1}\n{\"p\":[2]}\n{\"p\":{\"a\":3}}\n");
    let texts = |rows: Vec<Value>| -> Vec<String> {
        rows.iter().map(|row| row["p"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(texts(lake.rows("mixed.jsonl")), ["1", "[2]", "{\"a\":3}"]);
    lake.put("objects.jsonl", "{\"p\":{\"a\":3}}\n{\"p\":{\"b\":4}}\n");
    let declared =
        lake.home.rows("SELECT p FROM read_json('lake', 'objects.jsonl', types => ['p TEXT'])");
    assert_eq!(texts(declared), ["{\"a\":3}", "{\"b\":4}"]);
    lake.put("apart/1.jsonl", "{\"p\":\"x\"}\n");
    lake.put("apart/2.jsonl", "{\"p\":[1]}\n");
    assert_eq!(texts(lake.home.rows("SELECT p FROM lake.\"apart/\" ORDER BY _file")), ["x", "[1]"]);
}

#[test]
fn zeros_before_the_values_of_folders_are_kept() {
    let lake = Lake::new();
    for (zip, n) in [("01234", 1), ("1234", 2), ("007", 3)] {
        lake.put(&format!("part/zip={zip}/f.csv"), format!("v\n{n}\n"));
    }
    let rows = lake.home.rows("SELECT zip, v FROM lake.\"part/\" WHERE zip = '01234'");
    assert_eq!(rows, [serde_json::json!({"zip": "01234", "v": 1})]);
}

#[test]
fn a_sample_that_would_be_no_sample_is_refused() {
    let lake = Lake::new();
    lake.put("t.csv", "a\n1\n2\n");
    for table in ["lake.\"t.csv\"", "(SELECT 1) AS t"] {
        let refused = lake
            .home
            .sql(&format!("SELECT count(*) FROM {table} TABLESAMPLE BERNOULLI (10)"))
            .refused(1);
        assert!(refused.contains("TABLESAMPLE is not possible here"), "{refused}");
    }
}

#[test]
fn files_that_must_not_differ_are_refused_every_time() {
    let lake = Lake::new();
    lake.put("t/1.csv", "a\n1\n");
    lake.put("t/2.csv", "a\nx\n");
    lake.sql("CREATE FILE TABLE t ON lake LOCATION = 't/' ON_SCHEMA_CHANGE = FAIL");
    for _ in 0..2 {
        let refused = lake.home.sql("SELECT count(*) FROM t").refused(1);
        assert!(refused.contains("TEXT in `2.csv`"), "{refused}");
    }
}

#[test]
fn what_is_left_out_is_said_counted_and_numbered() {
    let lake = Lake::new();
    lake.put("in/a.csv", "id,n\n1,a\nx,b\ny,c\n4,d\n");
    lake.put("in/b.csv", "id,n\nz,e\n6,f\n");
    let from = "FROM read_csv('lake', 'in/', on_error => 'SKIP', types => ['id BIGINT'])";
    let said = "warning: 3 rows of 2 files were left out; see system.read_errors; first `";
    let found = lake.home.sql(&format!("SELECT id, _row_number AS at {from} ORDER BY id"));
    assert!(found.stderr.contains(said), "{found:?}");
    assert_eq!(
        lake.ask(&format!("SELECT id, _row_number AS at {from} ORDER BY id")),
        [json!({"id": 1, "at": 1}), json!({"id": 4, "at": 4}), json!({"id": 6, "at": 2})]
    );
    let copied = lake.home.sql(&format!("COPY (SELECT * {from}) TO 'lake:out.csv'"));
    assert!(copied.stderr.contains(said), "{copied:?}");
    assert_eq!(copied.code, 0);
    assert_eq!(lake.ask("SELECT skipped FROM system.runs"), [json!({"skipped": 3})]);
    let clean = lake.home.sql("SELECT * FROM lake.\"out.csv\"");
    assert!(!clean.stderr.contains("warning"), "{clean:?}");
}

#[test]
fn options_of_another_format_are_refused_with_those_it_takes() {
    let lake = Lake::new();
    for (options, said) in [
        ("TYPE = CSV, DECIMAL_POINT = ','", "DECIMAL_POINT has no sense for TYPE = CSV"),
        ("TYPE = PARQUET, HEADER = TRUE", "HEADER has no sense for TYPE = PARQUET"),
        ("SHEET_PREFIX = 'a', SHEET_SUFFIX = 'b'", "SHEET_PREFIX and SHEET_SUFFIX each say"),
    ] {
        let sql = format!("CREATE FILE TABLE t ON lake LOCATION = 'x/' CONTENT_TYPE = ({options})");
        let error = lake.refused(&sql);
        assert!(error.contains("error[option.invalid]") && error.contains(said), "{error}");
    }
}

#[test]
fn what_was_detected_is_described_of_calls_too() {
    let lake = Lake::new();
    lake.put("in/a.csv", "1;2026-01-01\n2;2026-01-02\n");
    lake.python("import openpyxl; b = openpyxl.Workbook(); b.active.title = 'May'; b.active.append(['id']); b.active.append([1]); b.save('b.xlsx')");
    let described = |of: &str| -> Vec<String> {
        let rows = lake.ask(&format!("DESCRIBE {of}"));
        rows.iter().map(|row| format!("{} {}", row["column_name"], row["note"])).collect()
    };
    let csv = described("read_csv('lake', 'in/a.csv')").join("\n");
    for note in ["\"column_2\"", "\"delimiter\" \"`;`\"", "\"header\" \"none: the first record"] {
        assert!(csv.contains(note), "{note}: {csv}");
    }
    let book = described("lake.\"b.xlsx\"").join("\n");
    assert!(book.contains("\"sheets\" \"`May`\""), "{book}");
}
