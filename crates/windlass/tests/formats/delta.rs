//! Delta Lake tables in place, written by delta-rs from Python, and logs written by hand for what it
//! does not write: deletion vectors, column mapping. Issue: "Delta Lake tables in place".

use crate::Lake;
use serde_json::json;
use windlass_testkit::TestS3;

/// Versions: 0 two partitions, 1 more rows and a column, 2 rows deleted, 3 one replaced by an update.
const EVENTS: &str = r#"
import pyarrow as pa, datetime, decimal
from deltalake import write_deltalake, DeltaTable
def rows(ids, day, **more):
    n = len(ids)
    columns = {"id": pa.array(ids, pa.int64()), "name": [f"n{i}" for i in ids],
        "price": pa.array([decimal.Decimal("1.50")] * n, pa.decimal128(10, 2)),
        "at": pa.array([datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc)] * n, pa.timestamp("us", "UTC")),
        "day": pa.array([day] * n, pa.string()), **more}
    return pa.table(columns)
write_deltalake("events", rows([1, 2, 3], "2026-01-01 ä/b%20c"), partition_by=["day"])
write_deltalake("events", rows([4, 5], None, tags=[["a"], None]), mode="append", schema_mode="merge")
table = DeltaTable("events")
table.delete("id = 2")
table.update(predicate="id = 5", updates={"name": "'five'"})
"#;

