//! Real services: SeaweedFS with three identities, moto with STS, IAM and KMS, PostgreSQL for state.

mod common;

use common::Home;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};
use windlass_testkit::{Client, Moto, ONE_BUCKET, Postgres, SeaweedFs};

/// One identity with all rights, one that reads, one with a single bucket.
#[tokio::test(flavor = "multi_thread")]
async fn seaweedfs_serves_every_identity_what_it_may() {
    let weed = SeaweedFs::start().await;
    let client = weed.client();
    for bucket in ["lake", ONE_BUCKET] {
        client.create_bucket(bucket, "us-east-1").await;
    }
    client.put("lake", "orders/dt=2026-11-01/a.csv", "id,n\n1,10\n2,20\n").await;
    client.put("lake", "orders/dt=2026-11-02/a.csv", "id,n\n3,30\n").await;
    let home = Home::new();
    let endpoint = weed.endpoint();
    let connect = |name: &str, keys: &windlass_testkit::Keys, more: &str| {
        home.connect(name, &endpoint, &keys.access_key_id, &keys.secret_access_key, more)
    };
    connect("full", &weed.full(), "").good();
    connect("reader", &weed.reader(), "BUCKET = 'lake'").good();
    let rows = home.rows("SELECT dt, sum(n) AS n FROM reader.\"orders/\" GROUP BY dt ORDER BY dt");
    assert_eq!((rows[0]["n"].as_i64(), rows[1]["n"].as_i64()), (Some(30), Some(30)));
    // Writing is refused by the service, and says what was missing.
    let text = home.run_with(&["cp", "-", "reader:x.txt"], b"x").stderr;
    assert!(text.contains("connection.denied") && text.contains("s3:PutObject"), "{text}");
    home.run_with(&["cp", "-", "full:lake/x.txt"], b"hello").good();
    assert_eq!(home.run(&["cat", "reader:x.txt"]).good(), "hello");
    // Through the whole path: up, across, down, in parts.
    let big: Vec<u8> =
        (0..40_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let file = home.scratch("big.bin");
    std::fs::write(&file, &big).unwrap();
    home.run(&["cp", file.to_str().unwrap(), "full:lake/big.bin"]).good();
    home.run(&["cp", "full:lake/big.bin", &format!("full:{ONE_BUCKET}/")]).good();
    let back = home.scratch("back.bin");
    home.run(&["cp", &format!("full:{ONE_BUCKET}/big.bin"), back.to_str().unwrap()]).good();
    assert!(std::fs::read(back).unwrap() == big, "the bytes came back as they went");
    // The identity of one bucket sees that one, and not the other.
    connect("one", &weed.one(), &format!("BUCKET = '{ONE_BUCKET}'")).good();
    assert!(connect("astray", &weed.one(), "BUCKET = 'lake'").refused(1).contains("test_failed"));
    let rows = home.rows("TEST CONNECTION full WITH WRITE");
    assert!(rows.iter().all(|row| row["status"] != "failed"), "{rows:#?}");
    assert!(!client_keys(&home).iter().any(|key| key.contains("windlass-probe")));
}

fn client_keys(home: &Home) -> Vec<String> {
    let rows = home.run(&["-o", "json", "ls", "-r", "full:lake/"]).json();
    rows.as_array().unwrap().iter().map(|row| row["key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn moto_assumes_roles_enforces_policies_and_encrypts() {
    let moto = Moto::start().await;
    let client = moto.client();
    client.create_bucket("lake", "us-east-1").await;
    client.create_bucket("elsewhere", "eu-west-1").await;
    client.put("lake", "a.csv", "x\n1\n").await;
    client.put("elsewhere", "b.csv", "x\n2\n").await;
    let read = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["s3:ListBucket","s3:GetObject","s3:ListAllMyBuckets","s3:GetBucketLocation"],"Resource":"*"}]}"#;
    let assume = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sts:*","Resource":"*"}]}"#;
    let role = moto.create_role("reader", read).await;
    let key = moto.create_kms_key().await;
    let user = moto.create_user("worker", assume).await;
    let nobody = moto.create_user("nobody", r#"{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#).await;
    let home = Home::new();
    let endpoint = moto.endpoint();
    let admin = moto.keys();
    // KMS on every write.
    home.connect(
        "sealed",
        &endpoint,
        &admin.access_key_id,
        &admin.secret_access_key,
        &format!("ENCRYPTION_KMS_KEY = '{key}'"),
    )
    .good();
    home.run_with(&["cp", "-", "sealed:lake/k.txt"], b"sealed").good();
    let stat = home.run(&["-o", "json", "stat", "sealed:lake/k.txt"]).good();
    assert!(stat.contains("aws:kms"), "{stat}");
    moto.enforce(true).await;
    // The user alone may do nothing; through the role it reads.
    home.connect("alone", &endpoint, &user.access_key_id, &user.secret_access_key, "").refused(1);
    let through = format!("AWS_ROLE = '{role}' STS_ENDPOINT = '{endpoint}'");
    home.connect("role", &endpoint, &user.access_key_id, &user.secret_access_key, &through).good();
    assert_eq!(home.rows("SELECT x FROM role.\"lake/a.csv\"")[0]["x"], 1);
    assert_eq!(home.run(&["cat", "role:elsewhere/b.csv"]).good(), "x\n2\n");
    assert!(
        home.run_with(&["cp", "-", "role:lake/no.txt"], b"x").stderr.contains("connection.denied")
    );
    let text = home
        .connect(
            "denied",
            &endpoint,
            &nobody.access_key_id,
            &nobody.secret_access_key,
            "BUCKET = 'lake'",
        )
        .refused(1);
    assert!(text.contains("s3:ListBucket"), "{text}");
    moto.enforce(false).await;
}

type Tree = BTreeMap<String, Vec<u8>>;

/// Names that every service keeps as they are, one of them of an object that goes in parts.
fn awkward() -> Tree {
    let large = (0..17_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let mut tree = Tree::from([("deep/er/large".to_owned(), large), ("empty".to_owned(), vec![])]);
    for name in [
        "a b/c+d&e=f.txt",
        "\u{fc}/\u{c4} \u{65e5}.txt",
        "it's (1).txt",
        "%41 #?[x]{y}~.csv",
        "$x;y,z@:!*",
    ] {
        tree.insert(name.to_owned(), name.as_bytes().to_vec());
    }
    tree
}

/// Writes files that are older than any copy of them.
fn write(folder: &Path, tree: &Tree) {
    for (name, bytes) in tree {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_hours(438_000)).unwrap();
    }
}

fn read(root: &Path, folder: &Path, tree: &mut Tree) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(root, &path, tree);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            tree.insert(name, std::fs::read(&path).unwrap());
        }
    }
}

