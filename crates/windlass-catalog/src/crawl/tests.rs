//! A small world, crawled.

use super::*;
use crate::filter::Patterns;
use crate::heap::Object;
use crate::manifest::Scope;
use crate::model::{Sample, Seen};
use crate::types;
use crate::world::{Before, Declared, Member, Metrics, Structure};
use bytes::Bytes;
use futures::stream::BoxStream;
use std::collections::BTreeMap;
use std::sync::Mutex;

#[derive(Default)]
struct Small {
    objects: BTreeMap<(String, String), String>,
    /// Buckets, or buckets and prefixes, whose listing is denied.
    denied: Vec<String>,
    /// Keys that cannot be read.
    unread: Vec<String>,
    metrics: BTreeMap<String, Metrics>,
    known: BTreeMap<(String, String), Before>,
    learnt: Mutex<Vec<String>>,
}

fn denied(what: &str) -> Error {
    Error::new(ErrorCode::ConnectionDenied, format!("{what} is denied"))
}

#[async_trait::async_trait]
impl World for Small {
    async fn buckets(&self) -> Result<Vec<String>> {
        let mut all: Vec<String> = self.objects.keys().map(|(bucket, _)| bucket.clone()).collect();
        all.dedup();
        Ok(all)
    }

    fn list(&self, bucket: &str, prefix: &str) -> BoxStream<'static, Result<Object>> {
        let place = format!("{bucket}/{prefix}");
        if !self.objects.keys().any(|(name, _)| name == bucket) {
            let error = Error::new(ErrorCode::BucketNotFound, format!("no bucket `{bucket}`"));
            return futures::stream::iter([Err(error)]).boxed();
        }
        if self.denied.iter().any(|denied| place.starts_with(denied) || denied.starts_with(&place))
        {
            return futures::stream::iter([Err(denied(&place))]).boxed();
        }
        let all: Vec<Result<Object>> = self
            .objects
            .iter()
            .filter(|((name, key), _)| name == bucket && key.starts_with(prefix))
            .map(|((_, key), body)| {
                Ok(Object {
                    key: key.clone(),
                    size: body.len() as u64,
                    modified: None,
                    etag: Some(body.clone()),
                    class: key.contains("cold").then(|| "GLACIER".to_owned()),
                })
            })
            .collect();
        futures::stream::iter(all).boxed()
    }

    async fn read(&self, bucket: &str, key: &str, _: u64) -> Result<Bytes> {
        if self.unread.iter().any(|unread| unread == key) {
            return Err(denied(key));
        }
        match self.objects.get(&(bucket.to_owned(), key.to_owned())) {
            Some(body) => Ok(Bytes::from(body.clone())),
            None => Err(Error::new(ErrorCode::ObjectNotFound, format!("no object `{key}`"))),
        }
    }

    async fn learn(
        &self,
        bucket: &str,
        files: &[Sample],
        declared: &Declared,
    ) -> Result<Structure> {
        let mut columns: Vec<crate::Column> = Vec::new();
        for file in files {
            self.learnt.lock().unwrap().push(file.key.clone());
            let body = self.read(bucket, &file.key, 0).await?;
            let text = String::from_utf8_lossy(&body).into_owned();
            if text.starts_with('!') {
                return Err(Error::new(
                    ErrorCode::FormatInvalid,
                    format!("`{}` is broken", file.key),
                ));
            }
            for name in text.lines().next().unwrap_or_default().split(',') {
                if !name.is_empty() && !columns.iter().any(|column| column.name == name) {
                    columns.push(types::column(name, "STRING", "TEXT", true));
                }
            }
        }
        Ok(Structure { columns, format: declared.format.clone(), ..Structure::default() })
    }

    async fn unpack(&self, _: &str, _: &Sample, _: &str) -> Result<Vec<Member>> {
        let member = |path: &str| Member { path: path.to_owned(), size: 3, structure: None };
        Ok(vec![member("one.csv"), member("sub/two.csv"), member("sub/one.csv")])
    }

    async fn tags(&self, bucket: &str, key: Option<&str>) -> Result<Vec<(String, String)>> {
        Ok(vec![("of".to_owned(), key.unwrap_or(bucket).to_owned())])
    }

    async fn metrics(&self, bucket: &str) -> Result<Option<Metrics>> {
        Ok(self.metrics.get(bucket).copied())
    }

    async fn region(&self, _: &str) -> Option<String> {
        None
    }

    async fn known(&self, bucket: &str, path: &str) -> Result<Option<Before>> {
        Ok(self.known.get(&(bucket.to_owned(), path.to_owned())).cloned())
    }
}

fn small(objects: &[(&str, &str)]) -> Small {
    let split = |path: &str| {
        let (bucket, key) = path.split_once('/').unwrap();
        (bucket.to_owned(), key.to_owned())
    };
    let objects = objects.iter().map(|(path, body)| (split(path), (*body).to_owned())).collect();
    Small { objects, ..Small::default() }
}

