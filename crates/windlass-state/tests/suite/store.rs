//! Connections, secrets, tables and the key that seals.

use crate::place::{Place, name, sqlite};
use chrono::{DateTime, TimeDelta, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use windlass_state::{
    DEFAULT_FABRIC, Dialect, KeySource, KeyStatus, MasterKey, NewConnection, NewFileTable, Sealed,
    SecretOrigin, Store,
};
use windlass_testkit::servers::Postgres;
use windlass_types::{ConnectionKind, ErrorCode, FabricId, OptionMap, OptionValue, Result};

const CANARY: &str = "canary-5f3759df-secret";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp_micros(1_780_000_000_123_456).unwrap()
}

fn secret(text: &str) -> SecretString {
    SecretString::from(text.to_owned())
}

fn options(pairs: &[(&str, OptionValue)]) -> OptionMap {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(value: &str) -> OptionValue {
    OptionValue::Text(value.to_owned())
}

fn plain(connection: &str) -> NewConnection {
    NewConnection {
        name: name(connection),
        kind: ConnectionKind::S3,
        options: options(&[("REGION", text("eu-west-1"))]),
        sealed: Sealed::new(),
    }
}

fn with_key(connection: &str, value: &str) -> NewConnection {
    NewConnection {
        name: name(connection),
        kind: ConnectionKind::S3,
        options: options(&[
            ("AWS_ACCESS_KEY_ID", text("AKIA")),
            ("AWS_SECRET_ACCESS_KEY", OptionValue::Sealed),
        ]),
        sealed: Sealed::from([("AWS_SECRET_ACCESS_KEY".to_owned(), secret(value))]),
    }
}

fn table(connection: &str, table: &str) -> NewFileTable {
    NewFileTable {
        schema: name("main"),
        name: name(table),
        connection: name(connection),
        location: "s3://lake/orders/".to_owned(),
        options: options(&[("HEADER", OptionValue::Bool(true))]),
    }
}

fn refused<T: std::fmt::Debug>(result: Result<T>) -> String {
    format!("{:?}", result.unwrap_err())
}

/// The value of the one sealed option of `with_key`.
async fn value(store: &Store, fabric: FabricId, connection: &str) -> Result<String> {
    let row = store.connection(fabric, &name(connection)).await?;
    let values = store.connection_values(&row).await?;
    Ok(values["AWS_SECRET_ACCESS_KEY"].expose_secret().to_owned())
}

async fn a_fresh_store_has_the_default_fabric_and_main(place: Place) {
    let (store, fabric) = place.fresh().await;
    assert_eq!(store.fabrics().await.unwrap().len(), 1);
    assert_eq!(store.schemas(fabric).await.unwrap(), [name("main")]);
    assert_eq!(
        refused(store.fabric(&name("dev")).await),
        "error[fabric.not_found]: no fabric `dev`\nhint: `SHOW FABRICS` lists them"
    );
    store.create_fabric(&name("dev"), now()).await.unwrap();
    assert_eq!(
        refused(store.create_fabric(&name("dev"), now()).await),
        "error[fabric.exists]: fabric `dev` exists"
    );
    assert!(store.note_once("seeded", "yes").await.unwrap());
    store.close().await;
    let again = place.open().await;
    assert_eq!(again.fabric(&name(DEFAULT_FABRIC)).await.unwrap().id, fabric);
    assert!(!again.note_once("seeded", "no").await.unwrap());
    assert_eq!(again.note("seeded").await.unwrap().as_deref(), Some("yes"));
    assert!(!place.key().exists(), "nothing was sealed, so no key was made");
    assert_eq!(again.key_report().await.unwrap().status, KeyStatus::Unused);
}

async fn concurrent_openers_migrate_once(place: Place) {
    let opened = futures::future::join_all((0..8).map(|_| place.open())).await;
    let ids = futures::future::join_all(
        opened.iter().map(async |store| store.fabric(&name(DEFAULT_FABRIC)).await.unwrap().id),
    )
    .await;
    assert!(ids.iter().all(|id| *id == ids[0]));
    let (store, fabric) = (&opened[0], ids[0]);
    // All seal for the first time at once: one key.
    let made =
        futures::future::join_all(opened.iter().enumerate().map(|(index, store)| async move {
            store.insert_connection(fabric, with_key(&format!("c{index}"), CANARY), now()).await
        }))
        .await;
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    for index in 0..8 {
        assert_eq!(value(store, fabric, &format!("c{index}")).await.unwrap(), CANARY);
    }
}

async fn a_newer_store_is_refused(place: Place) {
    place.open().await.close().await;
    sqlx::any::install_default_drivers();
    place.execute("INSERT INTO schema_version VALUES (9999, '9999_future', 0)").await;
    let error = Store::open(&place.url, &KeySource::own(place.key())).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StateNewer);
}