/// Moves and syncs a small tree at one service, of which a client of its own says what is there.
async fn moved_and_synced(home: &Home, name: &str, client: &Client) {
    let tree = awkward();
    let folder = home.scratch(name);
    let here = format!("{}/", folder.display());
    let at = |place: &str| format!("{name}:awkward/{place}/");
    let summary = |arguments: &[&str]| {
        let row = home.run(&[&["-o", "json"], arguments].concat()).json();
        ["copied", "updated", "deleted", "skipped", "failed"].map(|it| row[it].as_u64().unwrap())
    };
    let all = tree.len() as u64;
    // Up, and on within the service: what was moved is there, and only there.
    write(&folder, &tree);
    assert_eq!(summary(&["mv", &here, &at("in")]), [all, 0, all, 0, 0], "{name}");
    let mut left = Tree::new();
    read(&folder, &folder, &mut left);
    assert!(left.is_empty(), "{name}: {:?}", left.keys());
    assert_eq!(summary(&["mv", &at("in"), &at("moved")]), [all, 0, all, 0, 0], "{name}");
    for (key, bytes) in &tree {
        let stored = client.get("awkward", &format!("moved/{key}")).await;
        assert!(stored.as_deref() == Some(&bytes[..]), "{name}: {key}");
        assert!(client.get("awkward", &format!("in/{key}")).await.is_none(), "{name}: {key}");
    }
    // An exact copy: one is another, two are too many.
    write(&folder, &tree);
    let to = at("to");
    let sync = ["sync", "--delete", here.as_str(), to.as_str()];
    assert_eq!(summary(&sync), [all, 0, 0, 0, 0], "{name}");
    for extra in ["ex tra+1", "\u{fc}/no"] {
        client.put("awkward", &format!("to/{extra}"), "x").await;
    }
    client.put("awkward", "to/it's (1).txt", "of another size").await;
    assert_eq!(summary(&sync), [0, 1, 2, all - 1, 0], "{name}");
    let exact = ["sync", "--delete", "--checksum", here.as_str(), to.as_str()];
    assert_eq!(summary(&exact), [0, 0, 0, all, 0], "{name}");
    // And back.
    let back = home.scratch(&format!("{name}-back"));
    let there = format!("{}/", back.display());
    assert_eq!(summary(&["mv", &to, &there]), [all, 0, all, 0, 0], "{name}");
    let mut found = Tree::new();
    read(&back, &back, &mut found);
    assert!(found == tree, "{name}: {:?}", found.keys());
    assert_eq!(home.run(&["-o", "json", "ls", "-r", &to]).json(), Value::Array(vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn moves_and_exact_copies_of_awkward_names_are_the_same_bytes_elsewhere() {
    let (weed, moto) = (SeaweedFs::shared().await, Moto::shared().await);
    let home = Home::new();
    for (name, endpoint, client, keys) in [
        ("weed", weed.endpoint(), weed.client(), weed.full()),
        ("moto", moto.endpoint(), moto.client(), moto.keys()),
    ] {
        client.create_bucket("awkward", "us-east-1").await;
        home.connect(name, &endpoint, &keys.access_key_id, &keys.secret_access_key, "").good();
        moved_and_synced(&home, name, &client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_to_a_key_of_kms_is_sealed_and_comes_back_as_it_was() {
    let moto = Moto::shared().await;
    moto.client().create_bucket("sealed", "us-east-1").await;
    let (home, keys, kms) = (Home::new(), moto.keys(), moto.create_kms_key().await);
    for (name, more) in
        [("plain", String::new()), ("sealed", format!("ENCRYPTION_KMS_KEY = '{kms}'"))]
    {
        let (id, secret) = (&keys.access_key_id, &keys.secret_access_key);
        home.connect(name, &moto.endpoint(), id, secret, &more).good();
    }
    let tree = awkward();
    let folder = home.scratch("in");
    write(&folder, &tree);
    let here = format!("{}/", folder.display());
    for verb in ["cp", "mv"] {
        home.run(&["cp", &here, "plain:sealed/in/"]).good();
        home.run(&[verb, "plain:sealed/in/", "sealed:sealed/kept/"]).good();
        for key in tree.keys() {
            let stat = home.run(&["-o", "json", "stat", &format!("plain:sealed/kept/{key}")]);
            assert_eq!(stat.json()[0]["encryption"], "aws:kms", "{verb} {key}");
        }
        home.run(&[verb, "sealed:sealed/kept/", "plain:sealed/back/"]).good();
        let back = home.scratch(verb);
        home.run(&["mv", "plain:sealed/back/", &format!("{}/", back.display())]).good();
        let mut found = Tree::new();
        read(&back, &back, &mut found);
        assert!(found == tree, "{verb}: {:?}", found.keys());
    }
    let left = home.run(&["-o", "json", "ls", "-r", "plain:sealed/"]).json();
    assert_eq!(left, Value::Array(vec![]), "what was moved is gone");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_statements_write_is_there_whole_and_under_conditions_elsewhere() {
    let (weed, moto) = (SeaweedFs::shared().await, Moto::shared().await);
    let (home, kms) = (Home::new(), moto.create_kms_key().await);
    for (name, endpoint, client, keys, more) in [
        ("weed", weed.endpoint(), weed.client(), weed.full(), String::new()),
        ("moto", moto.endpoint(), moto.client(), moto.keys(), String::new()),
        (
            "kms",
            moto.endpoint(),
            moto.client(),
            moto.keys(),
            format!("ENCRYPTION_KMS_KEY = '{kms}'"),
        ),
    ] {
        let bucket = format!("tables-{name}");
        client.create_bucket(&bucket, "us-east-1").await;
        let more = format!("BUCKET = '{bucket}' {more}");
        home.connect(name, &endpoint, &keys.access_key_id, &keys.secret_access_key, &more).good();
        let count = |what: &str| {
            let rows = home.rows(&format!("SELECT count(*) AS n, sum(id) AS s FROM {what}"));
            ["n", "s"].map(|it| rows[0][it].as_i64().unwrap())
        };
        // In parts, and refused where something is.
        let large = format!(
            "COPY (SELECT g AS id, repeat('x', 100) AS t FROM generate_series(1, 200000) AS s(g)) TO '{name}:large.csv'"
        );
        home.sql(&large).good();
        assert_eq!(count(&format!("{name}.\"large.csv\"")), [200_000, 20_000_100_000], "{name}");
        let refused = home.sql(&large).refused(1);
        assert!(refused.contains("error["), "{name}: {refused}");
        // Added to, and put in the place of what was there, in folders.
        let rows = |from: u32, to: u32| {
            format!("SELECT g AS id, g % 2 AS p FROM generate_series({from}, {to}) AS s(g)")
        };
        home.sql(&format!(
            "CREATE FILE TABLE t_{name} ON {name} LOCATION = 't/' CONTENT_TYPE = (TYPE = PARQUET) PARTITIONED_BY = ('p') AS {}",
            rows(1, 10)
        ))
        .good();
        home.sql(&format!("INSERT INTO t_{name} {}", rows(11, 20))).good();
        assert_eq!(count(&format!("t_{name}")), [20, 210], "{name}");
        home.sql(&format!(
            "COPY ({}) TO '{name}:t/' OPTIONS (FILE_FORMAT = PARQUET, PARTITIONED_BY = ('p'), MODE = OVERWRITE)",
            rows(1, 3)
        ))
        .good();
        assert_eq!(count(&format!("{name}.\"t/\"")), [3, 6], "{name}");
        assert_eq!(count(&format!("{name}.\"t/p=1/\"")), [2, 4], "{name}");
        let uploads = home.run(&["-o", "json", "uploads", &format!("{name}:")]).json();
        assert_eq!(uploads, Value::Array(vec![]), "{name}");
        if name == "kms" {
            let stat = home.run(&["-o", "json", "stat", "kms:large.csv"]).json();
            assert_eq!(stat[0]["encryption"], "aws:kms");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn state_may_live_in_postgresql() {
    let postgres = Postgres::shared().await.expect("PostgreSQL is installed by `make setup`");
    let mut home = Home::new();
    home.set("WINDLASS_DATABASE_URL", &postgres.database().await);
    home.sql("CREATE SECRET s = 'value'; CREATE S3 CONNECTION x ANONYMOUS = TRUE BUCKET = 'b00' SKIP_VALIDATION = TRUE").good();
    assert_eq!(home.rows("SHOW CONNECTIONS LIKE 'x'").len(), 1);
    assert!(!home.path().join("home/windlass.db").exists());
    // Another home with the same database and key sees the same.
    let mut second = Home::new();
    for (name, value) in home.environment() {
        second.set(name, value);
    }
    second.set("WINDLASS_KEY_FILE", home.path().join("home/key").to_str().unwrap());
    assert_eq!(second.rows("SHOW SECRETS").len(), 1);
}
