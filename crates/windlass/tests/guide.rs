//! The statements of the guide, run as they stand there (those of queries and writes: `formats/guide.rs`).
//! What is outside of this machine has a stand-in, or its connection is made without being tried.

mod common;
#[allow(dead_code, unreachable_pub, reason = "not all of it is used here")]
#[path = "../../windlass-catalog/tests/publish/stand_in.rs"]
mod stand_in;

use common::Home;
use std::path::Path;
use windlass_testkit::{TestGcs, TestS3};

/// The statements of a page's blocks of SQL.
fn statements(page: &str) -> Vec<String> {
    let path = format!("{}/../../docs/guide/{page}.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let blocks = text.split("```sql\n").skip(1).map(|piece| piece.split("```").next().unwrap());
    let mut all = Vec::new();
    for block in blocks {
        let (mut statement, mut quoted) = (String::new(), false);
        for line in block.lines() {
            let said = line.split(" -- ").next().unwrap().trim_end();
            for c in said.chars() {
                quoted ^= c == '\'';
                if c == ';' && !quoted {
                    all.push(std::mem::take(&mut statement).trim().to_owned());
                } else {
                    statement.push(c);
                }
            }
            statement.push('\n');
        }
        assert_eq!(statement.trim(), "", "{page}: a statement has no end");
    }
    assert!(!all.is_empty(), "{page}");
    all
}

/// The same without a trial of a connection to what is not here.
fn untried(statement: &str) -> String {
    let outside = statement.starts_with("CREATE")
        && statement.contains(" CONNECTION ")
        && !statement.contains("LOCAL CONNECTION")
        && !statement.contains("SKIP_VALIDATION");
    if outside { format!("{statement} SKIP_VALIDATION = TRUE") } else { statement.to_owned() }
}

/// A service with the bucket, behind the connection `landing`.
async fn landing(bucket: &str, keys: &[(&str, &str)]) -> (Home, TestS3) {
    let (home, s3) = (Home::new(), TestS3::start().await);
    s3.state().create_bucket(bucket);
    for (key, text) in keys {
        s3.state().put(bucket, key, (*text).to_owned());
    }
    let (id, secret) = s3.admin();
    home.connect("landing", &s3.endpoint(), &id, &secret, "").good();
    (home, s3)
}

fn folder(home: &Home, name: &str) -> String {
    let folder = home.scratch(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder.display().to_string()
}

/// A folder for what the guide has in `/run/secrets`.
fn secrets(home: &mut Home, files: &[&str]) -> String {
    let folder = folder(home, "secrets");
    for file in files {
        std::fs::write(Path::new(&folder).join(file), "secret").unwrap();
    }
    for variable in ["ACMESTORE_KEY", "STORE_SECRET_KEY"] {
        home.set(variable, "c2VjcmV0");
    }
    format!("{folder}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_connections_of_the_guide_are_made() {
    let (mut home, s3) = (Home::new(), TestS3::start().await);
    s3.state().create_bucket("lake");
    let (id, secret) = s3.admin();
    let secrets = secrets(&mut home, &[]);
    let account = TestGcs::start().await.service_account().replace("http://", "https://");
    let key: serde_json::Value = serde_json::from_str(&account).unwrap();
    std::fs::write(Path::new(&secrets).join("partner_key"), key["private_key"].as_str().unwrap())
        .unwrap();
    std::fs::write(Path::new(&secrets).join("models.json"), account).unwrap();
    let data = folder(&home, "data");
    for name in ["store_key", "press_password", "share_password"] {
        home.sql(&format!("CREATE SECRET {name} = 'x'")).good();
    }
    let host_key = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";
    let mut here = false;
    for statement in statements("connections") {
        // From here on it is tried.
        if statement.starts_with("ALTER") && !std::mem::replace(&mut here, true) {
            home.sql(&format!(
                "ALTER S3 CONNECTION landing SET ENDPOINT = '{}' SET ALLOW_HTTP = TRUE SET AWS_ACCESS_KEY_ID = '{id}' SET AWS_SECRET_ACCESS_KEY = '{secret}' SET BUCKET = 'lake'",
                s3.endpoint()
            ))
            .good();
        }
        let statement = statement
            .replace("AAAA…", host_key)
            .replace("/run/secrets/", &secrets)
            .replace("'/data'", &format!("'{data}'"));
        home.sql(&untried(&statement)).good();
    }
    let names = home.rows("SHOW CONNECTIONS");
    let names: Vec<&str> = names.iter().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(
        names,
        ["archive", "disk", "models", "open_data", "partner", "press", "s3", "share", "store"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_secrets_of_the_guide_are_kept() {
    let mut home = Home::new();
    let secrets = secrets(&mut home, &["other"]);
    for statement in statements("secrets") {
        home.sql(&statement.replace("/run/secrets/", &secrets)).good();
    }
    assert_eq!(home.rows("SHOW SECRETS").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statements_for_clients_give_rows() {
    let key = "orders/day=2026-01-01/a.csv";
    let (home, _s3) = landing("bucket", &[(key, "id,n\n1,2\n3,4\n")]).await;
    for statement in statements("clients") {
        // What a session sets goes with it.
        let rows = home.rows(&statement);
        if statement.starts_with("SELECT day") {
            assert_eq!(rows[0]["count(*)"], 2, "{rows:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_the_guide_go_where_it_says() {
    let keys = [("orders/a.csv", "1"), ("orders/b.txt", "2"), ("new/c", "3")];
    let (home, s3) = landing("acme-landing", &keys).await;
    let disk = folder(&home, "disk");
    s3.state().create_bucket("www");
    let (id, secret) = s3.admin();
    home.connect("www", &s3.endpoint(), &id, &secret, "BUCKET = 'www'").good();
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{disk}'")).good();
    // The guide's connection is one to the bucket, where it names no bucket.
    home.sql("ALTER S3 CONNECTION landing SET BUCKET = 'acme-landing'").good();
    std::fs::create_dir_all(Path::new(&disk).join("site")).unwrap();
    std::fs::write(Path::new(&disk).join("site/index.html"), "hello").unwrap();
    s3.state().put("www", "old.html", "gone soon");
    for statement in statements("files") {
        home.sql(&statement).good();
    }
    assert_eq!(std::fs::read_to_string(Path::new(&disk).join("orders/a.csv")).unwrap(), "1");
    assert!(!Path::new(&disk).join("orders/b.txt").exists());
    assert_eq!(s3.state().keys("acme-landing"), ["done/c", "orders/a.csv", "orders/b.txt"]);
    assert_eq!(s3.state().keys("www"), ["index.html"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_of_the_guide_are_made_run_and_dropped() {
    let (mut home, s3) = landing("acme-landing", &[("orders/a.csv", "1")]).await;
    home.sql("ALTER S3 CONNECTION landing SET BUCKET = 'acme-landing'").good();
    let disk = folder(&home, "disk");
    home.set("WINDLASS_SMTP_URL", "smtp://127.0.0.1:9");
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{disk}'")).good();
    for statement in statements("jobs") {
        if statement.starts_with("CANCEL RUN") {
            // The run of the guide is over; so is this one.
            let runs = home.rows("SHOW RUNS");
            let id = runs[0]["id"].as_str().unwrap_or_else(|| panic!("{runs:?}"));
            home.sql(&statement.replace("rn_…", id)).refused(1);
        } else {
            home.sql(&statement).good();
        }
    }
    assert_eq!(std::fs::read_to_string(Path::new(&disk).join("orders/a.csv")).unwrap(), "1");
    drop(s3);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_guide_crawls_is_catalogued() {
    let keys = [("sales/orders/a.csv", "id,n\n1,2\n"), ("sales/tmp1/a.csv", "id\n1\n")];
    let (home, _s3) = landing("lake", &keys).await;
    for statement in statements("crawling") {
        home.sql(&statement).good();
    }
    let found = home.rows("SELECT fqn FROM system.containers WHERE status = 'active'");
    assert!(found.iter().any(|row| row["fqn"] == "landing.lake.sales/orders"), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_guide_says_of_the_catalogue_is_answered() {
    let row = r#"{"id": 1, "customer": {"email": "a@example.com"}}"#;
    let (home, s3) = landing("acme-landing", &[("orders/a.json", row)]).await;
    s3.state().create_bucket("lake");
    let (id, secret) = s3.admin();
    home.connect("lake", &s3.endpoint(), &id, &secret, "BUCKET = 'lake'").good();
    home.sql("CRAWL landing").good();
    home.sql("CREATE FILE TABLE orders ON landing LOCATION = 's3://acme-landing/orders/'").good();
    home.sql("COPY (SELECT count(*) AS n FROM orders) TO 'lake:totals/a.csv'").good();
    let (address, server) = stand_in::start().await;
    for statement in statements("catalogue") {
        let statement = statement
            .replace("https://openmetadata.example.com/api", &address)
            .replace("'...'", &format!("'{}' ALLOW_HTTP = TRUE", stand_in::TOKEN));
        home.sql(&statement).good();
    }
    let found = home.rows("SEARCH 'email'");
    assert!(!found.is_empty());
    let there = server.lock().unwrap().containers.clone();
    assert!(there.contains_key("landing.acme-landing.orders"), "{:?}", there.keys());
}