async fn connections_are_kept_with_their_sealed_values(place: Place) {
    let (store, fabric) = place.fresh().await;
    let row = store.insert_connection(fabric, with_key("lab", CANARY), now()).await.unwrap();
    store.insert_connection(fabric, plain("Äh B"), now()).await.unwrap();
    assert_eq!(store.connection(fabric, &name("lab")).await.unwrap(), row);
    assert_eq!(store.connection_by_id(row.id).await.unwrap(), row);
    let names: Vec<String> =
        store.connections(fabric).await.unwrap().iter().map(|row| row.name.to_string()).collect();
    assert_eq!(names, ["lab", "\"Äh B\""]);
    assert_eq!(
        refused(store.insert_connection(fabric, plain("lab"), now()).await),
        "error[connection.exists]: connection `lab` exists"
    );
    assert_eq!(value(&store, fabric, "lab").await.unwrap(), CANARY);

    // A change keeps the id, and the value that was not given again.
    let mut changed = row.options.clone();
    changed.insert("LABEL".to_owned(), text("x"));
    let kept = store
        .update_connection(&row, row.kind, changed.clone(), Sealed::new(), now())
        .await
        .unwrap();
    assert_eq!((kept.id, kept.created), (row.id, row.created));
    assert!(kept.updated > row.updated);
    assert_eq!(store.connection(fabric, &name("lab")).await.unwrap(), kept);
    assert_eq!(value(&store, fabric, "lab").await.unwrap(), CANARY);
    // The row that was read before is too old now.
    let late = store.update_connection(&row, row.kind, changed.clone(), Sealed::new(), now()).await;
    assert_eq!(late.unwrap_err().code(), ErrorCode::ConnectionChanged);
    // Another value replaces the old one; an option that is gone takes its value along.
    let sealed = Sealed::from([("AWS_SECRET_ACCESS_KEY".to_owned(), secret("second"))]);
    let kept = store
        .update_connection(&kept, row.kind, changed.clone(), sealed, now() + TimeDelta::hours(1))
        .await
        .unwrap();
    assert_eq!(value(&store, fabric, "lab").await.unwrap(), "second");
    let kept = store
        .update_connection(&kept, row.kind, OptionMap::new(), Sealed::new(), now())
        .await
        .unwrap();
    assert!(store.connection_values(&kept).await.unwrap().is_empty());
    let lost = store.update_connection(&kept, row.kind, changed, Sealed::new(), now()).await;
    assert_eq!(lost.unwrap_err().code(), ErrorCode::Internal);
    assert_eq!(store.connection(fabric, &name("lab")).await.unwrap(), kept, "rolled back");

    store.delete_connection(fabric, &name("lab")).await.unwrap();
    assert_eq!(
        refused(store.delete_connection(fabric, &name("lab")).await),
        "error[connection.not_found]: no connection lab\nhint: `SHOW CONNECTIONS` lists them"
    );
    store.insert_connection(fabric, plain("lab"), now()).await.unwrap();
}

