//! Publishing to a stand-in of OpenMetadata, with faults (reference sections 7, 9, 10).

#![allow(missing_docs, unreachable_pub, reason = "tests")]

mod stand_in;

use secrecy::SecretString;
use stand_in::{Fault, Shared, TOKEN};
use std::collections::BTreeSet;
use std::time::Duration;
use windlass_catalog::publish::{Entity, Published, Publisher, Target};
use windlass_catalog::{Column, ContainerKind, Figures, Found, Seen, names};
use windlass_types::ErrorCode;

const SERVICE: &str = "my.lake";

fn target(host: &str, token: &str) -> Target {
    Target {
        pause: Duration::from_millis(1),
        timeout: Duration::from_secs(20),
        ..Target::new(host.to_owned(), Some(SecretString::from(token.to_owned())))
    }
}

fn entity(path: &str, parents: &[&str], name: &str, kind: ContainerKind) -> Entity {
    let above: Vec<&str> = std::iter::once(SERVICE).chain(parents.iter().copied()).collect();
    let column = Column {
        name: "id".to_owned(),
        data_type: "BIGINT".to_owned(),
        display: "BIGINT".to_owned(),
        array_data_type: None,
        length: None,
        precision: None,
        scale: None,
        nullable: true,
        partition: false,
        ordinal: 1,
        description: None,
        children: Vec::new(),
        hints: Vec::new(),
    };
    let found = Found {
        bucket: "lake".to_owned(),
        path: path.to_owned(),
        name: name.to_owned(),
        parents: parents.iter().map(|&parent| parent.to_owned()).collect(),
        kind,
        prefix: format!("/{path}"),
        full_path: format!("s3://lake/{path}").trim_end_matches('/').to_owned(),
        source_url: "https://console/".to_owned(),
        formats: if kind == ContainerKind::Dataset {
            vec!["orc".into(), "csv".into()]
        } else {
            vec![]
        },
        compression: Vec::new(),
        separator: None,
        partitioned: Some(false),
        columns: (kind == ContainerKind::Dataset).then(|| vec![column]),
        figures: Figures { size: Some(1), ..Figures::default() },
        tags: Vec::new(),
        samples: Vec::new(),
        why: Vec::new(),
        fingerprint: String::new(),
        seen: Seen::Yes,
    };
    Entity {
        fqn: names::fqn(above.iter().copied().chain([name])),
        parent: (!parents.is_empty()).then(|| names::fqn(above)),
        found,
        description: None,
        columns: vec![("id".to_owned(), "the key".to_owned())],
    }
}

/// A bucket, a tree of folders with a file, and datasets.
fn all() -> Vec<Entity> {
    let mut bucket = entity("", &[], "lake", ContainerKind::Bucket);
    bucket.found.tags = vec![("team".to_owned(), "sales".to_owned())];
    let mut all = vec![
        entity("photos/a.png", &["lake", "photos"], "a.png", ContainerKind::File),
        entity("photos", &["lake"], "photos", ContainerKind::Folder),
        bucket,
    ];
    all.extend((0..20).map(|number| {
        let path = format!("t/{number}");
        entity(&path, &["lake"], &path, ContainerKind::Dataset)
    }));
    all
}

async fn publish(host: &str, entities: &[Entity], gone: &[&str]) -> Published {
    let mut publisher =
        Publisher::begin(target(host, TOKEN), SERVICE, Some("a lake")).await.unwrap();
    publisher.publish(entities).await.unwrap();
    let gone: BTreeSet<String> = gone.iter().map(|&fqn| fqn.to_owned()).collect();
    publisher.delete(&gone).await.unwrap();
    publisher.end()
}

