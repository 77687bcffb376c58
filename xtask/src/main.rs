//! Checks of the repository itself: `cargo xtask check-layers`, `check-versions`, `check-docs`.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Which of our crates each crate may name, dev-dependencies aside. The direction is the
/// architecture's; see ARCHITECTURE.md.
const LAYERS: &[(&str, &[&str])] = &[
    ("windlass-types", &[]),
    ("windlass-sql", &["windlass-types"]),
    ("windlass-state", &["windlass-types"]),
    ("windlass-s3", &["windlass-types"]),
    ("windlass-remotes", &["windlass-types", "windlass-s3"]),
    ("windlass-transfer", &["windlass-types", "windlass-s3"]),
    ("windlass-formats", &["windlass-types"]),
    ("windlass-query", &["windlass-types", "windlass-s3", "windlass-formats"]),
    ("windlass-catalog", &["windlass-types", "windlass-s3", "windlass-formats"]),
    ("windlass-jobs", &["windlass-types", "windlass-state"]),
    (
        "windlass-core",
        &[
            "windlass-types",
            "windlass-sql",
            "windlass-state",
            "windlass-s3",
            "windlass-remotes",
            "windlass-transfer",
            "windlass-query",
            "windlass-catalog",
            "windlass-jobs",
        ],
    ),
    ("windlass-server", &["windlass-types", "windlass-core"]),
    ("windlass-cli", &["windlass-types", "windlass-core", "windlass-server"]),
    ("windlass-testkit", &[]),
    (
        "windlass",
        &["windlass-types", "windlass-core", "windlass-server", "windlass-cli", "windlass-testkit"],
    ),
    ("windlass-bench", &[]),
    ("xtask", &[]),
];

/// Which crates may name a library: a line that names a library lives in that library's room.
const ROOMS: &[(&str, &[&str])] = &[
    ("aws-sdk-s3", &["windlass-s3", "windlass-transfer"]),
    ("aws-sdk-sts", &["windlass-s3"]),
    ("aws-config", &["windlass-s3"]),
    ("datafusion", &["windlass-query"]),
    ("datafusion-pg-catalog", &["windlass-query"]),
    ("deltalake-core", &["windlass-query"]),
    ("sqlx", &["windlass-state"]),
    ("croner", &["windlass-jobs"]),
    ("lettre", &["windlass-jobs"]),
    ("axum", &["windlass-server"]),
    ("pgwire", &["windlass-server"]),
    ("russh", &["windlass-remotes"]),
    ("russh-sftp", &["windlass-remotes"]),
    ("clap", &["windlass-cli"]),
    ("indicatif", &["windlass-cli"]),
    ("anyhow", &["windlass", "windlass-bench", "xtask"]),
];

/// Libraries of which the lock file holds exactly one version.
const SINGLE: &[&str] = &[
    "datafusion",
    "arrow-array",
    "parquet",
    "object_store",
    "sqlparser",
    "rustls",
    "hyper",
    "axum",
    "reqwest",
    "russh",
    "aws-sdk-s3",
    "sqlx",
    "tokio",
];

/// Older versions that a library insists on, and which: ours is another, and the older one idles.
const BROUGHT: &[(&str, &str, &str)] = &[
    // Its clients of clouds, which the reader of Delta logs asks for and nothing uses.
    ("reqwest", "0.12.", "object_store"),
];

/// Longest source file, in lines.
const MAX_LINES: usize = 650;

fn main() -> Result<()> {
    let task = std::env::args().nth(1).unwrap_or_default();
    match task.as_str() {
        "check-layers" => check_layers(),
        "check-versions" => check_versions(),
        "check-files" => check_files(),
        "check" => check_layers().and_then(|()| check_versions()).and_then(|()| check_files()),
        other => bail!(
            "unknown task `{other}`; known are check, check-layers, check-versions, check-files"
        ),
    }
}

fn metadata() -> Result<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
        .output()
        .context("run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("read cargo metadata")
}

fn check_layers() -> Result<()> {
    let metadata = metadata()?;
    let layers: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut faults = Vec::new();
    for package in metadata["packages"].as_array().context("packages")? {
        let name = package["name"].as_str().context("name")?;
        let Some(allowed) = layers.get(name) else {
            faults.push(format!("`{name}` has no row in LAYERS of xtask"));
            continue;
        };
        for dependency in package["dependencies"].as_array().context("dependencies")? {
            let other = dependency["name"].as_str().context("dependency name")?;
            let dev = dependency["kind"].as_str() == Some("dev");
            if layers.contains_key(other) && !dev && !allowed.contains(&other) {
                faults.push(format!("`{name}` may not use `{other}`"));
            }
            let room = ROOMS.iter().find(|(library, _)| *library == other);
            if let Some((library, rooms)) = room
                && !rooms.contains(&name)
                && !dev
            {
                faults
                    .push(format!("`{library}` lives in {}, not in `{name}`", rooms.join(" and ")));
            }
        }
    }
    finish("layers", &faults)
}

fn check_versions() -> Result<()> {
    let lock = std::fs::read_to_string("Cargo.lock").context("read Cargo.lock")?;
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lock.lines() {
        if let Some(text) = line.strip_prefix("name = ") {
            name = text.trim_matches('"');
        } else if let Some(text) = line.strip_prefix("version = ") {
            versions.entry(name).or_default().insert(text.trim_matches('"'));
        } else if let Some(text) = line.strip_prefix(" \"") {
            users.entry(text.trim_end_matches("\",")).or_default().insert(name);
        }
    }
    for (library, older, user) in BROUGHT {
        let Some(found) = versions.get_mut(library) else { continue };
        // The lock file names the version of what is there more than once.
        let wanted = |version: &str| users.get(format!("{library} {version}").as_str());
        found.retain(|version| {
            let only = wanted(version).is_some_and(|users| users.iter().eq([user]));
            !(version.starts_with(older) && only)
        });
    }
    let faults: Vec<String> = SINGLE
        .iter()
        .filter_map(|library| match versions.get(library) {
            Some(found) if found.len() == 1 => None,
            Some(found) => {
                Some(format!("`{library}` is there in {} versions: {found:?}", found.len()))
            }
            None => Some(format!("`{library}` is not in Cargo.lock; take it out of SINGLE")),
        })
        .collect();
    finish("versions", &faults)
}

fn check_files() -> Result<()> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "*.rs", "*.md"])
        .output()
        .context("run git ls-files")?;
    let mut faults = Vec::new();
    for path in String::from_utf8_lossy(&output.stdout).lines() {
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        let lines = text.lines().count();
        if std::path::Path::new(path).extension().is_some_and(|ext| ext == "rs")
            && lines > MAX_LINES
        {
            faults.push(format!("`{path}` has {lines} lines; find a seam (at most {MAX_LINES})"));
        }
        if path == "CONTRIBUTING.md" {
            faults.extend(missing_files(&text));
        }
    }
    finish("files", &faults)
}

/// Paths in backticks that CONTRIBUTING.md names and that do not exist.
fn missing_files(text: &str) -> Vec<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| {
            word.starts_with("crates/") || word.starts_with("docs/") || word.starts_with("tests/")
        })
        .filter(|word| !std::path::Path::new(word).exists())
        .map(|word| format!("CONTRIBUTING.md names `{word}`, which does not exist"))
        .collect()
}

fn finish(what: &str, faults: &[String]) -> Result<()> {
    if faults.is_empty() {
        println!("{what}: good");
        return Ok(());
    }
    for fault in faults {
        eprintln!("{what}: {fault}");
    }
    bail!("{} fault(s) in {what}", faults.len())
}
