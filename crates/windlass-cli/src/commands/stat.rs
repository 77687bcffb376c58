//! `stat`: what is known of one object, without reading it.

use crate::commands::Ending;
use crate::failure::Outcome;
use crate::render::Format;
use crate::rows::{Cell, Columns, Kind, batch};
use crate::session::Session;
use clap::Args;
use serde_json::{Map, Value};
use windlass_types::ByteSize;
use windlass_types::entry::rfc3339;

/// Show what is known of one object.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  1. Size, time, ETag, metadata:   windlass stat landing:bucket/orders.csv
  2. For programs:                 windlass stat -o json landing:bucket/orders.csv
  3. Of an older version:          windlass stat --version Zk3x landing:bucket/orders.csv")]
pub struct Stat {
    /// CONN:BUCKET/KEY; keys are literal
    #[arg(value_name = "PATH")]
    pub path: String,
    /// This version, of those that `ls --versions` shows
    #[arg(long, value_name = "ID")]
    pub version: Option<String>,
}

const COLUMNS: Columns = &[("field", Kind::Text), ("value", Kind::Text)];

/// `stat`.
pub async fn run(session: &Session, args: Stat) -> Ending {
    let place = session.place(&args.path).await?;
    let object = place.object()?;
    let meta = place.storage.stat(&object, args.version.as_deref()).await?;
    let path = place.storage.binding().relative(&object.bucket, &object.key);
    let mut value = serde_json::to_value(&meta).unwrap_or_default();
    let mut fields = Map::new();
    fields.insert("key".to_owned(), object.key.clone().into());
    fields.insert("path".to_owned(), path.into());
    if let Some(known) = value.as_object_mut() {
        fields.append(known);
    }
    fields.insert("last_modified".to_owned(), meta.last_modified.map(|t| rfc3339(&t)).into());
    if session.global.output.is_json() {
        session.console.line(&match session.global.output {
            Format::Json => format!("[{}]", Value::Object(fields)),
            _ => Value::Object(fields).to_string(),
        })?;
        return Ok(Outcome::Done);
    }
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (field, value) in &fields {
        match value {
            Value::Object(inner) => {
                for (name, value) in inner {
                    rows.push(vec![format!("{field}.{name}").into(), plain(value).into()]);
                }
            }
            Value::Number(size) if field == "size" && session.global.output == Format::Table => {
                let human = ByteSize(meta.size);
                let text =
                    if meta.size < 1024 { human.to_string() } else { format!("{size} ({human})") };
                rows.push(vec![field.as_str().into(), text.into()]);
            }
            Value::Null | Value::Bool(false) => {}
            value => rows.push(vec![field.as_str().into(), plain(value).into()]),
        }
    }
    session.printer.batch(&session.console, batch(COLUMNS, &rows)?).await?;
    Ok(Outcome::Done)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