async fn fabrics_do_not_share_names(place: Place) {
    let (store, fabric) = place.fresh().await;
    let dev = store.create_fabric(&name("dev"), now()).await.unwrap().id;
    store.insert_connection(fabric, plain("lab"), now()).await.unwrap();
    store.insert_connection(dev, plain("lab"), now()).await.unwrap();
    store
        .create_secret(fabric, &name("k"), &secret("1"), SecretOrigin::Value, now())
        .await
        .unwrap();
    assert!(store.secrets(dev).await.unwrap().is_empty());
    let mut other = plain("uses");
    other.options.insert("PROXY".to_owned(), OptionValue::Secret(name("k")));
    let error = store.insert_connection(dev, other, now()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::SecretNotFound);
    let nowhere = store.insert_connection(FabricId::new(), plain("x"), now()).await.unwrap_err();
    assert_eq!(nowhere.code(), ErrorCode::FabricNotFound);
    // One that holds something stays, and so does `default`; an empty one goes.
    for kept in ["dev", "default"] {
        let error = store.drop_fabric(&name(kept)).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::FabricInUse, "{kept}");
    }
    store.create_fabric(&name("empty"), now()).await.unwrap();
    store.drop_fabric(&name("empty")).await.unwrap();
    assert_eq!(store.fabrics().await.unwrap().len(), 2);
}

async fn secrets_are_used_but_not_dropped_while_used(place: Place) {
    let (store, fabric) = place.fresh().await;
    let k = name("k");
    let first = secret(CANARY);
    let create = || store.create_secret(fabric, &k, &first, SecretOrigin::Env, now());
    create().await.unwrap();
    assert_eq!(
        refused(create().await),
        "error[secret.exists]: secret k exists\nhint: ALTER SECRET changes its value"
    );
    let mut lab = plain("lab");
    lab.options.insert("AWS_SECRET_ACCESS_KEY".to_owned(), OptionValue::Secret(k.clone()));
    let lab = store.insert_connection(fabric, lab, now()).await.unwrap();
    assert_eq!(value(&store, fabric, "lab").await.unwrap(), CANARY);
    let later = now() + TimeDelta::seconds(5);
    store.alter_secret(fabric, &k, &secret("new"), SecretOrigin::File, later).await.unwrap();
    assert_eq!(value(&store, fabric, "lab").await.unwrap(), "new");
    let rows = store.secrets(fabric).await.unwrap();
    assert_eq!(rows[0].used_by, [name("lab")]);
    assert_eq!(
        (rows[0].origin, rows[0].created, rows[0].updated),
        (SecretOrigin::File, now(), later)
    );
    assert_eq!(
        refused(store.drop_secret(fabric, &k).await),
        "error[secret.in_use]: secret `k` is used by lab\nhint: change or drop those connections first; ALTER SECRET changes the value in place"
    );
    store.update_connection(&lab, lab.kind, OptionMap::new(), Sealed::new(), now()).await.unwrap();
    store.drop_secret(fabric, &k).await.unwrap();
    assert_eq!(store.drop_secret(fabric, &k).await.unwrap_err().code(), ErrorCode::SecretNotFound);
    assert_eq!(store.open_secret(fabric, &k).await.unwrap_err().code(), ErrorCode::SecretNotFound);
}

async fn file_tables_live_in_schemas_and_hold_their_connection(place: Place) {
    let (store, fabric) = place.fresh().await;
    store.insert_connection(fabric, plain("lab"), now()).await.unwrap();
    let row = store.create_file_table(fabric, table("lab", "orders"), now()).await.unwrap();
    assert_eq!(
        store.file_table(fabric, &name("main"), &name("orders")).await.unwrap(),
        Some(row.clone())
    );
    assert_eq!(store.file_tables(fabric).await.unwrap(), std::slice::from_ref(&row));
    let again = store.create_file_table(fabric, table("lab", "orders"), now()).await;
    assert_eq!(refused(again), "error[table.exists]: table main.orders exists");
    let nowhere = store.create_file_table(fabric, table("no", "t"), now()).await;
    assert_eq!(nowhere.unwrap_err().code(), ErrorCode::ConnectionNotFound);
    let mut other = table("lab", "t");
    other.schema = name("sales");
    let unknown = store.create_file_table(fabric, other.clone(), now()).await;
    assert_eq!(unknown.unwrap_err().code(), ErrorCode::SchemaNotFound);
    assert_eq!(
        refused(store.create_schema(fabric, &name("lab"), now()).await),
        "error[connection.exists]: connection `lab` exists\nhint: connections and schemas of a fabric share one namespace: choose another name"
    );
    assert_eq!(
        store.create_schema(fabric, &name("main"), now()).await.unwrap_err().code(),
        ErrorCode::SchemaExists
    );
    store.create_schema(fabric, &name("sales"), now()).await.unwrap();
    assert_eq!(
        store.insert_connection(fabric, plain("sales"), now()).await.unwrap_err().code(),
        ErrorCode::SchemaExists
    );
    store.create_file_table(fabric, other, now()).await.unwrap();
    assert_eq!(
        store.drop_schema(fabric, &name("sales")).await.unwrap_err().code(),
        ErrorCode::SchemaInUse
    );
    assert_eq!(
        store.dependents(row.connection).await.unwrap(),
        ["file table main.orders", "file table sales.t"]
    );
    assert_eq!(
        refused(store.delete_connection(fabric, &name("lab")).await),
        "error[connection.in_use]: connection `lab` is used by file table main.orders, file table sales.t\nhint: drop what uses it first"
    );
    store.drop_file_table(fabric, &name("sales"), &name("t")).await.unwrap();
    store.drop_schema(fabric, &name("sales")).await.unwrap();
    assert_eq!(
        store.drop_schema(fabric, &name("sales")).await.unwrap_err().code(),
        ErrorCode::SchemaNotFound
    );
    assert_eq!(
        store.drop_schema(fabric, &name("main")).await.unwrap_err().code(),
        ErrorCode::SchemaInUse
    );
    store.drop_file_table(fabric, &name("main"), &name("orders")).await.unwrap();
    assert_eq!(
        store.drop_file_table(fabric, &name("main"), &name("orders")).await.unwrap_err().code(),
        ErrorCode::TableNotFound
    );
    store.delete_connection(fabric, &name("lab")).await.unwrap();
}