fn names(server: &Shared) -> BTreeSet<String> {
    let server = server.lock().unwrap();
    let there = server.containers.iter().filter(|(_, one)| one["deleted"] != true);
    there.map(|(fqn, _)| fqn.clone()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_have_the_same_names_there_and_publishing_twice_changes_nothing() {
    let (host, server) = stand_in::start().await;
    let done = publish(&host, &all(), &[]).await;
    assert_eq!((done.service_made, done.containers, done.failed.as_slice()), (true, 23, &[][..]));
    let ours: BTreeSet<String> = all().into_iter().map(|entity| entity.fqn).collect();
    assert_eq!(names(&server), ours);
    assert!(ours.contains("\"my.lake\".lake.photos.\"a.png\""));
    let before = server.lock().unwrap().containers.clone();
    let again = publish(&host, &all(), &[]).await;
    assert_eq!((again.service_made, again.containers), (false, 23));
    let server = server.lock().unwrap();
    assert_eq!(server.containers, before);
    // One request a container: nothing is read back (their connector needs three, section 16).
    assert_eq!(server.puts, 46);
    assert_eq!(again.requests, 1 + 2 + 23);
    assert!(server.service.as_ref().unwrap().get("connection").is_none());
    let column = &before["\"my.lake\".lake.t/0"]["dataModel"]["columns"][0];
    assert_eq!(column["description"], "the key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn busy_servers_gateways_and_lost_answers_lose_nothing() {
    let (host, server) = stand_in::start().await;
    server.lock().unwrap().faults = vec![Fault::Busy, Fault::Gateway, Fault::Lost];
    let done = publish(&host, &all(), &[]).await;
    assert_eq!(done.failed, []);
    // The service is looked for, made, tagged; each request comes four times.
    assert_eq!(done.requests, (2 + 2 + 23) * 4, "{done:?}");
    assert_eq!(names(&server).len(), 23);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_marked_deleted_is_deleted_there() {
    for stale in [true, false] {
        let (host, server) = stand_in::start().await;
        publish(&host, &all(), &[]).await;
        server.lock().unwrap().stale = stale;
        // Somebody else's container in the same service; we never heard of it.
        let other = entity("theirs", &["lake"], "theirs", ContainerKind::Dataset);
        publish(&host, &[all().remove(2), other], &[]).await;
        let gone = ["\"my.lake\".lake.t/3", "\"my.lake\".lake.photos", "\"my.lake\".lake.never"];
        let done = publish(&host, &[], &gone).await;
        let left = names(&server);
        assert_eq!(left.len(), 24 - 3, "{stale}: the folder's file goes with it");
        assert!(left.contains("\"my.lake\".lake.theirs") && !left.contains(gone[0]));
        assert_eq!(done.deleted, 2);
        assert_eq!(server.lock().unwrap().seen.len(), usize::from(stale));
        // Nothing is asked where nothing is gone.
        let idle = publish(&host, &[], &[]).await;
        assert_eq!(idle.requests, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_taken_is_told_with_its_reason_and_the_rest_goes_on() {
    let (host, server) = stand_in::start().await;
    let mut entities = all();
    entities.push(entity("bad", &["lake"], "a\"b", ContainerKind::Dataset));
    entities.push(entity("x/y", &["lake", "x"], "y", ContainerKind::File));
    let mut odd = entity("odd", &["lake"], "odd", ContainerKind::Dataset);
    odd.found.columns.as_mut().unwrap()[0].data_type = "nonsense".to_owned();
    entities.push(odd);
    let done = publish(&host, &entities, &[]).await;
    assert_eq!(done.containers, 23);
    let reasons: Vec<&str> = done.failed.iter().map(|(_, why)| why.as_str()).collect();
    assert_eq!(
        reasons,
        [
            "OpenMetadata takes no name with a double quote",
            "400: `id` has no type",
            "`\"my.lake\".lake.x`, in which it lies, was not taken",
        ]
    );
    assert_eq!(names(&server).len(), 23);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_token_and_an_absent_server_are_said_without_the_token() {
    let (host, _server) = stand_in::start().await;
    let secret = "canary-wrong-token";
    let refused = Publisher::begin(target(&host, secret), SERVICE, None).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::ConnectionDenied);
    let absent = Publisher::begin(target("http://u:p@127.0.0.1:9/api", secret), SERVICE, None)
        .await
        .unwrap_err();
    assert_eq!(absent.code(), ErrorCode::ConnectionUnreachable);
    for error in [refused, absent] {
        let text = format!("{error:?} {}", error.chain());
        assert!(!text.contains("canary") && !text.contains("u:p"), "{text}");
    }
}
