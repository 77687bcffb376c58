//! How long it takes to keep and to search many containers.
//!
//! `cargo run --release --example search_bench -- [URL or PATH] [COUNT]`; a new SQLite file in a
//! temporary folder unless said.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a bench")]

use chrono::Utc;
use std::time::{Duration, Instant};
use windlass_state::{
    ContainerBatch, ContainerPut, ContainerStatus, DEFAULT_FABRIC, KeySource, SearchTexts, Store,
    StoredContainer, StoredFigures,
};
use windlass_types::{Name, RunId};

const SUBJECTS: &[&str] = &[
    "orders",
    "invoices",
    "customers",
    "payments",
    "shipments",
    "events",
    "clicks",
    "sessions",
    "products",
    "prices",
    "stores",
    "returns",
    "refunds",
    "ledger",
    "accounts",
    "users",
];
const COLUMNS: &[&str] = &[
    "id",
    "created_at",
    "updatedAt",
    "customer_id",
    "email",
    "invoiceEmail",
    "amount",
    "currency",
    "country_code",
    "status",
    "line_items",
    "sku",
    "quantity",
    "price",
    "phone_number",
    "iban",
];

/// Numbers that look random, and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or_default() % bound
    }
}

fn put(number: usize, dice: &mut Dice) -> ContainerPut {
    let subject = SUBJECTS[dice.below(SUBJECTS.len())];
    let path = format!("team{}/{subject}_{number}/v{}", dice.below(40), dice.below(5));
    let mut columns: Vec<String> =
        (0..12).map(|_| COLUMNS[dice.below(COLUMNS.len())].to_owned()).collect();
    columns.push(format!("field_{}", dice.below(5000)));
    let column = |name: &String| {
        format!(r#"{{"name":"{name}","data_type":"STRING","display":"TEXT","nullable":true}}"#)
    };
    ContainerPut {
        found: StoredContainer {
            bucket: "lake".to_owned(),
            path: path.clone(),
            kind: "dataset".to_owned(),
            name: path.clone(),
            fqn: format!("svc.lake.{path}"),
            parent_fqn: Some("svc.lake".to_owned()),
            full_path: format!("s3://lake/{path}"),
            detail: format!(r#"{{"bucket":"lake","path":"{path}"}}"#),
            structure: Some(format!(
                "[{}]",
                columns.iter().map(column).collect::<Vec<_>>().join(",")
            )),
            fingerprint: number.to_string(),
            figures: StoredFigures { size: Some(1), ..StoredFigures::default() },
        },
        status: ContainerStatus::Active,
        reason: None,
        changed: true,
        search: Some(SearchTexts {
            name: path,
            columns: columns.join("\n"),
            about: format!("owner team {}", dice.below(40)),
        }),
        history: Vec::new(),
        figures: true,
    }
}

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = std::env::temp_dir().join(format!("windlass-search-{}", std::process::id()));
    let url = arguments.next().unwrap_or_else(|| folder.join("state.db").display().to_string());
    let count: usize = arguments.next().map_or(100_000, |text| text.parse().expect("a count"));
    let store = Store::open(&url, &KeySource::own(folder.join("key"))).await.unwrap();
    let fabric = store.fabric(&Name::new(DEFAULT_FABRIC).unwrap()).await.unwrap().id;
    let service = store.catalog_service(fabric, "svc", None, None, Utc::now()).await.unwrap();
    let mut dice = Dice(7);
    let begun = Instant::now();
    for from in (0..count).step_by(500) {
        let puts = (from..count.min(from + 500)).map(|number| put(number, &mut dice)).collect();
        let batch = ContainerBatch { puts, ..ContainerBatch::default() };
        store.keep_containers(service.id, &batch, RunId::new(), Utc::now()).await.unwrap();
    }
    println!("{count} containers kept in {:.1} s", begun.elapsed().as_secs_f64());
    for question in [
        "invoice email",
        "invoices_4711",
        "field_42",
        "ord",
        "e",
        "lake",
        "customer_id price iban",
        "team7 refunds v3",
        "nosuchword",
    ] {
        let mut times: Vec<Duration> = Vec::new();
        let mut hits = 0;
        for _ in 0..11 {
            let begun = Instant::now();
            hits = store.search_containers(fabric, question, 20, 0).await.unwrap().len();
            times.push(begun.elapsed());
        }
        times.sort();
        let (middle, worst) = (times[times.len() / 2], times[times.len() - 1]);
        println!(
            "{question:>24}: {hits:>2} shown, {middle:>9.2?} in the middle, {worst:>9.2?} at worst"
        );
    }
    store.close().await;
    if folder.exists() {
        std::fs::remove_dir_all(folder).unwrap();
    }
}
