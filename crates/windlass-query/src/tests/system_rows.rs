//! System tables that are read as a statement asks for them.

use super::lines;
use crate::{Engine, FileTable, Resolver, SystemRows};
use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use windlass_s3::Storage;
use windlass_types::Result;

fn batch() -> RecordBatch {
    let column = |texts: [&str; 2]| -> ArrayRef { Arc::new(StringArray::from(texts.to_vec())) };
    RecordBatch::try_from_iter([
        ("run", column(["a", "b"])),
        ("status", column(["done", "failed"])),
        ("source", column(["x", "y"])),
    ])
    .unwrap()
}

/// Two rows, whatever is asked for; and what was asked for.
#[derive(Debug, Default)]
struct Log {
    asked: Mutex<Vec<String>>,
}

#[async_trait]
impl SystemRows for Log {
    fn schema(&self) -> SchemaRef {
        batch().schema()
    }

    fn keys(&self) -> &'static [&'static str] {
        &["run", "status"]
    }

    async fn read(&self, chosen: &BTreeMap<&str, &str>) -> Result<Vec<RecordBatch>> {
        let words: Vec<String> =
            chosen.iter().map(|(name, text)| format!("{name}={text}")).collect();
        self.asked.lock().unwrap().push(words.join(" "));
        Ok(vec![batch()])
    }
}

struct Fabric(Arc<Log>);

#[async_trait]
impl Resolver for Fabric {
    async fn storage(&self, _: &str) -> Result<Option<Storage>> {
        Ok(None)
    }

    async fn file_table(&self, _: Option<&str>, _: &str) -> Result<Option<FileTable>> {
        Ok(None)
    }

    async fn system_table(&self, _: &str) -> Result<Option<RecordBatch>> {
        Ok(None)
    }

    fn system_rows(&self, name: &str) -> Option<Arc<dyn SystemRows>> {
        (name == "log").then(|| Arc::clone(&self.0) as _)
    }

    fn system_tables(&self) -> Vec<String> {
        vec!["log".to_owned()]
    }

    async fn tables(&self) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }
}

#[tokio::test]
async fn equality_with_a_text_chooses_what_is_read_and_is_compared_again() {
    let log = Arc::new(Log::default());
    let engine = Engine::new().unwrap();
    let ask = async |condition: &str| {
        let sql = format!("SELECT source FROM system.log WHERE {condition} ORDER BY source");
        let fabric = Arc::new(Fabric(Arc::clone(&log)));
        let rows = engine.query(&sql, "default", fabric).await.unwrap();
        let batches: Vec<RecordBatch> = rows.stream.try_collect().await.unwrap();
        lines(&batches)
    };
    assert_eq!(ask("run = 'a' AND status = 'failed'").await, "");
    assert_eq!(ask("'b' = run AND source = 'y'").await, "y");
    assert_eq!(ask("run = 'a' OR status = 'failed'").await, "x\ny");
    assert_eq!(*log.asked.lock().unwrap(), ["run=a status=failed", "run=b", ""]);
}