fn plan() -> Plan {
    Plan {
        buckets: Vec::new(),
        bounds: Vec::new(),
        filter: Filter::default(),
        global: None,
        default: None,
        discover: false,
        manifests: true,
        tags: false,
        structure: true,
        full: false,
        samples: 4,
        count_limit: 1_000_000,
        links: Links { region: "us-east-1".to_owned(), ..Links::default() },
    }
}

async fn events(plan: Plan, world: Small) -> (Vec<Event>, Arc<Small>) {
    let world = Arc::new(world);
    let (send, mut receive) = mpsc::channel(4);
    let gather = async {
        let mut all = Vec::new();
        while let Some(event) = receive.recv().await {
            all.push(event);
        }
        all
    };
    let crawl = crawl(plan, Arc::clone(&world) as _, send, CancellationToken::new());
    let (end, events) = tokio::join!(crawl, gather);
    end.unwrap();
    (events, world)
}

/// What a crawl says, a line each, sorted.
async fn run(plan: Plan, world: Small) -> String {
    let (events, _) = events(plan, world).await;
    let mut lines: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Found(found) => {
                let columns = found.columns.as_ref().map(|columns| {
                    let part = |c: &crate::Column| {
                        format!("{}{}", c.name, if c.partition { "*" } else { "" })
                    };
                    columns.iter().map(part).collect::<Vec<_>>().join(",")
                });
                let columns = columns.map_or(String::new(), |columns| format!(" ({columns})"));
                let seen = match &found.seen {
                    Seen::Yes => String::new(),
                    Seen::No { reason } => format!(" NOT SEEN: {reason}"),
                };
                let figures = match (&found.figures.objects, &found.figures.unknown) {
                    (Some(objects), _) => objects.to_string(),
                    (None, Some(why)) => format!("? {why}"),
                    (None, None) => "-".to_owned(),
                };
                Some(format!(
                    "found {:?} {}/{} {figures}{columns}{seen}",
                    found.kind, found.bucket, found.path
                ))
            }
            Event::Listed(listed) => {
                let end = listed
                    .incomplete
                    .as_ref()
                    .map_or("all".to_owned(), |why| format!("NOT: {why}"));
                Some(format!("listed {}/{} {end}", listed.bucket, listed.prefix))
            }
            Event::Told(told) => {
                Some(format!("{:?} {}/{}: {}", told.status, told.bucket, told.path, told.reason))
            }
            Event::Planned(_) => None,
        })
        .collect();
    lines.sort();
    lines.join("\n")
}

const CSV: &str = r#"{"entries": [{"dataPath": "csv/orders", "structureFormat": "csv"}]}"#;

#[tokio::test]
async fn a_manifest_names_containers_and_nothing_else_is_looked_for() {
    let world = small(&[
        ("b/openmetadata.json", CSV),
        ("b/csv/orders/1.csv", "a,b\n"),
        ("b/csv/orders/2.csv", "a,c\n"),
        ("b/csv/orders_old/1.csv", "must_not_show\n"),
    ]);
    insta::assert_snapshot!(run(plan(), world).await);
}

#[tokio::test]
async fn a_manifest_that_is_denied_or_broken_makes_nothing_look_gone() {
    // [22], and a broken edit.
    let mut world = small(&[
        ("b/openmetadata.json", CSV),
        ("b/csv/orders/1.csv", "a\n"),
        ("c/openmetadata.json", "{"),
    ]);
    world.unread.push("openmetadata.json".to_owned());
    let said = run(plan(), world).await;
    assert!(
        said.contains("listed b/ NOT: its manifest could not be read: openmetadata.json is denied"),
        "{said}"
    );
    assert!(said.contains("Failed b/openmetadata.json"), "{said}");
    let said = run(plan(), small(&[("c/openmetadata.json", "{")])).await;
    assert!(
        said.contains("listed c/ NOT: its manifest could not be read: c/openmetadata.json:1:"),
        "{said}"
    );
}

#[tokio::test]
async fn a_listing_that_is_denied_makes_nothing_look_gone() {
    // [25]
    let mut world = small(&[
        ("b/openmetadata.json", CSV),
        ("b/csv/orders/1.csv", "a\n"),
        ("b/other/x.csv", "a\n"),
    ]);
    world.denied.push("b/csv/orders".to_owned());
    insta::assert_snapshot!(run(plan(), world).await);
    let mut world = small(&[("b/x/1.csv", "a\n")]);
    world.denied.push("b/".to_owned());
    let said = run(Plan { discover: true, ..plan() }, world).await;
    assert!(said.contains("found Bucket b/ ? b/ is denied NOT SEEN: b/ is denied"), "{said}");
}

#[tokio::test]
async fn a_sample_that_cannot_be_read_leaves_its_container_and_the_rest_goes_on() {
    // [01]: unparseable, empty; and a format that is none does not end the bucket.
    let world = small(&[
        (
            "b/openmetadata.json",
            r#"{"entries": [{"dataPath": "bad", "structureFormat": "csv"}, {"dataPath": "empty", "structureFormat": "csv"},
            {"dataPath": "w", "structureFormat": "weird"}, {"dataPath": "l", "structureFormat": "JSONL"}, {"dataPath": "ok", "structureFormat": "csv"}]}"#,
        ),
        ("b/bad/1.csv", "!\n"),
        ("b/empty/1.csv", ""),
        ("b/w/1.weird", "?"),
        ("b/l/1.jsonl", "x\n"),
        ("b/ok/1.csv", "a\n"),
    ]);
    insta::assert_snapshot!(run(plan(), world).await);
}

