//! A canary secret: whatever is done with it, it occurs nowhere it could be read.

mod common;

use common::Home;
use std::path::Path;
use windlass_testkit::{TestIdentity, TestS3, TestS3Options};

const CANARY: &str = "canary+SECRET/4f9b1c7e0d";

fn files(folder: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_in_no_output_log_or_file() {
    let s3 = TestS3::start_with(TestS3Options {
        identities: vec![
            TestIdentity::new("AKIACANARY", CANARY).read(["lake"]).write(["lake"]).list_buckets(),
        ],
        ..TestS3Options::default()
    })
    .await;
    s3.state().create_bucket("lake");
    s3.state().put("lake", "a.csv", "x\n1\n");
    let mut home = Home::new();
    home.set("WINDLASS_LOG", "trace");
    home.set("CANARY_VARIABLE", CANARY);
    let endpoint = s3.endpoint();
    let create = |name: &str, secret: &str, more: &str| {
        format!(
            "CREATE OR REPLACE S3 CONNECTION {name} ENDPOINT = '{endpoint}' ALLOW_HTTP = TRUE AWS_ACCESS_KEY_ID = 'AKIACANARY' AWS_SECRET_ACCESS_KEY = {secret} {more}"
        )
    };
    let statements = [
        format!("CREATE SECRET named = '{CANARY}'"),
        "CREATE SECRET environment FROM ENV 'CANARY_VARIABLE'".to_owned(),
        create("typed", &format!("'{CANARY}'"), ""),
        create("named", "SECRET named", ""),
        create("broken", &format!("'{CANARY}'"), "BUCKET = 'nolake'"),
        create("twice", &format!("'{CANARY}' AWS_SECRET_ACCESS_KEY = '{CANARY}'"), ""),
        create("mistyped", &format!("'{CANARY}"), ""),
        create("unknown", &format!("'{CANARY}' REGON = 'x'"), ""),
        format!("CREATE SECRET named = '{CANARY}'"),
        format!("CREATE SECRET {CANARY}"),
        format!("CREAT S3 CONNECTION x AWS_SECRET_ACCESS_KEY = '{CANARY}'"),
        format!("ALTER S3 CONNECTION typed SET AWS_SECRET_ACCESS_KEY = '{CANARY}' SET HEADERS = ('x-token: {CANARY}')"),
        format!("ALTER S3 CONNECTION typed SET PROXY = 'ftp://u:{CANARY}@h'"),
        "SHOW CONNECTIONS; SHOW SECRETS; DESCRIBE CONNECTION typed; SHOW CREATE CONNECTION typed; TEST CONNECTION typed".to_owned(),
        "SELECT * FROM system.connections; SELECT * FROM typed.\"lake/a.csv\"; SELECT * FROM typed.\"nolake/a.csv\"".to_owned(),
        "LIST typed.\"lake/\" RECURSIVE".to_owned(),
        "EXPLAIN SELECT * FROM typed.\"lake/a.csv\"".to_owned(),
    ];
    let mut seen = String::new();
    for statement in &statements {
        for format in ["table", "json"] {
            let output = home.run_with(&["-o", format, "sql", "-c", "-"], statement.as_bytes());
            seen.push_str(&output.stdout);
            seen.push_str(&output.stderr);
        }
    }
    for arguments in [
        vec!["ls", "typed:lake/"],
        vec!["cp", "typed:lake/a.csv", "typed:lake/b.csv"],
        vec!["presign", "typed:lake/a.csv"],
        vec!["policy", "typed", "--for", "full"],
        vec!["connection", "test", "typed"],
        vec!["key", "rotate"],
        vec!["doctor"],
    ] {
        let output = home.run(&arguments);
        seen.push_str(&output.stdout);
        seen.push_str(&output.stderr);
    }
    assert!(seen.contains("typed") && seen.len() > 10_000, "the log level took effect");
    // A name is not a secret, however it looks; everything else must be clean.
    let leaks: Vec<&str> = seen
        .lines()
        .filter(|line| line.contains(CANARY) && !line.contains("CREATE SECRET canary"))
        .collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    let mut found = Vec::new();
    files(home.path(), &mut found);
    assert!(found.iter().any(|path| path.ends_with("windlass.db")), "{found:?}");
    for path in found {
        let bytes = std::fs::read(&path).unwrap();
        let leaked = bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
        assert!(!leaked, "{} holds the secret", path.display());
    }
}
