//! The catalogue in the store: containers, their history, notes and words.

use crate::place::{Place, name};
use chrono::{DateTime, TimeDelta, Utc};
use windlass_state::{
    ContainerBatch, ContainerFilter, ContainerMark, ContainerPut, ContainerStatus, HistoryEntry,
    NewConnection, NoteChange, Sealed, SearchTexts, ServiceRow, Store, StoredContainer,
    StoredFigures,
};
use windlass_types::{ConnectionKind, FabricId, OptionMap, RunId};

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_780_000_000_123_456).unwrap() + TimeDelta::seconds(seconds)
}

fn container(path: &str) -> StoredContainer {
    StoredContainer {
        bucket: "lake".to_owned(),
        path: path.to_owned(),
        kind: "dataset".to_owned(),
        name: path.to_owned(),
        fqn: format!("svc.lake.{path}"),
        parent_fqn: Some("svc.lake".to_owned()),
        full_path: format!("s3://lake/{path}"),
        detail: r#"{"why":["\u0000 is text"]}"#.to_owned(),
        structure: Some("[]".to_owned()),
        fingerprint: "1".to_owned(),
        figures: StoredFigures {
            size: Some(u64::from(u32::MAX) + 1),
            objects: Some(2),
            rows: None,
            newest: Some(at(-60)),
            oldest: None,
        },
    }
}

fn put(path: &str, columns: &str) -> ContainerPut {
    ContainerPut {
        found: container(path),
        status: ContainerStatus::Active,
        reason: None,
        changed: true,
        search: Some(SearchTexts {
            name: path.to_owned(),
            columns: columns.to_owned(),
            about: String::new(),
        }),
        history: vec![entry("found", "")],
        figures: true,
    }
}

fn entry(change: &str, column: &str) -> HistoryEntry {
    HistoryEntry {
        change: change.to_owned(),
        column: column.to_owned(),
        old: None,
        new: Some("x".to_owned()),
    }
}

fn batch(puts: Vec<ContainerPut>) -> ContainerBatch {
    ContainerBatch { puts, ..ContainerBatch::default() }
}

async fn service(store: &Store, fabric: FabricId) -> ServiceRow {
    store.catalog_service(fabric, "svc", Some("a lake"), None, at(0)).await.unwrap()
}

async fn found(store: &Store, fabric: FabricId, question: &str) -> Vec<String> {
    let hits = store.search_containers(fabric, question, 10, 0).await.unwrap();
    hits.into_iter().map(|hit| hit.container.found.path).collect()
}

async fn containers_are_kept_as_they_were_found(place: Place) {
    let (store, fabric) = place.fresh().await;
    let service = service(&store, fabric).await;
    let (first, second) = (RunId::new(), RunId::new());
    store
        .keep_containers(service.id, &batch(vec![put("b", ""), put("a", "")]), first, at(1))
        .await
        .unwrap();
    let row = store.container_at(service.id, "lake", "a").await.unwrap().unwrap();
    assert_eq!(row.found, container("a"));
    assert_eq!(
        (row.status, row.run, row.service_name.as_str()),
        (ContainerStatus::Active, first, "svc")
    );
    assert_eq!(
        (row.first_seen, row.last_seen, row.changed),
        (Some(at(1)), Some(at(1)), Some(at(1)))
    );

    // Kept again, unchanged: the first time stays, the number too.
    let again = ContainerPut { changed: false, history: vec![], figures: false, ..put("a", "") };
    store.keep_containers(service.id, &batch(vec![again]), second, at(9)).await.unwrap();
    let kept = store.container_at(service.id, "lake", "a").await.unwrap().unwrap();
    assert_eq!((kept.id, kept.first_seen, kept.changed), (row.id, Some(at(1)), Some(at(1))));
    assert_eq!((kept.last_seen, kept.run), (Some(at(9)), second));
    let same = ContainerBatch { same: vec![row.id], ..ContainerBatch::default() };
    store.keep_containers(service.id, &same, second, at(12)).await.unwrap();
    let kept = store.container_at(service.id, "lake", "a").await.unwrap().unwrap();
    assert_eq!((kept.last_seen, kept.found), (Some(at(12)), container("a")));

    // A name is found with its service or by its place, in the order of names, a page at a time.
    let filter = ContainerFilter { limit: 1, ..ContainerFilter::default() };
    let page = store.containers(fabric, &filter).await.unwrap();
    assert_eq!(page[0].found.fqn, "svc.lake.a");
    let after = Some((page[0].found.fqn.clone(), page[0].id));
    let page = store.containers(fabric, &ContainerFilter { after, ..filter }).await.unwrap();
    assert_eq!(page[0].found.fqn, "svc.lake.b");
    for text in ["svc.lake.b", "s3://lake/b"] {
        assert_eq!(store.containers_named(fabric, text).await.unwrap()[0].found.path, "b");
    }
    let other = store.create_fabric(&name("dev"), at(0)).await.unwrap().id;
    assert!(store.containers_named(other, "svc.lake.b").await.unwrap().is_empty());
}