async fn regions_are_remembered_until_the_connection_changes(place: Place) {
    let (store, fabric) = place.fresh().await;
    let lab = store.insert_connection(fabric, plain("lab"), now()).await.unwrap();
    assert_eq!(store.region(lab.id, "lake").await.unwrap(), None);
    store.remember_region(lab.id, "lake", "eu-west-1").await.unwrap();
    store.remember_region(lab.id, "lake", "eu-west-2").await.unwrap();
    assert_eq!(store.region(lab.id, "lake").await.unwrap().as_deref(), Some("eu-west-2"));
    store.update_connection(&lab, lab.kind, OptionMap::new(), Sealed::new(), now()).await.unwrap();
    assert_eq!(store.region(lab.id, "lake").await.unwrap(), None);
    store.delete_connection(fabric, &name("lab")).await.unwrap();
    store.remember_region(lab.id, "lake", "eu-west-1").await.unwrap();
}

async fn a_lost_or_wrong_key_destroys_nothing(place: Place) {
    let (store, fabric) = place.fresh().await;
    store.insert_connection(fabric, with_key("lab", CANARY), now()).await.unwrap();
    store
        .create_secret(fabric, &name("k"), &secret(CANARY), SecretOrigin::Value, now())
        .await
        .unwrap();
    store.close().await;
    let key = std::fs::read(place.key()).unwrap();
    let folder = place.key().parent().unwrap().to_owned();

    std::fs::remove_file(place.key()).unwrap();
    let (store, _) = place.fresh().await;
    assert_eq!(store.connections(fabric).await.unwrap().len(), 1);
    assert_eq!(store.secrets(fabric).await.unwrap().len(), 1);
    for error in [
        value(&store, fabric, "lab").await.unwrap_err(),
        store.open_secret(fabric, &name("k")).await.unwrap_err(),
        store.insert_connection(fabric, with_key("b", "x"), now()).await.unwrap_err(),
        store.rotate_key(MasterKey::generate().unwrap()).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), ErrorCode::VaultKey);
        assert!(
            error.message().ends_with("is missing, and this store holds values sealed with it"),
            "{error}"
        );
    }
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0, "no new key was made");
    assert!(matches!(store.key_report().await.unwrap().status, KeyStatus::Unusable(_)));
    store.insert_connection(fabric, plain("b"), now()).await.unwrap();

    std::fs::write(place.key(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    let error = value(&store, fabric, "lab").await.unwrap_err();
    assert!(
        error.message().ends_with("holds another key than this store was sealed with"),
        "{error}"
    );

    std::fs::write(place.key(), key).unwrap();
    std::fs::set_permissions(place.key(), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(value(&store, fabric, "lab").await.unwrap(), CANARY);
    let report = store.key_report().await.unwrap();
    assert_eq!(report.status, KeyStatus::Ready);
    assert!(report.warning.unwrap().contains("can be used by others"));
    // A given key file is never made by us.
    let given = KeySource::given(place.home.path().join("given"));
    let url = place.home.path().join("other.db").display().to_string();
    let other = Store::open(&url, &given).await.unwrap();
    let fabric = other.fabric(&name(DEFAULT_FABRIC)).await.unwrap().id;
    let error = other.insert_connection(fabric, with_key("lab", "x"), now()).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::VaultKey);
    assert!(other.connections(fabric).await.unwrap().is_empty());
}

async fn a_rotation_reseals_and_survives_being_stopped(place: Place) {
    let (store, fabric) = place.fresh().await;
    store.insert_connection(fabric, with_key("lab", CANARY), now()).await.unwrap();
    store
        .create_secret(fabric, &name("k"), &secret("two"), SecretOrigin::Value, now())
        .await
        .unwrap();
    let other = place.open().await;
    assert_eq!(value(&other, fabric, "lab").await.unwrap(), CANARY);
    let old = std::fs::read(place.key()).unwrap();
    let next = PathBuf::from(format!("{}.next", place.key().display()));
    let check = async |store: &Store| {
        assert_eq!(value(store, fabric, "lab").await.unwrap(), CANARY);
        let k = store.open_secret(fabric, &name("k")).await.unwrap();
        assert_eq!(k.expose_secret(), "two");
    };

    assert_eq!(store.rotate_key(MasterKey::generate().unwrap()).await.unwrap(), 2);
    let new = std::fs::read(place.key()).unwrap();
    assert_ne!(new, old);
    assert!(!next.exists());
    // Another process that knew the old key, one that did not, and ourselves.
    for store in [&store, &other, &place.open().await] {
        check(store).await;
    }
    // Stopped before the commit: `next` is a stranger, and the next rotation replaces it.
    MasterKey::generate().unwrap();
    std::fs::write(&next, &old).unwrap();
    check(&place.open().await).await;
    assert!(next.exists());
    // Stopped after the commit: only `next` opens the store; the next use puts it in place.
    std::fs::write(&next, &new).unwrap();
    std::fs::write(place.key(), &old).unwrap();
    check(&place.open().await).await;
    assert_eq!(std::fs::read(place.key()).unwrap(), new);
    assert!(!next.exists());
    // The same, with a rotation as the next use, by one who knows the key already.
    std::fs::write(&next, &new).unwrap();
    std::fs::write(place.key(), &old).unwrap();
    assert_eq!(other.rotate_key(MasterKey::generate().unwrap()).await.unwrap(), 2);
    check(&store).await;
    // The same again, and the file of the old key is gone altogether.
    std::fs::rename(place.key(), &next).unwrap();
    check(&place.open().await).await;
    assert!(place.key().exists() && !next.exists());
    // Two at once, while others seal.
    let stores = [place.open().await, place.open().await, place.open().await];
    let (a, b, c) = tokio::join!(
        stores[0].rotate_key(MasterKey::generate().unwrap()),
        stores[1].rotate_key(MasterKey::generate().unwrap()),
        stores[2].insert_connection(fabric, with_key("more", CANARY), now()),
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok(), "{a:?} {b:?} {c:?}");
    for store in &stores {
        check(store).await;
        assert_eq!(value(store, fabric, "more").await.unwrap(), CANARY);
    }
    assert!(!next.exists());
}

async fn a_moved_sealed_value_does_not_open(place: Place) {
    let (store, fabric) = place.fresh().await;
    store.insert_connection(fabric, with_key("lab", CANARY), now()).await.unwrap();
    store.insert_connection(fabric, with_key("evil", "x"), now()).await.unwrap();
    place.execute(
        "UPDATE connection_secrets SET sealed = (SELECT s.sealed FROM connection_secrets s JOIN connections c ON c.id = s.connection_id WHERE c.name = 'lab')",
    )
    .await;
    assert_eq!(value(&store, fabric, "lab").await.unwrap(), CANARY);
    let error = value(&store, fabric, "evil").await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::VaultCorrupt);
    assert!(!format!("{error:?}").contains(CANARY));
}