#[test]
fn a_folder_with_a_log_is_what_the_log_says() {
    let lake = Lake::new();
    lake.python(EVENTS);
    // Files that were replaced are still there; a reader of the folder would see them.
    let all = "SELECT count(*) AS n FROM read_parquet('lake', 'events/')";
    assert!(lake.ask(all)[0]["n"].as_i64().unwrap() > 4);
    let columns = "id, name, price, CAST(at AS TEXT) AS at, day, tags";
    let expected = [
        json!({"id": 1, "name": "n1", "price": "1.50", "at": "2026-01-02T03:04:05Z", "day": "2026-01-01 ä/b%20c", "tags": null}),
        json!({"id": 3, "name": "n3", "price": "1.50", "at": "2026-01-02T03:04:05Z", "day": "2026-01-01 ä/b%20c", "tags": null}),
        json!({"id": 4, "name": "n4", "price": "1.50", "at": "2026-01-02T03:04:05Z", "day": null, "tags": ["a"]}),
        json!({"id": 5, "name": "five", "price": "1.50", "at": "2026-01-02T03:04:05Z", "day": null, "tags": null}),
    ];
    for table in
        ["lake.\"events/\"", "read_delta('lake', 'events')", "read_files('lake', 'events/')"]
    {
        assert_eq!(
            lake.ask(&format!("SELECT {columns} FROM {table} ORDER BY id")),
            expected,
            "{table}"
        );
    }
    assert_eq!(
        lake.types("lake.\"events/\""),
        [
            "id BIGINT",
            "name TEXT",
            "price DECIMAL(10, 2)",
            "at TIMESTAMP WITH TIME ZONE",
            "day TEXT",
            "tags TEXT[]"
        ]
    );
    let described = lake.ask("DESCRIBE lake.\"events/\"");
    let note = |name: &str| described.iter().find(|row| row["column_name"] == name).unwrap();
    assert_eq!(note("day")["role"], "partition");
    assert_eq!(note("format")["note"], "Delta Lake, version 3, it has a `_delta_log`");
    assert!(note("files")["note"].as_str().unwrap().starts_with("2 ("), "{described:?}");

    // Filters on partition columns and others; aggregates; joins with other files.
    let ask = |sql: &str| lake.ask(sql);
    let one = ask("SELECT id FROM lake.\"events/\" WHERE day LIKE '2026-01-01%' AND id > 1");
    assert_eq!(one, [json!({"id": 3})]);
    assert_eq!(
        ask("SELECT count(*) AS n FROM lake.\"events/\" WHERE day IS NULL"),
        [json!({"n": 2})]
    );
    lake.put("names.csv", "id,full\n3,three\n5,FIVE\n");
    let joined = ask(
        "SELECT e.id, n.full FROM lake.\"events/\" e JOIN lake.\"names.csv\" n USING (id) ORDER BY 1",
    );
    assert_eq!(joined, [json!({"id": 3, "full": "three"}), json!({"id": 5, "full": "FIVE"})]);
    assert_eq!(ask("PREVIEW lake.\"events/\" LIMIT 3").len(), 3);
    assert_eq!(ask("PROFILE lake.\"events/\" FULL").len(), 6);
    let plan = ask("EXPLAIN SELECT id FROM lake.\"events/\"");
    let listing = plan.iter().find(|row| row["plan_type"] == "listing").unwrap();
    assert_eq!(listing["plan"], "lake.\"events/\": Delta Lake, version=3, files by its log");

    // A scan that the log alone answers keeps to limits too.
    let few = "SELECT day FROM lake.\"events/\" LIMIT 1 OFFSET 1";
    assert_eq!(ask(few).len(), 1);
    assert_eq!(ask("SELECT 1 AS one FROM lake.\"events/\" LIMIT 3").len(), 3);

    // Earlier states.
    let count = |options: &str| {
        let sql = format!(
            "SELECT count(*) AS n, sum(id) AS s FROM read_delta('lake', 'events/', {options})"
        );
        let row = lake.ask(&sql).remove(0);
        (row["n"].as_i64().unwrap(), row["s"].as_i64().unwrap())
    };
    assert_eq!(count("version => 0"), (3, 6));
    assert_eq!(count("version => 1"), (5, 15));
    assert_eq!(count("version => 2"), (4, 13));
    assert_eq!(count("timestamp => '2100-01-01'"), (4, 13));
    lake.sql("CREATE FILE TABLE first ON lake LOCATION = 'events/' CONTENT_TYPE = (TYPE = DELTA, VERSION = 0)");
    assert_eq!(ask("SELECT max(id) AS m FROM first"), [json!({"m": 3})]);
    lake.sql("CREATE FILE TABLE newest ON lake LOCATION = 'events/'");
    assert_eq!(ask("SELECT max(id) AS m FROM newest"), [json!({"m": 5})]);
    lake.sql("CREATE VIEW some AS SELECT id FROM lake.\"events/\" WHERE id < 4");
    assert_eq!(ask("SELECT sum(id) AS s FROM some"), [json!({"s": 4})]);

    // Rows of it can be written elsewhere, but its files are not anybody's to take.
    lake.sql("COPY (SELECT id, name FROM lake.\"events/\") TO 'lake:out.csv'");
    assert_eq!(ask("SELECT count(*) AS n FROM lake.\"out.csv\""), [json!({"n": 4})]);
    let lineage = ask("SHOW LINEAGE OF lake.\"out.csv\"");
    assert!(lineage.iter().any(|row| row.to_string().contains("events")), "{lineage:?}");
    for from in ["lake.\"events/\"", "read_parquet('lake', 'events/')"] {
        let copy = format!("COPY (SELECT id FROM {from}) TO 'lake:o2.csv'");
        let error = lake.refused(&format!("{copy} OPTIONS (AFTER_READ = DELETE)"));
        assert!(error.contains("Delta Lake table"), "{from}: {error}");
    }
    for (to, options) in [
        ("events/", "MODE = ERROR"),
        ("events/", "PARTITIONED_BY = ('day'), MODE = OVERWRITE_PARTITIONS"),
        ("events/new/", "MODE = APPEND"),
        ("events/_delta_log/", "MODE = OVERWRITE"),
        ("events/x.parquet", "MODE = ERROR"),
    ] {
        let copy = format!("COPY (SELECT 1 AS id, 'x' AS day) TO 'lake:{to}'");
        let error = lake.refused(&format!("{copy} OPTIONS (FILE_FORMAT = PARQUET, {options})"));
        assert!(error.contains("holds a Delta Lake table"), "{to} {options}: {error}");
    }
    assert_eq!(ask("SELECT count(*) AS n FROM lake.\"events/\""), [json!({"n": 4})]);
}

