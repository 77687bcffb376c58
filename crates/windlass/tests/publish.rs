//! What a crawl of a connection publishes to an OpenMetadata server behind another connection.

mod common;
#[allow(dead_code, unreachable_pub, reason = "not all of it is used here")]
#[path = "../../windlass-catalog/tests/publish/stand_in.rs"]
mod stand_in;

use common::Home;
use serde_json::Value;
use stand_in::{Fault, Shared, TOKEN};
use windlass_testkit::TestS3;

struct Place {
    s3: TestS3,
    home: Home,
    server: Shared,
}

impl Place {
    /// A bucket with two tables behind `lake`, and a server behind `om`.
    async fn new(token: &str) -> Self {
        let s3 = TestS3::start().await;
        s3.state().create_bucket("lake");
        for key in ["orders/part-0.csv", "customers/part-0.csv"] {
            s3.state().put("lake", key, "id,name\n1,x\n");
        }
        let (id, secret) = s3.admin();
        let home = Home::new();
        home.connect("lake", &s3.endpoint(), &id, &secret, "").good();
        let (address, server) = stand_in::start().await;
        home.sql(&format!(
            "CREATE HTTP CONNECTION om ENDPOINT = '{address}' ALLOW_HTTP = TRUE SKIP_VALIDATION = TRUE TOKEN = '{token}'"
        ))
        .good();
        Self { s3, home, server }
    }

    /// Fully qualified names there, and whether they are marked deleted.
    fn there(&self) -> Vec<(String, bool)> {
        let server = self.server.lock().unwrap();
        let all = server.containers.iter();
        all.map(|(fqn, body)| (fqn.clone(), body["deleted"] == Value::Bool(true))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crawl_publishes_to_the_server_of_a_connection() {
    let place = Place::new(TOKEN).await;
    place.server.lock().unwrap().faults = vec![Fault::Busy];
    let rows = place.home.rows("CRAWL lake PUBLISH_TO = 'om'");
    assert_eq!((&rows[0]["published"], &rows[0]["failed"]), (&3.into(), &0.into()), "{rows:?}");
    let all = |deleted| {
        [("lake.lake", false), ("lake.lake.customers", false), ("lake.lake.orders", deleted)]
            .map(|(fqn, gone)| (fqn.to_owned(), gone))
            .to_vec()
    };
    assert_eq!(place.there(), all(false));
    let orders = place.server.lock().unwrap().containers["lake.lake.orders"].clone();
    let columns = orders["dataModel"]["columns"].as_array().unwrap();
    let names: Vec<&str> = columns.iter().filter_map(|column| column["name"].as_str()).collect();
    assert_eq!(names, ["id", "name"]);

    // What is gone here is gone there; by the command, too.
    place.s3.state().remove("lake", "orders/part-0.csv");
    let crawl = ["crawl", "lake", "--publish-to", "om", "--allow-mass-delete"];
    place.home.run(&crawl).good();
    assert_eq!(place.there(), all(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_publishes_and_holds_its_connection() {
    let place = Place::new(TOKEN).await;
    place.home.sql("CREATE JOB nightly AS CRAWL lake PUBLISH_TO = 'om'").good();
    let said = place.home.sql("DROP CONNECTION om").refused(1);
    assert!(said.contains("nightly"), "{said}");
    let run = place.home.rows("RUN JOB nightly");
    assert_eq!(place.there().len(), 3, "{run:?}");
    // The connection reads, too, with its token.
    let listed = place.home.run(&["cat", "om:v1/containers"]).good();
    assert!(listed.contains("lake.lake.orders"), "{listed}");
    place.home.sql("DROP JOB nightly").good();
    place.home.sql("DROP CONNECTION om").good();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_refuses_makes_the_run_partial_and_its_words_hold_no_token() {
    let place = Place::new("canary-wrong-token-1b873593").await;
    let end = place.home.sql("CRAWL lake PUBLISH_TO = 'om'");
    assert_eq!(end.code, 3, "{}", end.stderr);
    let items = place.home.rows("SELECT reason FROM system.run_items WHERE status = 'failed'");
    let reason = items[0]["reason"].as_str().unwrap();
    assert!(reason.contains("401") && reason.contains("the token Bearer ***"), "{reason}");
    let all = format!("{items:?}{}{}", end.stdout, end.stderr);
    assert!(!all.contains("canary"), "{all}");
    assert_eq!(place.home.rows("SELECT fqn FROM system.containers").len(), 3);

    let said = place.home.sql("CRAWL lake PUBLISH_TO = 'lake'").refused(1);
    assert!(
        said.contains("no HTTP connection") && said.contains("CREATE HTTP CONNECTION"),
        "{said}"
    );
    let said = place.home.sql("CREATE JOB j AS CRAWL lake PUBLISH_TO = 'nobody'").refused(1);
    assert!(said.contains("nobody"), "{said}");
}
