//! The catalogue as people and programs use it: shown, described, noted, searched, read as tables,
//! followed by lineage.

mod common;

use common::{Home, Server};
use serde_json::{Value, json};
use windlass_catalog::{Column, ContainerKind, Figures, Found, Seen, names};
use windlass_state::{
    ContainerBatch, ContainerPut, ContainerStatus, DEFAULT_FABRIC, HistoryEntry, KeySource,
    SearchTexts, Store, StoredContainer, StoredFigures,
};
use windlass_testkit::TestS3;
use windlass_types::{Name, RunId};

struct Place {
    s3: TestS3,
    home: Home,
}

impl Place {
    /// A service with the buckets `lake` and `mart`, behind the connection `landing`.
    async fn new() -> Self {
        let s3 = TestS3::start().await;
        s3.state().create_bucket("lake");
        s3.state().create_bucket("mart");
        let (id, secret) = s3.admin();
        let home = Home::new();
        home.connect("landing", &s3.endpoint(), &id, &secret, "").good();
        for (day, rows) in [("2024-01-01", "1^9.50\n2^3\n"), ("2024-01-02", "3^7.25\n")] {
            let key = format!("raw/orders/dt={day}/part.txt");
            s3.state().put("lake", &key, format!("id^price\n{rows}"));
        }
        Self { s3, home }
    }

    /// Keeps containers as a crawl through `landing` would.
    async fn keep(&self, found: Vec<Found>) {
        let file = self.home.path().join("home/windlass.db");
        let key = KeySource::own(self.home.path().join("no-key"));
        let store = Store::open(&file.display().to_string(), &key).await.unwrap();
        let fabric = store.fabric(&Name::new(DEFAULT_FABRIC).unwrap()).await.unwrap().id;
        let landing = store.connection(fabric, &Name::new("landing").unwrap()).await.unwrap();
        let now = chrono::Utc::now();
        let service = store
            .catalog_service(fabric, "landing", Some("where files land"), Some(landing.id), now)
            .await
            .unwrap();
        let puts = found.iter().map(put).collect();
        let batch = ContainerBatch { puts, ..ContainerBatch::default() };
        store.keep_containers(service.id, &batch, RunId::new(), now).await.unwrap();
        store.close().await;
    }
}

fn put(found: &Found) -> ContainerPut {
    let above: Vec<&str> =
        std::iter::once("landing").chain(found.parents.iter().map(String::as_str)).collect();
    let bare = Found { columns: None, ..found.clone() };
    let columns = found.columns.as_ref();
    let words = columns.map(|all| all.iter().map(|one| one.name.as_str()).collect::<Vec<_>>());
    ContainerPut {
        found: StoredContainer {
            bucket: found.bucket.clone(),
            path: found.path.clone(),
            kind: json!(found.kind).as_str().unwrap().to_owned(),
            name: found.name.clone(),
            fqn: names::fqn(above.iter().copied().chain([found.name.as_str()])),
            parent_fqn: (!found.parents.is_empty()).then(|| names::fqn(above)),
            full_path: found.full_path.clone(),
            detail: json!(bare).to_string(),
            structure: columns.map(|columns| json!(columns).to_string()),
            fingerprint: found.fingerprint.clone(),
            figures: StoredFigures { size: found.figures.size, ..StoredFigures::default() },
        },
        status: ContainerStatus::Active,
        reason: None,
        changed: true,
        search: Some(SearchTexts {
            name: found.path.clone(),
            columns: words.unwrap_or_default().join("\n"),
            about: String::new(),
        }),
        history: vec![HistoryEntry {
            change: "found".to_owned(),
            column: String::new(),
            old: None,
            new: None,
        }],
        figures: true,
    }
}

fn column(name: &str, kind: &str) -> Column {
    windlass_catalog::types::column(name, kind.split(['(', '<']).next().unwrap(), kind, true)
}

