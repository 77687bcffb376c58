//! The fixture that `OpenMetadata`'s own connector was run against, crawled by ours with the same
//! workflow file. What differs is in the table of `docs/guide/openmetadata.md`, and nothing else does.

mod common;

use common::Home;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use windlass_testkit::servers::Moto;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/openmetadata")
}

/// A row of the table: a difference that is meant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    field: String,
    place: String,
    theirs: String,
    ours: String,
}

/// `*` in a pattern is any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, rest)) => text.strip_prefix(head).is_some_and(|text| {
            (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .any(|at| matches(rest, &text[at..]))
        }),
    }
}

fn table() -> Vec<Row> {
    let text = std::fs::read_to_string(root().join("docs/guide/openmetadata.md")).unwrap();
    let cell = |text: &str| text.trim().trim_matches('`').to_owned();
    let rows: Vec<Row> = text
        .lines()
        .skip_while(|line| !line.starts_with("| Field |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| {
            let cells: Vec<String> = line.trim_matches('|').split('|').map(cell).collect();
            assert!(cells.len() == 5 && !cells[4].is_empty(), "{line}");
            Row {
                field: cells[0].clone(),
                place: cells[1].clone(),
                theirs: cells[2].clone(),
                ours: cells[3].clone(),
            }
        })
        .collect();
    assert!(!rows.is_empty(), "the table of differences is gone");
    rows
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => {
            number.as_f64().map_or_else(|| number.to_string(), |n| format!("{n}"))
        }
        other => other.to_string(),
    }
}

fn compare_columns(place: &str, theirs: &Value, ours: &Value, found: &mut Vec<Row>) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let name = |column: &Value| text(&column["name"]);
    let (theirs, ours) = (list(theirs), list(ours));
    let order = |columns: &[Value]| match columns {
        [] => "-".to_owned(),
        columns => columns.iter().map(name).collect::<Vec<_>>().join(", "),
    };
    if order(&theirs) != order(&ours) {
        found.push(Row {
            field: "columns".into(),
            place: place.into(),
            theirs: order(&theirs),
            ours: order(&ours),
        });
    }
    for column in &theirs {
        let Some(own) = ours.iter().find(|own| name(own) == name(column)) else { continue };
        let place = format!("{place}#{}", name(column));
        for field in ["dataType", "arrayDataType", "dataLength", "description", "dataTypeDisplay"] {
            let (a, b) = (text(&column[field]), text(&own[field]));
            if a != b {
                found.push(Row { field: field.into(), place: place.clone(), theirs: a, ours: b });
            }
        }
        compare_columns(&place, &column["children"], &own["children"], found);
    }
}

/// Everything in which two lists of containers differ.
fn compare(theirs: &[Value], ours: &BTreeMap<String, Value>) -> Vec<Row> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    let short = |fqn: &str| fqn.strip_prefix("golden_s3.").unwrap_or(fqn).to_owned();
    for golden in theirs {
        let fqn = text(&golden["fullyQualifiedName"]);
        if !seen.insert(fqn.clone()) {
            continue;
        }
        let place = short(&fqn);
        let Some(own) = ours.get(&fqn) else {
            found.push(Row {
                field: "container".into(),
                place,
                theirs: "found".into(),
                ours: "-".into(),
            });
            continue;
        };
        for (field, column) in [
            ("name", "name"),
            ("parent", "parent_fqn"),
            ("service", "service"),
            ("prefix", "prefix"),
            ("fullPath", "full_path"),
            ("sourceUrl", "source_url"),
            ("size", "size"),
            ("numberOfObjects", "object_count"),
            ("isPartitioned", "is_partitioned"),
        ] {
            let (a, b) = (text(&golden[field]), text(&own[column]));
            if a != b {
                found.push(Row { field: field.into(), place: place.clone(), theirs: a, ours: b });
            }
        }
        let parsed = |value: &Value| -> Value {
            value.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or(Value::Null)
        };
        let (a, b) = (golden["fileFormats"].to_string(), parsed(&own["file_formats"]).to_string());
        let b = if b == "null" { "[]".to_owned() } else { b };
        if a != b {
            found.push(Row {
                field: "fileFormats".into(),
                place: place.clone(),
                theirs: a,
                ours: b,
            });
        }
        compare_columns(&place, &golden["columns"], &parsed(&own["columns"]), &mut found);
    }
    for (fqn, own) in ours {
        if !seen.contains(fqn) {
            let status = text(&own["status"]);
            found.push(Row {
                field: "container".into(),
                place: short(fqn),
                theirs: "-".into(),
                ours: status,
            });
        }
    }
    found
}