async fn the_canary_is_nowhere(place: Place) {
    let (store, fabric) = place.fresh().await;
    store.insert_connection(fabric, with_key("lab", CANARY), now()).await.unwrap();
    let k = name("k");
    store.create_secret(fabric, &k, &secret(CANARY), SecretOrigin::Value, now()).await.unwrap();
    store.alter_secret(fabric, &k, &secret(CANARY), SecretOrigin::Value, now()).await.unwrap();
    let row = store.connection(fabric, &name("lab")).await.unwrap();
    let values = store.connection_values(&row).await.unwrap();
    let again = store.create_secret(fabric, &k, &secret(CANARY), SecretOrigin::Value, now()).await;
    let twice = store.insert_connection(fabric, with_key("lab", CANARY), now()).await;
    let shown =
        format!("{store:?} {row:?} {values:?} {again:?} {twice:?} {:?}", with_key("x", CANARY));
    assert!(!shown.contains(CANARY), "{shown}");
    let key = std::fs::read_to_string(place.key()).unwrap();
    let mut files = 0;
    // The store is still open: the write-ahead log is among them.
    for file in walk(place.home.path()) {
        let bytes = std::fs::read(&file).unwrap();
        let holds = |word: &str| bytes.windows(word.len()).any(|part| part == word.as_bytes());
        assert!(!holds(CANARY), "{}", file.display());
        assert!(file == place.key() || !holds(key.trim()), "{}", file.display());
        files += 1;
    }
    assert!(files >= if store.dialect() == Dialect::Sqlite { 4 } else { 1 }, "{files}");
    if let Some(server) = Postgres::shared().await
        && store.dialect() == Dialect::Postgres
    {
        let (done, dump) = server
            .sql_in(&place.url, "SELECT s::text FROM secrets s UNION ALL SELECT c::text FROM connection_secrets c UNION ALL SELECT m::text FROM meta m")
            .await;
        assert!(done && dump.contains("x1:") && !dump.contains(CANARY), "{dump}");
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder)
        .unwrap()
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path) } else { vec![path] }
        })
        .collect()
}

