//! The engine over a storage in memory.

mod ahead;
mod bad;
mod caching;
mod fake;
mod files;
mod pruning;
mod reading;
mod settling;
mod statements;
mod system_rows;
mod tables;
mod texts;

use crate::{Engine, FileTable, Resolver, Rows, View};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use async_trait::async_trait;
use fake::Fake;
use futures::TryStreamExt as _;
use std::collections::BTreeMap;
use std::sync::Arc;
use windlass_s3::Storage;
use windlass_types::{OptionMap, OptionValue, Result};

/// A fabric with connections, file tables and one system table.
#[derive(Default)]
struct Fabric {
    storages: BTreeMap<String, Arc<Fake>>,
    tables: BTreeMap<String, FileTable>,
    views: BTreeMap<String, View>,
}

#[async_trait]
impl Resolver for Fabric {
    async fn storage(&self, connection: &str) -> Result<Option<Storage>> {
        Ok(self.storages.get(connection).cloned().map(|fake| fake as Storage))
    }

    async fn file_table(&self, schema: Option<&str>, table: &str) -> Result<Option<FileTable>> {
        Ok(self.tables.get(table).filter(|_| schema.is_none()).cloned())
    }

    async fn view(&self, schema: Option<&str>, table: &str) -> Result<Option<View>> {
        Ok(self.views.get(table).filter(|_| schema.is_none()).cloned())
    }

    async fn system_table(&self, name: &str) -> Result<Option<RecordBatch>> {
        let names: Vec<&str> = self.storages.keys().map(String::as_str).collect();
        let column = Arc::new(arrow::array::StringArray::from(names)) as _;
        Ok((name == "connections").then(|| RecordBatch::try_from_iter([("name", column)]).unwrap()))
    }

    fn system_tables(&self) -> Vec<String> {
        vec!["connections".to_owned(), "secrets".to_owned()]
    }

    async fn tables(&self) -> Result<Vec<(String, String)>> {
        Ok(self.tables.keys().map(|table| ("main".to_owned(), table.clone())).collect())
    }
}

/// One storage `landing` with a bucket `lake`, and what was asked of it.
struct Bench {
    engine: Engine,
    fabric: Fabric,
    fake: Arc<Fake>,
}

impl Bench {
    fn new<B: AsRef<[u8]>>(objects: &[(&str, B)]) -> Self {
        let fake = Arc::new(Fake::new("landing"));
        for (key, bytes) in objects {
            fake.put_object(key, bytes.as_ref());
        }
        let mut fabric = Fabric::default();
        fabric.storages.insert("landing".to_owned(), Arc::clone(&fake));
        Self { engine: Engine::new().unwrap(), fabric, fake }
    }

    fn storage(mut self, name: &str, objects: &[(&str, &str)]) -> Self {
        let fake = Arc::new(Fake::new(name));
        for (key, bytes) in objects {
            fake.put_object(key, bytes.as_bytes());
        }
        self.fabric.storages.insert(name.to_owned(), fake);
        self
    }

    fn table(mut self, name: &str, location: &str, options: &[(&str, OptionValue)]) -> Self {
        let group =
            options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        let options = OptionMap::from([("CONTENT_TYPE".to_owned(), OptionValue::Group(group))]);
        let table = FileTable {
            connection: "landing".to_owned(),
            location: location.to_owned(),
            options,
            columns: None,
        };
        self.fabric.tables.insert(name.to_owned(), table);
        self
    }

    fn view(mut self, name: &str, query: &str) -> Self {
        let view = View { query: query.to_owned(), columns: Vec::new() };
        self.fabric.views.insert(name.to_owned(), view);
        self
    }

    fn resolver(&self) -> Arc<dyn Resolver> {
        Arc::new(Fabric {
            storages: self.fabric.storages.clone(),
            tables: self.fabric.tables.clone(),
            views: self.fabric.views.clone(),
        })
    }

    async fn rows(&self, sql: &str) -> Result<Rows> {
        self.engine.query(sql, "default", self.resolver()).await
    }

    async fn run(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.rows(sql).await?.stream.try_collect().await
    }

    /// The rows without the frame: values joined by `|`, one line a row.
    async fn ask(&self, sql: &str) -> String {
        match self.run(sql).await {
            Ok(batches) => lines(&batches),
            Err(error) => format!("{error:?}"),
        }
    }

    async fn describe(&self, parts: &[&str]) -> String {
        let parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
        let rows = self.engine.describe(&parts, "default", self.resolver()).await.unwrap();
        lines(&rows.stream.try_collect::<Vec<_>>().await.unwrap())
    }
}

fn lines(batches: &[RecordBatch]) -> String {
    let text = pretty_format_batches(batches).unwrap().to_string();
    let rows: Vec<String> = text
        .lines()
        .filter(|line| line.starts_with('|'))
        .skip(1)
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>().join("|"))
        .collect();
    rows.join("\n")
}