async fn a_state_changes_without_what_was_found(place: Place) {
    let (store, fabric) = place.fresh().await;
    let service = service(&store, fabric).await;
    let run = RunId::new();
    let both = batch(vec![put("a", ""), put("b", "")]);
    store.keep_containers(service.id, &both, run, at(1)).await.unwrap();
    let row = store.container_at(service.id, "lake", "a").await.unwrap().unwrap();
    let mark = ContainerMark {
        id: row.id,
        status: ContainerStatus::NotSeen,
        reason: Some("access denied".to_owned()),
        history: Some(entry("not_seen", "")),
    };
    let marks = ContainerBatch { marks: vec![mark], ..ContainerBatch::default() };
    store.keep_containers(service.id, &marks, RunId::new(), at(5)).await.unwrap();
    let kept = store.container_at(service.id, "lake", "a").await.unwrap().unwrap();
    assert_eq!(kept.found, row.found);
    assert_eq!((kept.status, kept.last_seen), (ContainerStatus::NotSeen, Some(at(1))));
    assert_eq!(kept.reason.as_deref(), Some("access denied"));
    // Nobody has spoken of `b` since; of `a` somebody has.
    let (unspoken, all) = store.unspoken(service.id, at(5)).await.unwrap();
    assert_eq!((unspoken.len(), unspoken[0].path.as_str(), all), (1, "b", 2));
    let history = store.container_history(fabric, Some(row.id)).await.unwrap();
    let changes: Vec<&str> = history.iter().map(|row| row.change.change.as_str()).collect();
    assert_eq!(changes, ["found", "not_seen"]);
    assert_eq!(store.container_history(fabric, None).await.unwrap().len(), 3);
}

async fn figures_are_one_row_a_day_and_not_for_ever(place: Place) {
    let (store, fabric) = place.fresh().await;
    let service = service(&store, fabric).await;
    let day = 86_400;
    for (seconds, size) in [(0, 1), (10, 2), (day, 3), (500 * day, 4)] {
        let mut put = put("a", "");
        put.found.figures.size = Some(size);
        store
            .keep_containers(service.id, &batch(vec![put]), RunId::new(), at(seconds))
            .await
            .unwrap();
    }
    let sizes = async || -> Vec<Option<u64>> {
        let rows = store.container_figures(fabric, None).await.unwrap();
        rows.iter().map(|row| row.size).collect()
    };
    assert_eq!(sizes().await, [Some(2), Some(3), Some(4)]);
    store.prune_figures(service.id, at(500 * day)).await.unwrap();
    assert_eq!(sizes().await, [Some(4)]);
    // The last one stays, however old.
    store.prune_figures(service.id, at(5000 * day)).await.unwrap();
    assert_eq!(sizes().await, [Some(4)]);
}

async fn notes_of_people_survive_crawls(place: Place) {
    let (store, fabric) = place.fresh().await;
    let service = service(&store, fabric).await;
    store
        .keep_containers(service.id, &batch(vec![put("orders", "id")]), RunId::new(), at(1))
        .await
        .unwrap();
    let id = store.container_at(service.id, "lake", "orders").await.unwrap().unwrap().id;
    let change = NoteChange {
        description: Some("billing, per month".to_owned()),
        owners: Some(vec!["ann".to_owned()]),
        tags: None,
    };
    store.note_container(id, "", &change, at(2)).await.unwrap();
    let tags = NoteChange { tags: Some(vec!["gold".to_owned()]), ..NoteChange::default() };
    store.note_container(id, "", &tags, at(3)).await.unwrap();
    let about = NoteChange { description: Some("the key".to_owned()), ..NoteChange::default() };
    store.note_container(id, "id", &about, at(3)).await.unwrap();

    store
        .keep_containers(service.id, &batch(vec![put("orders", "number")]), RunId::new(), at(4))
        .await
        .unwrap();
    let notes = store.container_notes(id).await.unwrap();
    assert_eq!(notes.len(), 2);
    assert_eq!(notes[0].description.as_deref(), Some("billing, per month"));
    assert_eq!(
        (notes[0].owners.as_slice(), notes[0].tags.as_slice()),
        (&["ann".to_owned()][..], &["gold".to_owned()][..])
    );
    assert_eq!(notes[1].description.as_deref(), Some("the key"));
    assert_eq!(store.fabric_notes(fabric).await.unwrap(), notes);
    for word in ["billing", "ann", "gold", "key", "number"] {
        assert_eq!(found(&store, fabric, word).await, ["orders"], "{word}");
    }
    assert!(found(&store, fabric, "id").await.is_empty(), "the column is gone");

    // An empty text takes a description back.
    let none = NoteChange { description: Some(String::new()), ..NoteChange::default() };
    store.note_container(id, "", &none, at(5)).await.unwrap();
    assert_eq!(store.container_notes(id).await.unwrap()[0].description, None);
    assert!(found(&store, fabric, "billing").await.is_empty());
}