state_suite!(
    a_fresh_store_has_the_default_fabric_and_main,
    concurrent_openers_migrate_once,
    a_newer_store_is_refused,
    connections_are_kept_with_their_sealed_values,
    fabrics_do_not_share_names,
    secrets_are_used_but_not_dropped_while_used,
    file_tables_live_in_schemas_and_hold_their_connection,
    regions_are_remembered_until_the_connection_changes,
    a_lost_or_wrong_key_destroys_nothing,
    a_rotation_reseals_and_survives_being_stopped,
    a_moved_sealed_value_does_not_open,
    the_canary_is_nowhere,
);

#[tokio::test]
async fn an_sqlite_store_is_private_and_opens_at_once() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = sqlite().await.unwrap();
    let (store, fabric) = place.fresh().await;
    store.insert_connection(fabric, plain("lab"), now()).await.unwrap();
    for file in walk(place.home.path()) {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
    store.close().await;
    // Most generous, since other tests share the machine; it takes two or three milliseconds alone.
    let mut best = std::time::Duration::MAX;
    for _ in 0..10 {
        let begun = std::time::Instant::now();
        let store = place.open().await;
        best = best.min(begun.elapsed());
        store.close().await;
    }
    assert!(best.as_secs() < 5, "{best:?}");
    println!("opened in {best:?}");
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_says_so_without_its_password() {
    let key = KeySource::own("/nonexistent/key");
    let error = Store::open("postgres://me:hunter22@127.0.0.1:1/x", &key).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StateFailed);
    assert!(!format!("{error:?}").contains("hunter22"), "{error:?}");
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("state.db");
    std::fs::write(&file, "this is not a database, whatever its name says").unwrap();
    let error = Store::open(&file.display().to_string(), &key).await.unwrap_err();
    assert_eq!(error.code(), ErrorCode::StateFailed);
    assert!(error.chain().contains("not a database"), "{error:?}");
    let error = Store::open("mysql://a:hunter22@b/c", &key).await.unwrap_err();
    assert!(!format!("{error:?}").contains("hunter22"), "{error:?}");
}