fn fill(endpoint: &str) {
    let python = root().join(".venv/bin/python");
    let made =
        Command::new(python).arg(data().join("make_fixture.py")).arg(endpoint).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn containers(home: &Home) -> BTreeMap<String, Value> {
    home.rows("SELECT * FROM system.containers")
        .into_iter()
        .map(|row| (text(&row["fqn"]), row))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_of_openmetadata_is_catalogued_as_theirs_but_for_the_differences_of_the_table()
{
    let moto = Moto::start().await;
    fill(&moto.endpoint());
    let mut home = Home::new();
    home.set("MOTO", &moto.endpoint());
    home.set("MANIFEST", &data().join("openmetadata_storage_manifest.json").display().to_string());
    // Nothing is published: what is found goes into a file, besides the catalogue.
    let (file, lines) = (home.scratch("workflow.yaml"), home.scratch("found.jsonl"));
    let text = std::fs::read_to_string(data().join("workflow.yaml")).unwrap();
    let sink = "sink:\n  type: metadata-rest\n  config: {}\n";
    assert!(text.contains(sink));
    let to = format!("sink:\n  type: file\n  config: {{filename: '{}'}}\n", lines.display());
    std::fs::write(&file, text.replace(sink, &to).replace("${OM}", "http://127.0.0.1:1/api"))
        .unwrap();
    let workflow = file.display().to_string();
    let output = home.run(&["crawl", "-c", &workflow]);
    // Manifests that are broken on purpose are not read, and that is said.
    assert_eq!(output.code, 3, "stdout: {}\nstderr: {}", output.stdout, output.stderr);
    let golden: Vec<Value> =
        serde_json::from_slice(&std::fs::read(data().join("golden_containers.json")).unwrap())
            .unwrap();
    let ours = containers(&home);
    let found = compare(&golden, &ours);
    let rows = table();
    let is = |row: &Row, one: &Row| {
        row.field == one.field
            && matches(&row.place, &one.place)
            && matches(&row.theirs, &one.theirs)
            && matches(&row.ours, &one.ours)
    };
    let unmeant: Vec<String> = found
        .iter()
        .filter(|one| !rows.iter().any(|row| is(row, one)))
        .map(|one| {
            format!("| `{}` | `{}` | `{}` | `{}` | |", one.field, one.place, one.theirs, one.ours)
        })
        .collect();
    let idle: Vec<&Row> = rows.iter().filter(|row| !found.iter().any(|one| is(row, one))).collect();
    assert!(
        unmeant.is_empty() && idle.is_empty(),
        "not in the table:\n{}\nin the table, but no difference:\n{idle:#?}\n{}",
        unmeant.join("\n"),
        output.stderr
    );

    let written = std::fs::read_to_string(&lines).unwrap();
    assert!(written.lines().count() >= ours.len(), "{}", written.lines().count());

    // A second crawl changes nothing, and says so.
    let again = home.run(&["-o", "json", "crawl", "-c", &workflow]);
    let summary: Value = serde_json::from_str(again.stdout.trim()).unwrap();
    assert_eq!(
        (&summary["new"], &summary["changed"], &summary["deleted"]),
        (&0.into(), &0.into(), &0.into()),
        "{summary}"
    );
}
