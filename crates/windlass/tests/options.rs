//! What a copy keeps and how it is limited and reported, each option with the built binary against a
//! service that honours it: the command line, SQL and a server alike.

#[path = "options/chosen.rs"]
mod chosen;
mod common;
#[path = "options/limits.rs"]
mod limits;
#[path = "options/there.rs"]
mod there;

use common::{Home, Server};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use windlass_testkit::{Fault, FaultKind, Moto, ObjectInfo, PutOptions, SeaweedFs, TestS3};

/// Two services, each with the buckets `lake` and `copy`, as the connections `lake` and `other`.
async fn services(home: &Home) -> (TestS3, TestS3) {
    let pair = (TestS3::start().await, TestS3::start().await);
    for (name, s3) in [("lake", &pair.0), ("other", &pair.1)] {
        s3.state().create_bucket("lake");
        s3.state().create_bucket("copy");
        let (id, secret) = s3.admin();
        home.connect(name, &s3.endpoint(), &id, &secret, "").good();
    }
    pair
}

fn tagged(tags: &[(&str, &str)], class: Option<&str>) -> PutOptions {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    PutOptions {
        content_type: Some("text/csv".to_owned()),
        content_encoding: Some("identity".to_owned()),
        metadata: vec![("owner".to_owned(), "me".to_owned())],
        storage_class: class.map(str::to_owned),
        tags: tags.iter().map(pair).collect(),
        ..PutOptions::default()
    }
}

fn info(s3: &TestS3, key: &str) -> ObjectInfo {
    s3.state().info("copy", key).unwrap_or_else(|| panic!("no `{key}`"))
}

