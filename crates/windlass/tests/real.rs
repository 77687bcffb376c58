//! Real services: SeaweedFS with three identities, moto with STS, IAM and KMS, PostgreSQL for state.

mod common;

use common::Home;
use windlass_testkit::{Moto, ONE_BUCKET, Postgres, SeaweedFs};

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