#[tokio::test]
async fn what_a_filter_leaves_out_is_not_gone() {
    // [02]
    let objects = [("b/openmetadata.json", CSV), ("b/csv/orders/1.csv", "a\n"), ("c/x", "y")];
    let patterns = Patterns::new(&["b".to_owned()], &[]).unwrap();
    let filter = Filter { patterns, ..Filter::default() };
    let said = run(Plan { filter, ..plan() }, small(&objects)).await;
    insta::assert_snapshot!(said);
}

#[tokio::test]
async fn without_a_manifest_tables_are_found_and_a_manifest_overrides() {
    let objects = [
        (
            "b/openmetadata.json",
            r#"{"entries": [{"dataPath": "named", "structureFormat": "csv"}]}"#,
        ),
        ("b/named/1.csv", "a\n"),
        ("b/named/deep/2.csv", "b\n"),
        ("b/wh/t/dt=2024-01-01/p.csv", "x\n"),
        ("b/wh/t/_SUCCESS", ""),
        ("b/img/1.png", "p"),
        ("b/arc/x.zip", "z"),
    ];
    insta::assert_snapshot!(run(Plan { discover: true, ..plan() }, small(&objects)).await);
}

#[tokio::test]
async fn bounds_bind_what_is_listed_and_what_is_said_to_be_listed() {
    let objects = [("b/a/x/1.csv", "a\n"), ("b/z/1.csv", "a\n"), ("c/1.csv", "a\n")];
    let bounds = vec![("b".to_owned(), "a/".to_owned())];
    insta::assert_snapshot!(run(Plan { bounds, discover: true, ..plan() }, small(&objects)).await);
}

#[tokio::test]
async fn figures_are_cloudwatchs_else_counted_and_never_a_false_zero() {
    let mut world = small(&[("b/1", "x"), ("c/1", "x"), ("d/1", "x"), ("e/1", "x"), ("e/2", "x")]);
    world.metrics.insert("b".to_owned(), Metrics { objects: Some(7), size: Some(70) });
    world.metrics.insert("c".to_owned(), Metrics { objects: Some(7), size: None });
    let (events, _) = events(Plan { count_limit: 2, ..plan() }, world).await;
    let figures: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Event::Found(found) => {
                let f = &found.figures;
                Some(format!(
                    "{} {:?} {:?} {:?} {:?}",
                    found.bucket, f.objects, f.size, f.origin, f.unknown
                ))
            }
            _ => None,
        })
        .collect();
    let mut figures = figures;
    figures.sort();
    insta::assert_snapshot!(figures.join("\n"));
}

#[tokio::test]
async fn what_did_not_change_is_not_read_again() {
    let objects = [("b/openmetadata.json", CSV), ("b/csv/orders/1.csv", "a,b\n")];
    let (first, world) = events(plan(), small(&objects)).await;
    assert_eq!(world.learnt.lock().unwrap().len(), 1);
    let found = first.iter().find_map(|event| match event {
        Event::Found(found) if !found.path.is_empty() => Some(found.clone()),
        _ => None,
    });
    let found = found.unwrap();
    let before = Before {
        fingerprint: found.fingerprint.clone(),
        columns: found.columns.clone(),
        formats: found.formats.clone(),
        rows: None,
        samples: found.samples.clone(),
        again: false,
    };
    let known = BTreeMap::from([(("b".to_owned(), "csv/orders".to_owned()), before)]);
    let (again, world) = events(plan(), Small { known: known.clone(), ..small(&objects) }).await;
    assert!(world.learnt.lock().unwrap().is_empty());
    assert!(again.iter().any(|event| matches!(event, Event::Found(f) if f.columns == found.columns && f.path == found.path)));
    let changed = [objects[0], ("b/csv/orders/1.csv", "a,b,c\n")];
    let (_, world) = events(plan(), Small { known, ..small(&changed) }).await;
    assert_eq!(world.learnt.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_bucket_that_is_gone_was_looked_for_to_the_end() {
    let said =
        run(Plan { buckets: vec!["gone".to_owned()], ..plan() }, small(&[("b/x", "y")])).await;
    assert!(said.contains("listed gone/ all") && !said.contains("found"), "{said}");
}

#[tokio::test]
async fn a_default_manifest_serves_buckets_without_their_own() {
    let default = crate::manifest::Manifest::parse(
        "d",
        r#"{"entries": [{"dataPath": "*/x/*.csv", "autoPartitionDetection": true}]}"#,
        Scope::Default,
    )
    .unwrap();
    let said = run(
        Plan { default: Some(default), tags: true, ..plan() },
        small(&[("b/a/x/1.csv", "n\n"), ("c/q/x/1.csv", "m\n")]),
    )
    .await;
    assert!(
        said.contains("found Dataset b/a/x 1 (n)") && said.contains("found Dataset c/q/x 1 (m)"),
        "{said}"
    );
}