async fn words_are_found_ranked_and_by_their_beginnings(place: Place) {
    let (store, fabric) = place.fresh().await;
    let service = service(&store, fabric).await;
    let puts = vec![
        put("finance/invoice", "id\namount"),
        put("crm/people", "customerEmail\ninvoice_id"),
        put("logs/2024", "line"),
    ];
    store.keep_containers(service.id, &batch(puts), RunId::new(), at(1)).await.unwrap();
    // A name weighs more than a column.
    assert_eq!(found(&store, fabric, "invoice").await, ["finance/invoice", "crm/people"]);
    assert_eq!(found(&store, fabric, "invoice email").await, ["crm/people"]);
    assert_eq!(found(&store, fabric, "INVO cust").await, ["crm/people"]);
    assert_eq!(found(&store, fabric, "invoice_id").await.len(), 2, "each part by itself");
    assert_eq!(found(&store, fabric, "invoiceid").await, ["crm/people"]);
    assert_eq!(found(&store, fabric, "2024").await, ["logs/2024"]);
    for nothing in ["", "  ", "'\"*:&|!()", "nosuchword"] {
        assert!(found(&store, fabric, nothing).await.is_empty(), "{nothing}");
    }
    let second = store.search_containers(fabric, "invoice", 1, 1).await.unwrap();
    assert_eq!(second[0].container.found.path, "crm/people");
    // What is deleted is not found; nor is what another fabric has.
    let mark = ContainerMark {
        id: second[0].container.id,
        status: ContainerStatus::Deleted,
        reason: None,
        history: None,
    };
    let marks = ContainerBatch { marks: vec![mark], ..ContainerBatch::default() };
    store.keep_containers(service.id, &marks, RunId::new(), at(2)).await.unwrap();
    assert_eq!(found(&store, fabric, "invoice").await, ["finance/invoice"]);
    let other = store.create_fabric(&name("dev"), at(0)).await.unwrap().id;
    assert!(found(&store, other, "invoice").await.is_empty());
}

async fn a_catalogue_outlives_its_connection_and_goes_with_its_fabric(place: Place) {
    let (store, _) = place.fresh().await;
    let fabric = store.create_fabric(&name("dev"), at(0)).await.unwrap().id;
    let new = NewConnection {
        name: name("lake"),
        kind: ConnectionKind::S3,
        options: OptionMap::new(),
        sealed: Sealed::new(),
    };
    let connection = store.insert_connection(fabric, new, at(0)).await.unwrap().id;
    let service =
        store.catalog_service(fabric, "svc", None, Some(connection), at(1)).await.unwrap();
    let puts = batch(vec![put("orders", "id")]);
    store.keep_containers(service.id, &puts, RunId::new(), at(1)).await.unwrap();
    let by_connection =
        async || store.containers_of_connection(connection, "lake", "orders").await.unwrap().len();
    assert_eq!(by_connection().await, 1);
    // Another crawl of the same name keeps what it knows.
    let again = store.catalog_service(fabric, "svc", Some("new"), None, at(2)).await.unwrap();
    assert_eq!((again.id, again.connection), (service.id, Some(connection)));

    store.delete_connection(fabric, &name("lake")).await.unwrap();
    assert_eq!(by_connection().await, 0);
    assert_eq!(found(&store, fabric, "orders").await, ["orders"]);
    store.drop_fabric(&name("dev")).await.unwrap();
    let left = place.execute("SELECT CAST(COUNT(*) AS TEXT) FROM container_search").await;
    assert_eq!(left.trim(), "0");
}

state_suite!(
    containers_are_kept_as_they_were_found,
    a_state_changes_without_what_was_found,
    figures_are_one_row_a_day_and_not_for_ever,
    notes_of_people_survive_crawls,
    words_are_found_ranked_and_by_their_beginnings,
    a_catalogue_outlives_its_connection_and_goes_with_its_fabric,
);
