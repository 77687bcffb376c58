//! The queries of the guide, run as they stand there, over files such as they speak of.

use crate::Lake;
use windlass_testkit::TestS3;

/// The blocks of SQL of a page.
fn blocks(page: &str) -> Vec<String> {
    let path = format!("{}/../../docs/guide/{page}.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let pieces = text.split("```sql\n").skip(1);
    pieces.map(|piece| piece.split("```").next().unwrap().to_owned()).collect()
}

const FILES: &str = r#"
import os, json, openpyxl, pyarrow as pa, pyarrow.parquet as pq
from deltalake import write_deltalake
def put(name, text, encoding="utf-8"):
    os.makedirs(os.path.dirname("bucket/" + name) or ".", exist_ok=True)
    open("bucket/" + name, "w", encoding=encoding).write(text)
for day in (1, 2): put(f"orders/dt=2026-11-0{day}/a.csv", f"id;amount\n{day};{day}500\n")
put("feed/a.xml", "<feed><entry><id>1</id></entry><entry><id>2</id></entry></feed>")
book = openpyxl.Workbook()
book.active.title = "Jan 2026"
for sheet in (book.active, book.create_sheet("Feb 2026")):
    sheet.append(["id", "name"])
    sheet.append([1, "one"])
os.makedirs("bucket", exist_ok=True)
book.save("bucket/book.xlsx")
put("x.dat", f"{'00001'}{'Zoë':<20}{'   12.50'}\n", "cp850")
put("logs/a.log", "2026-01-01 INFO all is well\nnot a line\n")
put("events.json", json.dumps([{"id": 1, "payload": {"a": [1]}}]))
for n in range(5): write_deltalake("bucket/events", pa.table({"id": [n]}), mode="append")
put("in/a.csv", "id,n\n" + "".join(f"{n},{n}\n" for n in range(3000)) + "x,y,z,too,many\n")
for year in (2025, 2026):
    os.makedirs(f"bucket/{year}")
    pq.write_table(pa.table({"n": [1, 2]}), f"bucket/{year}/a.parquet")
put("prices/a.csv", "id,price\n1,2.5\n")
put("people/a.json", json.dumps([{"id": 1, "name": "Zoë", "born": "1990-01-02"}]))
put("x.csv", "1,2\n3,4\n")
put("sold/a.csv", "id,amount,dt\n1,20,2026-01-01\n")
put("seen/a.csv", "id,at\n1,2026-01-01T01:02:03Z\n")
"#;

async fn place(options: &str) -> (Lake, TestS3) {
    let lake = Lake::new();
    let s3 = TestS3::start().await;
    s3.state().create_bucket("bucket");
    let (id, secret) = s3.admin();
    lake.home.connect("landing", &s3.endpoint(), &id, &secret, options).good();
    lake.python(FILES);
    let to = if options.is_empty() { "landing:bucket/" } else { "landing:" };
    lake.home.run(&["cp", "lake:bucket/", to]).good();
    (lake, s3)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queries_of_the_guide_give_rows() {
    let (lake, _s3) = place("").await;
    for block in blocks("query") {
        lake.home.run_with(&["sql", "-c", "-"], block.as_bytes()).good();
    }
    for table in ["orders", "feed", "months", "bank", "logs", "events", "messy", "prices", "people"]
    {
        assert!(!lake.ask(&format!("SELECT * FROM {table}")).is_empty(), "{table}");
    }
    let bank = lake.ask("SELECT * FROM bank");
    assert_eq!((&bank[0]["name"], &bank[0]["price"]), (&"Zoë".into(), &"12.50".into()));
    let error = lake.refused("SELECT * FROM may");
    assert!(error.contains("was not there at 2026-05-31"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writes_of_the_guide_write() {
    let (lake, s3) = place("BUCKET = 'bucket'").await;
    lake.sql("DROP CONNECTION lake");
    let (id, secret) = s3.admin();
    s3.state().create_bucket("lake");
    lake.home.connect("lake", &s3.endpoint(), &id, &secret, "BUCKET = 'lake'").good();
    s3.state().put("bucket", "orders/a.csv", "id,amount,dt\n1,20,2026-01-01\n");
    for (name, place) in [("orders", "sold"), ("events", "seen")] {
        lake.sql(&format!("CREATE FILE TABLE {name} ON landing LOCATION = '{place}/'"));
    }
    let all = blocks("write").concat();
    let (later, first): (Vec<&str>, Vec<&str>) = all
        .split_inclusive(";\n")
        .partition(|statement| statement.starts_with("INSERT INTO totals"));
    assert!(first.len() >= 5 && later.len() == 1, "{all}");
    for statement in first.into_iter().chain(later).filter(|text| !text.trim().is_empty()) {
        lake.home.run_with(&["sql", "-c", "-"], statement.as_bytes()).good();
    }
    assert_eq!(lake.ask("SELECT count(*) AS n FROM totals")[0]["n"], 2);
    assert_eq!(lake.ask("SELECT count(*) AS n FROM landing.\"big/orders.parquet\"")[0]["n"], 1);
    assert_eq!(lake.ask("SELECT count(*) AS n FROM lake.\"events/\"")[0]["n"], 1);
}
