//! A store of its own for each test, on either database.

use std::path::PathBuf;
use windlass_state::{DEFAULT_FABRIC, KeySource, Store};
use windlass_testkit::servers::Postgres;
use windlass_types::{FabricId, Name};

/// Where a store lies, and its key.
pub struct Place {
    pub url: String,
    pub home: tempfile::TempDir,
}

impl Place {
    pub fn key(&self) -> PathBuf {
        self.home.path().join("keys/master")
    }

    pub async fn open(&self) -> Store {
        Store::open(&self.url, &KeySource::own(self.key())).await.unwrap()
    }

    pub async fn fresh(&self) -> (Store, FabricId) {
        let store = self.open().await;
        let fabric = store.fabric(&name(DEFAULT_FABRIC)).await.unwrap().id;
        (store, fabric)
    }

    /// Runs statements behind the store's back; answers the first column.
    pub async fn execute(&self, sql: &str) -> String {
        if self.url.starts_with("postgres") {
            let server = Postgres::shared().await.unwrap();
            let (done, output) = server.sql_in(&self.url, sql).await;
            assert!(done, "{output}");
            return output;
        }
        let file = PathBuf::from(&self.url);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        let options =
            sqlx::sqlite::SqliteConnectOptions::new().filename(file).create_if_missing(true);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).fetch_all(&pool).await.unwrap();
        pool.close().await;
        let text = |row: &sqlx::sqlite::SqliteRow| sqlx::Row::try_get(row, 0).unwrap_or_default();
        rows.iter().map(text).collect::<Vec<String>>().join("\n")
    }
}

pub async fn sqlite() -> Option<Place> {
    let home = tempfile::tempdir().unwrap();
    let url = home.path().join("home é?#%20/state.db").display().to_string();
    Some(Place { url, home })
}

pub async fn postgres() -> Option<Place> {
    let url = Postgres::shared().await?.database().await;
    Some(Place { url, home: tempfile::tempdir().unwrap() })
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Every test of a list, once on each database.
macro_rules! state_suite {
    ($database:ident: $($test:ident),+ $(,)?) => {
        mod $database {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    if let Some(place) = crate::place::$database().await {
                        super::$test(place).await;
                    }
                }
            )+
        }
    };
    ($($test:ident),+ $(,)?) => {
        state_suite!(sqlite: $($test),+);
        state_suite!(postgres: $($test),+);
    };
}