#[test]
fn what_is_wrong_with_a_log_is_said() {
    let lake = Lake::new();
    lake.python(EVENTS);
    let refused = |from: &str| lake.refused(&format!("SELECT * FROM {from}"));
    let error = refused("read_delta('lake', 'events/', version => 99)");
    assert!(error.contains("no version 99") && error.contains("hint"), "{error}");
    let error = refused("read_delta('lake', 'events/', timestamp => '2020-01-01')");
    assert!(error.contains("was not there at 2020-01-01"), "{error}");
    let error = refused("read_delta('lake', 'events/', header => true)");
    assert!(error.contains("HEADER has no sense"), "{error}");
    let error = refused("read_delta('lake', 'none/')");
    assert!(error.contains("no Delta Lake table"), "{error}");
    let error = refused("read_delta('lake', 'eve*/')");
    assert!(error.contains("a Delta Lake table is one folder"), "{error}");
    let error = refused("read_files('lake', ['events/', 'events/'])");
    assert!(error.contains("several paths"), "{error}");
    let error = refused("read_parquet('lake', 'events/', version => 1)");
    assert!(error.contains("Delta Lake tables alone"), "{error}");
    let error = refused("read_delta('lake', 'events/', version => 1, timestamp => '2026-01-01')");
    assert!(error.contains("say one of them"), "{error}");
    lake.python("import shutil; shutil.copytree('events', 'both/one'); shutil.copytree('events', 'both/two')");
    let error = refused("lake.\"both/\"");
    assert!(error.contains("has the Delta Lake table `lake:both/one/` in it"), "{error}");
    assert!(!lake.ask("SELECT count(*) AS n FROM read_parquet('lake', 'both/')").is_empty());
    let error = lake.refused("SELECT _file FROM lake.\"events/\"");
    assert!(error.contains("has no _file"), "{error}");
    lake.python(
        r#"
import glob, json, os
last = sorted(glob.glob("events/_delta_log/*.json"))[-1]
number = int(os.path.basename(last)[:20]) + 1
with open(f"events/_delta_log/{number:020}.json", "w") as out:
    out.write(json.dumps({"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["fromTheFuture"], "writerFeatures": ["fromTheFuture"]}}))
"#,
    );
    let error = refused("lake.\"events/\"");
    assert!(error.contains("fromTheFuture"), "{error}");
    // A log decides nothing of what lies outside of its folder.
    lake.python(
        r#"
import glob, json, os, shutil
shutil.copytree("events", "escapes")
outside = os.path.abspath("../outside.parquet")
shutil.copy(glob.glob("events/**/*.parquet", recursive=True)[0], outside)
add = {"add": {"path": "file://" + outside, "partitionValues": {"day": None}, "size": os.path.getsize(outside), "modificationTime": 1, "dataChange": True}}
open("escapes/_delta_log/00000000000000000004.json", "w").write(json.dumps(add))
"#,
    );
    let error = refused("lake.\"escapes/\"");
    assert!(error.contains("names files outside of its folder"), "{error}");
    lake.python("import glob, os; [os.remove(name) for name in glob.glob('both/one/**/*.parquet', recursive=True)]");
    let error = refused("lake.\"both/one/\"");
    assert!(error.contains("is gone, though its table's log has it"), "{error}");
    lake.put("events/_delta_log/00000000000000000004.json", "{\"protocol\":");
    let error = refused("lake.\"events/\"");
    assert!(error.contains("cannot be read as a Delta Lake table"), "{error}");
    assert!(!error.contains("backtrace") && !error.contains("buoyant"), "{error}");
}

#[test]
fn checkpoints_deletion_vectors_and_renamed_columns_are_understood() {
    let lake = Lake::new();
    lake.python(
        r#"
import pyarrow as pa, pyarrow.parquet as pq, json, os, struct
from deltalake import write_deltalake, DeltaTable
# Many versions; the older commits are gone once a checkpoint has them.
for n in range(25):
    write_deltalake("many", pa.table({"n": [n]}), mode="append")
    if n == 20: DeltaTable("many").create_checkpoint()
for n in range(15): os.remove(f"many/_delta_log/{n:020}.json")

def log(table, columns, actions, protocol, configuration={}):
    os.makedirs(f"{table}/_delta_log")
    meta = {"metaData": {"id": table, "format": {"provider": "parquet", "options": {}}, "partitionColumns": [],
        "schemaString": json.dumps({"type": "struct", "fields": columns}), "configuration": configuration}}
    with open(f"{table}/_delta_log/{0:020}.json", "w") as out:
        for action in [{"protocol": protocol}, meta, *actions]: out.write(json.dumps(action) + "\n")

def add(table, name, **more):
    return {"add": {"path": name, "partitionValues": {}, "size": os.path.getsize(f"{table}/{name}"), "modificationTime": 1, "dataChange": True, **more}}

# The 2nd and the 4th of five rows are deleted: a Roaring bitmap in the log, in Z85.
letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
def z85(data):
    data += b"\0" * (-len(data) % 4)
    out = ""
    for (word,) in struct.iter_unpack(">I", data):
        out += "".join(letters[word // 85**at % 85] for at in (4, 3, 2, 1, 0))
    return out
bitmap = struct.pack("<IQI", 1681511377, 1, 0) + struct.pack("<II", 12346, 1) + struct.pack("<HHI", 0, 1, 16) + struct.pack("<HH", 1, 3)
os.makedirs("holes")
pq.write_table(pa.table({"id": [0, 1, 2, 3, 4]}), "holes/a.parquet")
vector = {"storageType": "i", "pathOrInlineDv": z85(bitmap), "sizeInBytes": len(bitmap), "cardinality": 2}
log("holes", [{"name": "id", "type": "long", "nullable": True, "metadata": {}}],
    [add("holes", "a.parquet", deletionVector=vector, stats=json.dumps({"numRecords": 5}))],
    {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["deletionVectors"], "writerFeatures": ["deletionVectors"]},
    {"delta.enableDeletionVectors": "true"})

# A column that was renamed: its files have another name for it.
os.makedirs("renamed")
pq.write_table(pa.table({"col-1": [7, 8]}), "renamed/a.parquet")
log("renamed", [{"name": "total", "type": "long", "nullable": True, "metadata": {"delta.columnMapping.id": 1, "delta.columnMapping.physicalName": "col-1"}}],
    [add("renamed", "a.parquet")], {"minReaderVersion": 2, "minWriterVersion": 5},
    {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "1"})
"#,
    );
    assert_eq!(
        lake.ask("SELECT count(*) AS n, sum(n) AS s FROM lake.\"many/\""),
        [json!({"n": 25, "s": 300})]
    );
    assert_eq!(
        lake.ask("SELECT id FROM lake.\"holes/\" WHERE id > 0 ORDER BY id"),
        [json!({"id": 2}), json!({"id": 4})]
    );
    assert_eq!(lake.ask("SELECT count(*) AS n FROM lake.\"holes/\""), [json!({"n": 3})]);
    let notes = lake.ask("DESCRIBE lake.\"holes/\"");
    assert!(
        notes.iter().any(|row| row["note"] == "rows of 1 files, by deletion vectors"),
        "{notes:?}"
    );
    assert_eq!(
        lake.ask("SELECT sum(total) AS s FROM lake.\"renamed/\" WHERE total > 7"),
        [json!({"s": 8})]
    );
}

/// Two tables whose files have the same names, in S3, in one query; and what a crawl makes of them.
#[tokio::test(flavor = "multi_thread")]
async fn tables_in_s3_are_told_apart_and_catalogued() {
    let lake = Lake::new();
    let s3 = TestS3::start().await;
    s3.state().create_bucket("lake");
    let (id, secret) = s3.admin();
    lake.home.connect("cloud", &s3.endpoint(), &id, &secret, "").good();
    lake.python(
        r#"
import pyarrow as pa, pyarrow.parquet as pq, glob, os, shutil
from deltalake import write_deltalake
write_deltalake("a", pa.table({"id": [1, 2]}))
[file] = glob.glob("a/*.parquet")
size = os.path.getsize(file)
shutil.copytree("a", "damaged")
shutil.copytree("a", "b")
other = file.replace("a/", "b/", 1)
pq.write_table(pa.table({"id": [8, 9]}), other)
shutil.copy(other, file.replace("a/", "damaged/", 1))
log = "b/_delta_log/00000000000000000000.json"
text = open(log).read()
assert f'"size":{size},' in text
open(log, "w").write(text.replace(f'"size":{size},', f'"size":{os.path.getsize(other)},'))
"#,
    );
    lake.home.run(&["cp", "lake:a/", "cloud:lake/a/"]).good();
    lake.home.run(&["cp", "lake:b/", "cloud:lake/b/"]).good();
    let both =
        "SELECT a.id AS x, b.id AS y FROM cloud.\"lake/a/\" a, cloud.\"lake/b/\" b ORDER BY 1, 2";
    let expected: Vec<_> =
        [(1, 8), (1, 9), (2, 8), (2, 9)].map(|(x, y)| json!({"x": x, "y": y})).to_vec();
    assert_eq!(lake.ask(both), expected);
    lake.ask("CRAWL cloud");
    let formats = lake.ask(
        "SELECT name, file_formats FROM system.containers WHERE name IN ('a', 'b') ORDER BY 1",
    );
    assert!(formats.iter().all(|row| row.to_string().contains("delta")), "{formats:?}");
    assert_eq!(lake.ask(both), expected);
    let error = lake.refused("SELECT * FROM lake.\"damaged/\"");
    assert!(error.contains("not the file that the table's log speaks of"), "{error}");
    let error = lake.refused("SELECT * FROM cloud.\"lake/a/\" WHERE nope = 1");
    assert!(error.contains("nope"), "{error}");
    s3.state().remove("lake", "a/_delta_log/00000000000000000000.json");
    let error = lake.refused("SELECT * FROM cloud.\"lake/a/\"");
    assert!(error.contains("no Delta Lake table"), "{error}");
}