fn found(path: &str, columns: Option<Vec<Column>>) -> Found {
    let bucket = path.is_empty();
    Found {
        bucket: "lake".to_owned(),
        path: path.to_owned(),
        name: if bucket { "lake" } else { path }.to_owned(),
        parents: if bucket { vec![] } else { vec!["lake".to_owned()] },
        kind: if bucket { ContainerKind::Bucket } else { ContainerKind::Dataset },
        prefix: format!("/{path}"),
        full_path: format!("s3://lake/{path}").trim_end_matches('/').to_owned(),
        source_url: "https://console/lake".to_owned(),
        formats: if bucket { vec![] } else { vec!["csv".to_owned()] },
        compression: Vec::new(),
        separator: (!bucket).then(|| "^".to_owned()),
        partitioned: (!bucket).then_some(true),
        columns,
        figures: Figures { size: Some(1234), origin: Some("listing".into()), ..Figures::default() },
        tags: vec![("team".to_owned(), "sales".to_owned())],
        samples: Vec::new(),
        why: vec!["2 files of one format below dt=".to_owned()],
        fingerprint: "1".to_owned(),
        seen: Seen::Yes,
    }
}

/// A bucket, and orders by day with a struct that the files do not have.
fn lake() -> Vec<Found> {
    let day = Column { partition: true, ..column("dt", "DATE") };
    let customer = Column {
        children: vec![column("emailAddress", "TEXT")],
        ..column("customer", "STRUCT<emailAddress TEXT>")
    };
    let columns = vec![day, column("id", "BIGINT"), column("price", "DECIMAL(10,2)"), customer];
    vec![found("", None), found("raw/orders", Some(columns))]
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_are_shown_described_and_noted() {
    let place = Place::new().await;
    place.keep(lake()).await;
    let home = &place.home;
    let rows = home.rows("SHOW CONTAINERS");
    assert_eq!(rows.len(), 2);
    // The contract with other programs: these first, in this order.
    let header = home.run(&["-o", "csv", "sql", "-c", "SHOW CONTAINERS"]).good();
    let contract = "service,fqn,name,parent_fqn,prefix,full_path,source_url,size,object_count,file_formats,is_partitioned,columns,status,reason,";
    assert!(header.starts_with(contract), "{header}");
    let orders = &rows[1];
    assert_eq!(orders["fqn"], "landing.lake.raw/orders");
    assert_eq!((&orders["size"], &orders["object_count"]), (&json!(1234), &Value::Null));
    assert_eq!(orders["file_formats"], "[\"csv\"]");
    let columns: Value = serde_json::from_str(orders["columns"].as_str().unwrap()).unwrap();
    assert_eq!(columns[3]["children"][0]["displayName"], "emailAddress");
    assert_eq!(columns[2]["dataTypeDisplay"], "DECIMAL(10,2)");

    let alter = "ALTER CONTAINER 'landing:lake/raw/orders/'";
    home.sql(&format!(
        "{alter} SET DESCRIPTION = 'one row an order' OWNERS = ('ann', 'bob') TAGS = ('gold')"
    ))
    .good();
    home.sql(&format!("{alter} COLUMN 'customer.emailAddress' SET DESCRIPTION = 'private'")).good();
    home.sql("ALTER CONTAINER 's3://lake/raw/orders' RESET TAGS").good();
    let row = &home
        .rows("SELECT description, owners, tags FROM system.containers WHERE path = 'raw/orders'")
        [0];
    assert_eq!(
        *row,
        json!({"description": "one row an order", "owners": "[\"ann\",\"bob\"]", "tags": "[\"team=sales\"]"})
    );
    let note = &home
        .rows("SELECT \"column\", description FROM system.columns WHERE description IS NOT NULL")
        [0];
    assert_eq!(*note, json!({"column": "customer.emailAddress", "description": "private"}));
    let told = home.run(&["sql", "-c", "DESCRIBE CONTAINER 'landing.lake.raw/orders'"]).good();
    for text in ["one row an order", "from the path", "private", "2 files of one format", "1.2"] {
        assert!(told.contains(text), "{text}: {told}");
    }
    let wrong =
        home.sql(&format!("{alter} COLUMN 'customer.email' SET DESCRIPTION = 'x'")).refused(1);
    assert!(
        wrong.contains("container.not_found") && wrong.contains("customer.emailAddress"),
        "{wrong}"
    );
    let wrong = home.sql("DESCRIBE CONTAINER 'landing:lake/nowhere'").refused(1);
    assert!(wrong.contains("the catalogue has no"), "{wrong}");
    let history = home.rows("SELECT change, size FROM system.container_history WHERE fqn = 'landing.lake.raw/orders' ORDER BY change");
    assert_eq!(
        history,
        [json!({"change": "figures", "size": 1234}), json!({"change": "found", "size": null})]
    );

    // It can be taken elsewhere as files.
    for name in ["containers.parquet", "containers.jsonl"] {
        home.sql(&format!("COPY (SELECT * FROM system.containers) TO 'landing:mart/{name}'"))
            .good();
        let back = home
            .rows(&format!("SELECT count(*) AS n, max(size) AS size FROM landing.\"mart/{name}\""));
        assert_eq!(back, [json!({"n": 2, "size": 1234})], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_find_containers() {
    let place = Place::new().await;
    place.keep(lake()).await;
    let home = &place.home;
    home.sql(
        "ALTER CONTAINER 'landing.lake' SET DESCRIPTION = 'everything that lands, invoices too'",
    )
    .good();
    let found = |question: &str| -> Vec<Value> {
        home.rows(&format!("SEARCH '{question}'"))
            .into_iter()
            .map(|row| json!([row["fqn"], row["matches"]]))
            .collect()
    };
    assert_eq!(found("order"), [json!(["landing.lake.raw/orders", null])]);
    assert_eq!(found("pri orders"), [json!(["landing.lake.raw/orders", "price"])]);
    assert_eq!(found("invoice"), [json!(["landing.lake", null])]);
    assert!(found("price invoice").is_empty());
    assert!(found("%").is_empty());
    assert_eq!(home.rows("SEARCH 'lake' LIMIT 0").len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_is_read_as_it_is_catalogued() {
    let place = Place::new().await;
    let home = &place.home;
    let query = "SELECT id, price, dt FROM landing.\"lake/raw/orders/\" ORDER BY id";
    // Nobody knows what `part.txt` holds.
    home.sql(query).refused(1);
    place.keep(lake()).await;
    let rows = home.rows(query);
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0], json!({"id": 1, "price": "9.50", "dt": "2024-01-01"}));
    let told = home.rows("DESCRIBE landing.\"lake/raw/orders/\"");
    let price = told.iter().find(|row| row["column_name"] == "price").unwrap();
    assert_eq!(price["data_type"], "DECIMAL(10, 2)");
    assert_eq!(price["note"], "as catalogued: landing.lake.raw/orders");
    // Only exactly there: a path within it is what it is.
    home.sql("SELECT id FROM landing.\"lake/raw/orders/dt=2024-01-01/\"").refused(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_leave_lineage() {
    let place = Place::new().await;
    place.keep(lake()).await;
    let home = &place.home;
    home.sql("COPY FILES FROM landing LOCATION = 'lake/raw/' TO landing LOCATION = 'lake/copy/'")
        .good();
    home.sql(
        "COPY (SELECT o.id AS number, o.price * 2 AS twice, o.dt FROM landing.\"lake/raw/orders/\" o) TO 'landing:mart/orders/' OPTIONS (FILE_FORMAT = PARQUET)",
    )
    .good();
    home.sql("CREATE VIEW late AS SELECT number, twice FROM landing.\"mart/orders/\" WHERE dt > '2024-01-01'").good();
    home.sql("CREATE FILE TABLE totals ON landing LOCATION = 's3://mart/totals/' AS SELECT sum(twice) AS total FROM late").good();
    home.sql("INSERT INTO totals SELECT total FROM totals").good();
    // A dry run and a copy of nothing say nothing.
    home.sql("COPY FILES FROM landing LOCATION = 'lake/raw/' TO landing LOCATION = 'mart/dry/' DRY_RUN = TRUE").good();

    let shown = |sql: &str| -> Vec<String> {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        home.rows(sql)
            .iter()
            .map(|row| {
                format!(
                    "{} | {} | {}",
                    text(&row["lineage"]),
                    text(&row["kind"]),
                    text(&row["columns"])
                )
            })
            .collect()
    };
    assert_eq!(
        shown("SHOW LINEAGE OF 'landing:mart/totals'"),
        [
            "landing:mart/totals | - | -",
            "  <- landing:mart/orders | write | twice -> total",
            "    <- landing:lake/raw/orders | write | dt -> dt, id -> number, price -> twice",
        ]
    );
    assert_eq!(
        shown("SHOW LINEAGE OF 'landing.lake.raw/orders' DOWNSTREAM DEPTH 1"),
        [
            "landing:lake/raw/orders | - | -",
            "  -> landing:mart/orders | write | dt -> dt, id -> number, price -> twice",
            "  -> landing:lake/copy | copy | -",
        ]
    );
    assert!(shown("SHOW LINEAGE OF 's3://mart/dry'").len() <= 1);
    let dot = &home.rows("SHOW LINEAGE OF 'landing:mart/totals' UPSTREAM AS DOT")[0]["dot"];
    let dot = dot.as_str().unwrap();
    assert!(dot.starts_with("digraph lineage {") && dot.contains("\"landing:mart/orders\" -> \"landing:mart/totals\" [label=\"write\\ntwice -> total\"];"), "{dot}");

    let events = home.rows("SHOW LINEAGE OF 'landing:mart/orders' UPSTREAM AS OPENLINEAGE");
    assert_eq!(events.len(), 1);
    let event: Value = serde_json::from_str(events[0]["event"].as_str().unwrap()).unwrap();
    for field in ["eventTime", "producer", "schemaURL"] {
        assert!(event[field].is_string(), "{event}");
    }
    assert_eq!(event["eventType"], "COMPLETE");
    assert_eq!(event["run"]["runId"].as_str().unwrap().len(), 36);
    assert_eq!(event["inputs"], json!([{"namespace": "s3://lake", "name": "raw/orders"}]));
    let output = &event["outputs"][0];
    assert_eq!((&output["namespace"], &output["name"]), (&json!("s3://mart"), &json!("orders")));
    assert_eq!(
        output["facets"]["columnLineage"]["fields"]["twice"]["inputFields"],
        json!([{"namespace": "s3://lake", "name": "raw/orders", "field": "price"}])
    );
    let wrong = home.sql("SHOW LINEAGE OF 'nothing'").refused(1);
    assert!(wrong.contains("container.not_found"), "{wrong}");
    drop(place);
}

#[tokio::test(flavor = "multi_thread")]
async fn other_programs_read_the_catalogue_a_page_at_a_time() {
    let place = Place::new().await;
    let mut all = lake();
    all.extend((0..5).map(|number| found(&format!("t{number}"), Some(vec![column("a", "TEXT")]))));
    place.keep(all).await;
    place
        .home
        .sql("COPY FILES FROM landing LOCATION = 'lake/raw/' TO landing LOCATION = 'mart/raw/'")
        .good();
    let server = Server::start(&place.home);
    let http = reqwest::Client::new();
    let get = async |path: &str| -> (u16, Value) {
        let answer = http.get(format!("{}/api/v1/{path}", server.url)).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    };
    let (mut names, mut after) = (Vec::new(), String::new());
    loop {
        let (status, page) = get(&format!("containers?limit=3{after}")).await;
        assert_eq!(status, 200, "{page}");
        let found = page["containers"].as_array().unwrap();
        names.extend(found.iter().map(|one| one["fqn"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={}", next.replace('/', "%2F"));
    }
    assert_eq!(names.len(), 7);
    assert!(names.is_sorted());
    let (_, page) = get("containers?parent=landing.lake&status=active&service=landing").await;
    assert_eq!(page["containers"].as_array().unwrap().len(), 6);
    assert_eq!(page["next"], Value::Null);
    let (_, one) = get("containers/landing.lake.raw%2Forders").await;
    assert_eq!(one["columns"][1]["name"], "id");
    assert_eq!(one["column_details"][4]["column"], "customer.emailAddress");
    assert_eq!(one["history"].as_array().unwrap().len(), 2);
    assert_eq!(one["tags"], json!(["team=sales"]));
    let (_, hits) = get("search?q=order%20price").await;
    assert_eq!(hits["hits"][0]["container"]["fqn"], "landing.lake.raw/orders");
    assert_eq!(hits["hits"][0]["matches"], json!(["price"]));
    let (_, lineage) = get("lineage/landing:mart%2Fraw?direction=upstream").await;
    assert_eq!(lineage["steps"][0]["from"]["place"], "landing:lake/raw");
    let (_, events) = get("lineage/landing:mart%2Fraw?format=openlineage").await;
    assert_eq!(events[0]["inputs"][0]["name"], "raw");
    for (path, status, code) in [
        ("containers/nowhere", 404, "container.not_found"),
        ("containers?status=old", 400, "usage.invalid"),
        ("containers?after=x", 400, "usage.invalid"),
        ("lineage/landing:lake?direction=sideways", 400, "usage.invalid"),
        ("search?query=x", 400, "usage.invalid"),
    ] {
        let (got, body) = get(path).await;
        assert_eq!((got, body["error"]["code"].as_str().unwrap()), (status, code), "{path}");
    }
    drop(place.s3);
}