fn tags(info: &ObjectInfo) -> BTreeMap<&str, &str> {
    info.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

fn denied() -> FaultKind {
    FaultKind::Error { status: 403, code: "AccessDenied".into(), message: "no".into() }
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_storage_class_are_kept_inside_a_service_across_and_in_parts() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    let odd = [("team", "a b&c=d"), ("t\u{e4}g", "")];
    let put = |key: &str, size: usize, options: PutOptions| {
        lake.state().put_with("lake", key, vec![7_u8; size], options);
    };
    put("in/small", 10, tagged(&odd, Some("STANDARD_IA")));
    put("in/big", 17 << 20, tagged(&odd, Some("STANDARD_IA")));
    put("in/plain", 10, tagged(&[], None));
    for (name, s3, asked) in [("lake", &lake, 0), ("other", &other, 2)] {
        let before = lake.state().count("GetObjectTagging");
        home.run(&["cp", "lake:lake/in/", &format!("{name}:copy/out/")]).good();
        for key in ["out/small", "out/big"] {
            let info = info(s3, key);
            assert_eq!(tags(&info), BTreeMap::from(odd), "{name} {key}");
            assert_eq!(info.storage_class, "STANDARD_IA", "{name} {key}");
            assert_eq!(info.metadata["owner"], "me");
        }
        let plain = info(s3, "out/plain");
        assert!(plain.tags.is_empty() && plain.storage_class == "STANDARD");
        // Small objects say with their bytes how many tags they have: those without cost nothing.
        assert_eq!(lake.state().count("GetObjectTagging") - before, asked, "{name}");
    }
    // What the connection says comes before what the source has, and an option before both.
    let (id, secret) = other.admin();
    home.connect("ia", &other.endpoint(), &id, &secret, "STORAGE_CLASS = 'GLACIER_IR'").good();
    home.run(&["cp", "lake:lake/in/small", "ia:copy/a"]).good();
    assert_eq!(info(&other, "a").storage_class, "GLACIER_IR");
    home.run(&["cp", "--storage-class", "keep", "lake:lake/in/small", "ia:copy/a"]).good();
    assert_eq!(info(&other, "a").storage_class, "STANDARD_IA");
    home.run(&["cp", "--storage-class", "ONEZONE_IA", "lake:lake/in/small", "ia:copy/a"]).good();
    assert_eq!(info(&other, "a").storage_class, "ONEZONE_IA");
    // A class that the destination does not know is not worth a failed copy, unless it was asked for.
    let unknown = FaultKind::Error {
        status: 400,
        code: "InvalidStorageClass".into(),
        message: "no such class".into(),
    };
    other.state().add_fault(Fault::new("PutObject", unknown.clone()));
    let talk = home.run(&["cp", "lake:lake/in/small", "other:copy/b"]);
    assert!(talk.stderr.contains("does not know the storage classes"), "{}", talk.stderr);
    assert_eq!((talk.code, info(&other, "b").storage_class.as_str()), (0, "STANDARD"));
    other.state().add_fault(Fault::new("PutObject", unknown).always());
    let refused = home.run(&["cp", "--storage-class", "X", "lake:lake/in/small", "other:copy/b"]);
    assert!(refused.refused(1).contains("InvalidStorageClass"));
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_headers_metadata_class_and_acl_are_what_is_asked_for_everywhere() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    lake.state().put_with("lake", "in/a", "a", tagged(&[("old", "1")], Some("STANDARD_IA")));
    lake.state().put_with("lake", "in/b", vec![1; 17 << 20], tagged(&[("old", "1")], None));
    let server = Server::start(&home);
    let client = Home::new();
    let flags = [
        "--add-tags",
        "new=2",
        "--acl",
        "bucket-owner-full-control",
        "--storage-class",
        "INTELLIGENT_TIERING",
        "--content-type",
        "text/plain",
        "--content-encoding",
        "",
        "--cache-control",
        "no-store",
        "--add-metadata",
        "by=us",
    ];
    let sql = |to: &str, place: &str| {
        format!(
            "COPY FILES FROM lake LOCATION = 'lake/in/' TO {to} LOCATION = 'copy/{place}' TAGS = (SET = ('new=2')) \
             ACL = 'bucket-owner-full-control' STORAGE_CLASS = 'INTELLIGENT_TIERING' \
             METADATA = (SET = ('by: us'), CONTENT_TYPE = 'text/plain', CONTENT_ENCODING = 'NONE', CACHE_CONTROL = 'no-store')"
        )
    };
    for (name, s3) in [("lake", &lake), ("other", &other)] {
        let to = |way: &str| format!("{name}:copy/{way}/");
        home.run(&[&["cp"], &flags[..], &["lake:lake/in/", &to("cli")]].concat()).good();
        home.rows(&sql(name, "sql/"));
        let through = ["--server", &server.url, "cp"];
        client.run(&[&through, &flags[..], &["lake:lake/in/", &to("http")]].concat()).good();
        for key in ["cli/a", "cli/b", "sql/a", "sql/b", "http/a", "http/b"] {
            let info = info(s3, key);
            assert_eq!(tags(&info), BTreeMap::from([("old", "1"), ("new", "2")]), "{name} {key}");
            assert_eq!(info.acl.as_deref(), Some("bucket-owner-full-control"), "{name} {key}");
            assert_eq!(info.storage_class, "INTELLIGENT_TIERING", "{name} {key}");
            assert_eq!(info.content_type.as_deref(), Some("text/plain"), "{name} {key}");
            assert_eq!(info.content_encoding, None, "{name} {key}");
            let metadata: Vec<_> = info.metadata.into_iter().collect();
            assert_eq!(
                metadata,
                [("by".into(), "us".into()), ("owner".into(), "me".into())],
                "{name} {key}"
            );
        }
        let cleared = ["cp", "--tags", "only=3", "--metadata", "x=y", "lake:lake/in/a", &to("t")];
        home.run(&cleared).good();
        assert_eq!(tags(&info(s3, "t/a")), BTreeMap::from([("only", "3")]));
        assert_eq!(info(s3, "t/a").metadata.len(), 1);
        assert_eq!(info(s3, "t/a").content_type.as_deref(), Some("text/csv"));
        let text = format!(
            "COPY FILES FROM lake LOCATION = 'lake/in/a' TO {name} LOCATION = 'copy/t/' TAGS = DROP METADATA = DROP"
        );
        home.rows(&text);
        assert!(info(s3, "t/a").tags.is_empty() && info(s3, "t/a").metadata.is_empty());
        home.run(&["cp", "lake:lake/in/a", &to("t")]).good();
        home.run(&["cp", "--no-tags", "lake:lake/in/a", &to("t")]).good();
        assert!(info(s3, "t/a").tags.is_empty());
    }
    // An object is given properties where it is; without any there is nothing to do.
    for place in ["cli/a", "cli/b"] {
        let at = format!("lake:copy/{place}");
        home.run(&["cp", "--tags", "in=place", &at, &at]).good();
        assert_eq!(tags(&info(&lake, place)), BTreeMap::from([("in", "place")]));
        assert_eq!(info(&lake, place).content_type.as_deref(), Some("text/plain"));
        assert_eq!(info(&lake, place).metadata["by"], "us");
        home.run(&["cp", "--cache-control", "no-cache", &at, &at]).good();
        assert_eq!(tags(&info(&lake, place)), BTreeMap::from([("in", "place")]));
        let same = home.run(&["-o", "json", "cp", &at, &at]).json();
        assert_eq!((&same["copied"], &same["skipped"]), (&0.into(), &1.into()));
    }
    // From this machine, also through a server.
    let file = home.scratch("f.csv");
    std::fs::write(&file, "1").unwrap();
    let path = file.to_str().unwrap();
    home.run(&[&["cp"], &flags[..], &[path, "lake:copy/up"]].concat()).good();
    let through = ["--server", &server.url, "cp"];
    client.run(&[&through, &flags[..], &[path, "lake:copy/up2"]].concat()).good();
    for key in ["up", "up2"] {
        let info = info(&lake, key);
        assert_eq!(tags(&info), BTreeMap::from([("new", "2")]), "{key}");
        assert_eq!(info.storage_class, "INTELLIGENT_TIERING", "{key}");
        assert_eq!(info.acl.as_deref(), Some("bucket-owner-full-control"), "{key}");
    }
    // A folder has none of these: that is said before anything is done.
    for flag in [
        ["--tags", "a=b"],
        ["--acl", "private"],
        ["--storage-class", "GLACIER"],
        ["--metadata", "a=b"],
        ["--content-type", "text/csv"],
    ] {
        let to = home.scratch("no/");
        let output = home.run(&["cp", flag[0], flag[1], "lake:lake/in/", to.to_str().unwrap()]);
        assert!(output.refused(1).contains("usage.invalid") && !to.exists(), "{flag:?}");
    }
    let refused = home.sql(
        "COPY FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/' ACL = 'everybody'",
    );
    assert!(refused.refused(1).contains("option.invalid"));
    // Tags that are there and may not be read fail the object rather than be lost.
    lake.state().add_fault(Fault::new("GetObjectTagging", denied()).always());
    let output = home.run(&["cp", "lake:lake/in/a", "other:copy/denied"]);
    assert!(
        output.refused(1).contains("--no-tags") && other.state().get("copy", "denied").is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_classes_go_round_other_services() {
    let home = Home::new();
    let (lake, _other) = services(&home).await;
    let (weed, moto) = (SeaweedFs::start().await, Moto::shared().await);
    weed.client().create_bucket("copy", "us-east-1").await;
    moto.client().create_bucket("options", "us-east-1").await;
    let keys = weed.full();
    home.connect("weed", &weed.endpoint(), &keys.access_key_id, &keys.secret_access_key, "").good();
    let keys = moto.keys();
    home.connect("moto", &moto.endpoint(), &keys.access_key_id, &keys.secret_access_key, "").good();
    let options = tagged(&[("a", "1"), ("b c", "2+3")], Some("STANDARD_IA"));
    lake.state().put_with("lake", "in/a", "a", options.clone());
    lake.state().put_with("lake", "in/b", vec![3; 17 << 20], options);
    let mut from = "lake:lake/in/".to_owned();
    for to in ["weed:copy/x/", "weed:copy/y/", "moto:options/x/", "moto:options/y/", "lake:copy/z/"]
    {
        home.run(&["cp", &from, to]).good();
        to.clone_into(&mut from);
    }
    for key in ["z/a", "z/b"] {
        let info = info(&lake, key);
        assert_eq!(tags(&info), BTreeMap::from([("a", "1"), ("b c", "2+3")]), "{key}");
        assert_eq!(info.storage_class, "STANDARD_IA", "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_objects_say_what_to_do_and_are_restored_on_request() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    lake.state().put_with("lake", "in/cold", "cold", tagged(&[], Some("GLACIER")));
    lake.state().put("lake", "in/warm", "warm");
    for to in ["other:copy/", "lake:copy/"] {
        let output = home.run(&["cp", "lake:lake/in/", to]);
        let talk = output.refused(3);
        assert!(talk.contains("archived") && talk.contains("--restore"), "{talk}");
    }
    let asked = home.run(&["cp", "--restore=3", "lake:lake/in/", "other:copy/"]).refused(3);
    assert!(asked.contains("restoration was asked for"), "{asked}");
    assert_eq!(lake.state().count("RestoreObject"), 1);
    let again = home.run(&["cp", "--restore=3", "lake:lake/in/", "other:copy/"]).refused(3);
    assert!(again.contains("restoration was asked for"), "{again}");
    lake.state().finish_restores();
    home.rows(
        "COPY FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/' RESTORE_DAYS = 3 STORAGE_CLASS = 'STANDARD'",
    );
    assert_eq!(other.state().get("copy", "cold").unwrap(), "cold");
    assert_eq!(info(&other, "cold").storage_class, "STANDARD");
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_followed_skipped_or_kept_and_lead_no_write_out_of_the_folder() {
    use std::os::unix::fs::symlink;
    let home = Home::new();
    let (lake, _other) = services(&home).await;
    let from = home.scratch("from");
    let outside = home.scratch("outside");
    for folder in [from.join("d"), outside.clone()] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(from.join("a"), "a").unwrap();
    std::fs::write(from.join("d/b"), "b").unwrap();
    std::fs::write(outside.join("secret"), "s").unwrap();
    symlink("a", from.join("to-a")).unwrap();
    symlink("..", from.join("d/loop")).unwrap();
    symlink(&outside, from.join("out")).unwrap();
    symlink("nowhere", from.join("dangling")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    let source = format!("{}/", from.display());
    let keys = |prefix: &str| -> Vec<String> {
        let all = lake.state().keys("copy").into_iter();
        all.filter_map(|key| key.strip_prefix(prefix).map(str::to_owned)).collect()
    };
    let followed = home.run(&["cp", &source, "lake:copy/follow/"]);
    assert!(
        followed.stderr.contains("2 objects skipped: a link that leads to nothing"),
        "{followed:?}"
    );
    followed.good();
    assert_eq!(keys("follow/"), ["a", "d/b", "out/secret", "to-a"], "loops end");
    std::fs::remove_file(from.join("socket")).unwrap();
    home.run(&["cp", "--links", "skip", &source, "lake:copy/skip/"]).good();
    assert_eq!(keys("skip/"), ["a", "d/b"]);
    let refused = home.run(&["cp", "--links", "keep", &source, "lake:copy/keep/"]);
    assert!(refused.refused(1).contains("between folders"));
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{}'", home.path().display())).good();
    home.rows(
        "COPY FILES FROM disk LOCATION = 'scratch/from/' TO lake LOCATION = 'copy/sql/' SYMLINKS = SKIP",
    );
    assert_eq!(keys("sql/"), ["a", "d/b"]);

    let to = home.scratch("to");
    let target = format!("{}/", to.display());
    let keep = ["-o", "json", "sync", "--links", "keep", "--delete", &source, &target];
    let counts = || {
        let row = home.run(&keep).json();
        ["copied", "updated", "deleted", "skipped"].map(|name| row[name].as_u64().unwrap())
    };
    assert_eq!(counts(), [6, 0, 0, 0]);
    for (name, leads) in [("to-a", "a"), ("d/loop", ".."), ("dangling", "nowhere")] {
        assert_eq!(std::fs::read_link(to.join(name)).unwrap().to_str().unwrap(), leads);
    }
    assert_eq!(std::fs::read_link(to.join("out")).unwrap(), outside);
    assert_eq!(counts(), [0, 0, 0, 6], "a second sync plans nothing");
    std::fs::remove_file(from.join("to-a")).unwrap();
    symlink("d", from.join("to-a")).unwrap();
    std::fs::remove_file(from.join("dangling")).unwrap();
    assert_eq!(counts(), [0, 1, 1, 4]);
    assert_eq!(std::fs::read_link(to.join("to-a")).unwrap().to_str().unwrap(), "d");
    assert!(to.join("dangling").symlink_metadata().is_err());
    home.rows(
        "SYNC FILES FROM disk LOCATION = 'scratch/from/' TO disk LOCATION = 'scratch/to2/' SYMLINKS = KEEP",
    );
    assert_eq!(std::fs::read_link(home.scratch("to2").join("out")).unwrap(), outside);

    // `out` at the destination leads outside: nothing is written, replaced or deleted through it.
    lake.state().put("lake", "t/out/new", "x");
    lake.state().put("lake", "t/ok", "y");
    let output = home.run(&["cp", "lake:lake/t/", &target]);
    let talk = output.refused(3);
    assert!(talk.contains("out of the folder"), "{talk}");
    assert!(to.join("ok").is_file() && !outside.join("new").exists());
    lake.state().remove("lake", "t/out/new");
    home.run(&["sync", "--delete", "lake:lake/t/", &target]);
    assert!(outside.join("secret").is_file(), "deleted through a link");
    // A folder that is a link itself is where its user means.
    symlink(&outside, home.scratch("alias")).unwrap();
    home.run(&["cp", "lake:lake/t/", &format!("{}/", home.scratch("alias").display())]).good();
    assert!(outside.join("ok").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_deletes_nothing_behind_a_link() {
    use std::os::unix::fs::symlink;
    let home = Home::new();
    let (lake, _other) = services(&home).await;
    let (from, outside) = (home.scratch("from"), home.scratch("outside"));
    for folder in [&from, &outside] {
        std::fs::create_dir_all(folder).unwrap();
    }
    std::fs::write(from.join("a"), "a").unwrap();
    std::fs::write(outside.join("theirs"), "t").unwrap();
    symlink(&outside, from.join("out")).unwrap();
    let source = format!("{}/", from.display());
    let talk = home.run(&["mv", &source, "lake:copy/moved/"]).refused(3);
    assert!(talk.contains("behind a link"), "{talk}");
    assert_eq!(lake.state().keys("copy"), ["moved/a", "moved/out/theirs"]);
    assert!(outside.join("theirs").is_file() && !from.join("a").exists());
    // What is named itself may be a link.
    home.run(&["mv", &format!("{source}out/"), "lake:copy/again/"]).good();
    assert!(!outside.join("theirs").exists());
}

/// A link between two of its own folders makes two keys one file: writing both, or deleting one, would
/// lose the other.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_destination_links_to_itself_is_neither_lost_nor_written_twice() {
    use std::fs::{create_dir_all, read_to_string, write};
    use std::os::unix::fs::symlink;
    let home = Home::new();
    let (from, to) = (home.scratch("from"), home.scratch("to"));
    create_dir_all(from.join("2026")).unwrap();
    write(from.join("2026/r"), "r").unwrap();
    write(from.join("a"), "A").unwrap();
    write(from.join("b"), "B").unwrap();
    let [source, target] = [&from, &to].map(|folder| format!("{}/", folder.display()));
    let sync = ["-o", "json", "sync", "--delete", &source, &target];
    let counts = || {
        let summary = home.run(&sync).json();
        ["copied", "updated", "deleted", "failed"].map(|name| summary[name].as_u64().unwrap())
    };
    assert_eq!(counts(), [3, 0, 0, 0]);
    symlink("2026", to.join("latest")).unwrap();
    assert_eq!(counts(), [0, 0, 0, 0]);
    assert_eq!(read_to_string(to.join("latest/r")).unwrap(), "r");
    // A link in the place of a file is replaced.
    std::fs::remove_file(to.join("b")).unwrap();
    symlink("a", to.join("b")).unwrap();
    counts();
    assert_eq!(["a", "b"].map(|name| read_to_string(to.join(name)).unwrap()), ["A", "B"]);
    assert_eq!(counts(), [0, 0, 0, 0]);
    // Nothing goes through a folder that is a link, so a move keeps what it cannot write.
    create_dir_all(from.join("latest")).unwrap();
    write(from.join("latest/r"), "other").unwrap();
    let talk = home.run(&["mv", &source, &target]).refused(3);
    assert!(talk.contains("latest` is a link to another folder"), "{talk}");
    assert_eq!(read_to_string(to.join("2026/r")).unwrap(), "r");
    assert_eq!(read_to_string(from.join("latest/r")).unwrap(), "other");
    home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{}'", home.path().display())).good();
    let copy = "COPY FILES FROM disk LOCATION = 'scratch/from/' TO disk LOCATION = 'scratch/to/'";
    assert!(home.sql(copy).refused(1).contains("is a link to another folder"));
    // Backups lie beside the destination.
    std::fs::remove_file(to.join("latest")).unwrap();
    let backup = format!("{}/", home.scratch("backup").display());
    home.run(&["sync", "--delete", "--backup-to", &backup, &source, &target]).good();
    assert_eq!(read_to_string(home.scratch("backup/2026/r")).unwrap(), "r");
    assert_eq!(read_to_string(to.join("latest/r")).unwrap(), "other");
    write(to.join("extra"), "e").unwrap();
    home.sql(
        "SYNC FILES FROM disk LOCATION = 'scratch/from/' TO disk LOCATION = 'scratch/to/' \
        DELETE = TRUE BACKUP_TO = 'scratch/backup2/'",
    )
    .good();
    assert_eq!(read_to_string(home.scratch("backup2/extra")).unwrap(), "e");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_piped_in_gets_what_it_is_given() {
    let home = Home::new();
    let (lake, _other) = services(&home).await;
    let given = ["--content-type", "text/csv", "--metadata", "owner=me", "--tags", "k=v"];
    let class = ["--storage-class", "STANDARD_IA"];
    for (key, size) in [("small", 10), ("large", 12 << 20)] {
        let to = format!("lake:copy/{key}");
        let arguments = [&["cp", "-", to.as_str()], &given[..], &class].concat();
        home.run_with(&arguments, &vec![7_u8; size]).good();
        let stored = info(&lake, key);
        assert_eq!(stored.content_type.as_deref(), Some("text/csv"));
        assert_eq!(
            (stored.storage_class.as_str(), &*stored.metadata["owner"]),
            ("STANDARD_IA", "me")
        );
        assert_eq!(tags(&stored), BTreeMap::from([("k", "v")]));
    }
    let file = home.scratch("piped");
    let to = ["cp", "-", file.to_str().unwrap(), "--tags", "k=v"];
    assert!(home.run_with(&to, b"x").refused(1).contains("has tags"));
    let out = [&["cp", "lake:copy/small", "-"], &given[..]].concat();
    assert!(home.run(&out).refused(1).contains("standard output"));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_in_parts_keep_to_the_bandwidth() {
    let home = Home::new();
    let (_lake, _other) = services(&home).await;
    let file = home.scratch("large");
    std::fs::write(&file, vec![7_u8; 24 << 20]).unwrap();
    let begin = Instant::now();
    home.run(&["cp", "--bandwidth", "10MB", file.to_str().unwrap(), "lake:copy/large"]).good();
    // A quarter of a second may pass at once.
    assert!(begin.elapsed() > Duration::from_secs(1), "{:?}", begin.elapsed());
    let begin = Instant::now();
    let input = vec![7_u8; 12 << 20];
    home.run_with(&["cp", "--bandwidth", "10MB", "-", "lake:copy/piped"], &input).good();
    assert!(begin.elapsed() > Duration::from_millis(900), "{:?}", begin.elapsed());
    for flag in ["--bandwidth", "--max-memory"] {
        let said = home.run(&["cp", flag, "0", file.to_str().unwrap(), "lake:copy/x"]).refused(1);
        assert!(said.contains("hint: leave"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_writes_its_report_in_three_formats_and_only_what_failed_is_repeated() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    for key in ["in/a", "in/b", "in/d/c"] {
        lake.state().put("lake", key, "x");
    }
    lake.state().add_fault(Fault::new("GetObject", denied()).on_key("in/d/c").always());
    let copy = "COPY FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/'";
    let report = |more: &str| home.sql(&format!("{copy} REPORT = {more}")).code;
    assert_eq!(report("'lake/reports/r.csv'"), 3);
    assert_eq!(report("(LOCATION = 'lake/r.jsonl', CONNECTION = 'lake', ITEMS = FAILED)"), 3);
    assert_eq!(report("(LOCATION = 'lake/reports/', FORMAT = PARQUET)"), 3);
    let csv = other.state().get("lake", "reports/r.csv").unwrap();
    let text = String::from_utf8(csv.to_vec()).unwrap();
    assert!(text.starts_with("action,source,destination,size,status,reason,code,hint\n"), "{text}");
    assert!(text.contains("copy,lake:lake/in/a,other:copy/a,1,done,,,\n"), "{text}");
    assert_eq!(text.lines().count(), 4, "{text}");
    let lines = lake.state().get("lake", "r.jsonl").unwrap();
    let failed: Value = serde_json::from_slice(&lines).unwrap();
    assert_eq!(
        (&failed["code"], &failed["status"]),
        (&"connection.denied".into(), &"failed".into())
    );
    assert!(failed["hint"].as_str().is_some_and(|hint| !hint.is_empty()), "{failed}");
    let run = home.rows("SELECT id FROM system.runs ORDER BY scheduled_for DESC LIMIT 1");
    let run = run[0]["id"].as_str().unwrap();
    let rows = home.rows(&format!(
        "SELECT status, code FROM other.\"lake/reports/{run}.parquet\" ORDER BY source"
    ));
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!((&rows[0]["code"], &rows[2]["code"]), (&Value::Null, &"connection.denied".into()));
    let items = home
        .rows(&format!("SELECT * FROM system.run_items WHERE run = '{run}' AND status = 'failed'"));
    assert_eq!(items[0]["code"], "connection.denied");
    assert!(items[0]["hint"].is_string());
    // The command line writes Parquet too.
    let file = home.scratch("r.parquet");
    let output =
        home.run(&["cp", "--report", file.to_str().unwrap(), "lake:lake/in/", "other:copy/"]);
    assert_eq!(output.code, 3);
    assert!(std::fs::read(&file).unwrap().starts_with(b"PAR1"));
    // A report that cannot be begun is found before anything is copied.
    assert_eq!(report("'lake/r.txt'"), 1);
    assert_eq!(report("(FORMAT = CSV)"), 1);

    lake.state().clear_faults();
    other.state().clear_requests();
    let again = &home.rows(&format!("{copy} FAILED_OF = '{run}'"))[0];
    assert_eq!((&again["copied"], other.state().count("PutObject")), (&1.into(), 1));
    let args = ["-o", "json", "cp", "--only-failed", run, "lake:lake/in/", "other:copy/again/"];
    assert_eq!(home.run(&args).json()["copied"], 1);
    assert!(other.state().get("copy", "again/d/c").is_some());
    assert!(home.sql(&format!("{copy} FAILED_OF = 'rn_x'")).refused(1).contains("option.invalid"));
    let elsewhere = format!(
        "COPY FILES FROM lake LOCATION = 'copy/' TO other LOCATION = 'copy/' FAILED_OF = '{run}'"
    );
    assert!(home.sql(&elsewhere).refused(1).contains("does not lie below"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_in_which_all_failed_ends_as_its_items_did() {
    let home = Home::new();
    let (lake, _other) = services(&home).await;
    for key in ["in/a", "in/b"] {
        lake.state().put("lake", key, "x");
    }
    let copy = "COPY FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/'";
    let both = || {
        let typed = home.run(&["cp", "lake:lake/in/", "other:copy/"]);
        let stated = home.sql(copy);
        assert_eq!(typed.code, stated.code, "{}\n{}", typed.stderr, stated.stderr);
        (typed.code, typed.stderr, stated.stderr)
    };
    lake.state().add_fault(Fault::new("GetObject", denied()).always());
    let (code, typed, stated) = both();
    assert_eq!(code, 1);
    for text in [typed, stated] {
        assert!(
            text.contains("error[connection.denied]: nothing was done: 2 items failed"),
            "{text}"
        );
    }
    lake.state().clear_faults();
    lake.state().add_fault(Fault::new("GetObject", FaultKind::CorruptByte).always());
    let (code, typed, stated) = both();
    assert_eq!(code, 2, "the world's, not the user's");
    for text in [typed, stated] {
        assert!(text.contains("error[object.corrupt]: nothing was done"), "{text}");
    }
    lake.state().clear_faults();
    lake.state().add_fault(Fault::new("GetObject", denied()).on_key("in/a").always());
    lake.state().add_fault(Fault::new("GetObject", FaultKind::CorruptByte).on_key("in/b").always());
    let (code, typed, _) = both();
    assert!(code == 1 && typed.contains("error[transfer.failed]"), "{typed}");
    let ended = home.rows("SELECT state, error, failed FROM system.runs");
    assert_eq!(ended.len(), 6);
    for run in &ended {
        assert!(run["state"] == "failed" && run["error"].is_string(), "{run:?}");
        assert_eq!(run["failed"], 2, "{run:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_keep_to_their_rate_and_copies_are_read_back_on_request() {
    let home = Home::new();
    let (lake, other) = services(&home).await;
    for n in 0..15 {
        lake.state().put("lake", &format!("in/{n}"), vec![1; 100]);
    }
    let began = Instant::now();
    home.run(&["cp", "--requests-per-second", "20", "lake:lake/in/", "other:copy/"]).good();
    // A listing, 15 reads and 15 writes: five at once, the others one after the other.
    assert!(began.elapsed() > Duration::from_millis(1200), "{:?}", began.elapsed());
    other.state().clear_requests();
    home.run(&["cp", "lake:lake/in/", "other:copy/"]).good();
    assert_eq!(other.state().count("GetObject"), 0);
    home.run(&["cp", "--check", "read-back", "lake:lake/in/", "other:copy/"]).good();
    assert_eq!(other.state().count("GetObject"), 15);
    home.rows(
        "MOVE FILES FROM lake LOCATION = 'lake/in/' TO other LOCATION = 'copy/' CHECK = READ_BACK REQUESTS_PER_SECOND = 1000",
    );
    assert_eq!(other.state().count("GetObject"), 30);
    assert!(lake.state().keys("lake").is_empty());
    // What is read back and is not what was sent is removed, and the copy repeated.
    lake.state().put("lake", "one", "one");
    other.state().add_fault(Fault::new("GetObject", FaultKind::CorruptByte));
    let sums = other.state().count("PutObject");
    home.run(&["cp", "--check", "read-back", "lake:lake/one", "other:copy/one"]).good();
    assert_eq!(other.state().get("copy", "one").unwrap(), "one");
    assert!(other.state().count("PutObject") > sums);
}
