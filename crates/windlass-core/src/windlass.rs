//! The engine in this process: the store, the query engine and the storages opened so far.

use crate::connections::{StoredRegions, secrets_from};
use crate::engine::Ctx;
use crate::resolve::Scope;
use crate::settings::Settings;
use chrono::Utc;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, OnceLock};
use tokio::sync::OnceCell;
use windlass_query::{Engine as QueryEngine, Temporaries};
use windlass_remotes::{Remote, RemoteSecrets};
use windlass_s3::local::LocalStore;
use windlass_s3::{S3Store, Storage};
use windlass_state::{ConnectionRow, FabricRow as Fabric, KeySource, NewConnection, Sealed, Store};
use windlass_types::{
    ConnectionId, ConnectionKind, ConnectionSpec, Error, ErrorCode, FabricId, Name, OptionMap,
    OptionValue, Result,
};

/// The engine in this process. Cheap to clone.
#[derive(Clone)]
pub struct Windlass {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) settings: Settings,
    pub(crate) store: Arc<Store>,
    pub(crate) query: OnceCell<Arc<QueryEngine>>,
    /// Copies asked of this process whose runs have not begun.
    pub(crate) here: Mutex<HashMap<String, crate::jobs::Here>>,
    /// Temporary tables of sessions that wait for a write, by the token in its payload.
    pub(crate) lent: Mutex<HashMap<String, Temporaries>>,
    /// Crawls asked of this process whose runs have not begun.
    pub(crate) crawls: Mutex<HashMap<String, crate::catalog::Ready>>,
    pub(crate) scheduler: OnceLock<windlass_jobs::Scheduler>,
    /// Where people reach this process, once it is known.
    pub(crate) base_url: OnceLock<String>,
    /// Fabrics whose writes of processes that are gone were looked for.
    pub(crate) looked: Mutex<std::collections::BTreeSet<FabricId>>,
    /// Runs that were asked to stop because nobody waits any more.
    pub(crate) stopping: Arc<AtomicUsize>,
    /// Storages by connection, with the time of the row they were made from.
    storages: Mutex<HashMap<ConnectionId, (i64, Opened)>>,
}

/// A storage with what only its kind can do.
#[derive(Clone)]
pub(crate) enum Opened {
    /// S3: can be probed and presigned.
    S3(S3Store),
    /// A folder.
    Local(Arc<LocalStore>, windlass_types::LocalSpec),
    /// Any other storage.
    Other(Remote),
}

impl Opened {
    pub(crate) fn storage(&self) -> Storage {
        match self {
            Self::S3(store) => Arc::new(store.clone()),
            Self::Local(store, _) => store.clone(),
            Self::Other(remote) => remote.storage(),
        }
    }
}

impl Windlass {
    /// Opens (or makes) the home and its store.
    pub async fn open(settings: Settings) -> Result<Self> {
        settings.prepare_home()?;
        let key = match &settings.key_file {
            Some(path) => KeySource::given(path),
            None => KeySource::own(settings.key_path()),
        };
        let store = Arc::new(Store::open(&settings.database(), &key).await?);
        let windlass = Self {
            inner: Arc::new(Inner {
                settings,
                store,
                query: OnceCell::new(),
                here: Mutex::default(),
                lent: Mutex::default(),
                crawls: Mutex::default(),
                scheduler: OnceLock::new(),
                base_url: OnceLock::new(),
                looked: Mutex::default(),
                stopping: Arc::default(),
                storages: Mutex::new(HashMap::new()),
            }),
        };
        windlass.furnish().await?;
        Ok(windlass)
    }

    /// A fresh home has the connection `s3` with the default chain (U-C19). Made once: dropping it
    /// is respected.
    async fn furnish(&self) -> Result<()> {
        if self.inner.store.note("furnished").await?.is_some() {
            return Ok(());
        }
        let fabric = self.fabric(windlass_state::DEFAULT_FABRIC).await?;
        let comment = OptionValue::Text("the default AWS credential chain".to_owned());
        let new = NewConnection {
            name: Name::new("s3")?,
            kind: ConnectionKind::S3,
            options: OptionMap::from([("COMMENT".to_owned(), comment)]),
            sealed: BTreeMap::new(),
        };
        // Two processes may start on one fresh store; the second finds the first's connection.
        match self.inner.store.insert_connection(fabric.id, new, Utc::now()).await {
            Err(error) if error.code() != ErrorCode::ConnectionExists => return Err(error),
            _ => {}
        }
        self.inner.store.note_once("furnished", "1").await.map(drop)
    }

    /// The query engine, made at first use: it is the slowest part to start.
    pub(crate) async fn query(&self) -> Result<Arc<QueryEngine>> {
        self.inner
            .query
            .get_or_try_init(|| async {
                let budget = self.inner.settings.budget()?;
                QueryEngine::within(budget).map(Arc::new)
            })
            .await
            .cloned()
    }

    /// The fabric of this name.
    pub(crate) async fn fabric(&self, name: &str) -> Result<Fabric> {
        self.inner.store.fabric(&Name::new(name)?).await
    }

    /// The connection of this name in a fabric, or an error that suggests the nearest.
    pub(crate) async fn connection(&self, fabric: &Fabric, name: &Name) -> Result<ConnectionRow> {
        self.connection_in(fabric.id, name).await
    }

    /// The same, for who knows only the id of the fabric.
    pub(crate) async fn connection_in(
        &self,
        fabric: FabricId,
        name: &Name,
    ) -> Result<ConnectionRow> {
        if let Some(row) = self.inner.store.find_connection(fabric, name).await? {
            return Ok(row);
        }
        let rows = self.inner.store.connections(fabric).await?;
        let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
        let near = windlass_types::options::nearest(name.as_str(), &names);
        let hint = match near {
            Some(near) => format!("did you mean `{near}`? `SHOW CONNECTIONS` lists all"),
            None => "`SHOW CONNECTIONS` lists all".to_owned(),
        };
        Err(Error::new(ErrorCode::ConnectionNotFound, format!("no connection `{}`", name.as_str()))
            .hint(hint))
    }

    /// Opens the storage of a stored connection, or gives the one opened before.
    pub(crate) async fn open_row(&self, row: &ConnectionRow) -> Result<Opened> {
        let stamp = row.updated.timestamp_micros();
        if let Ok(storages) = self.inner.storages.lock()
            && let Some((at, opened)) = storages.get(&row.id)
            && *at == stamp
        {
            return Ok(opened.clone());
        }
        let spec = ConnectionSpec::build(row.kind, &self.with_environment(row))?;
        let secrets = self.inner.store.connection_values(row).await?;
        let opened = self.open_spec(row.id, row.name.clone(), spec, secrets)?;
        if let Ok(mut storages) = self.inner.storages.lock() {
            storages.insert(row.id, (stamp, opened.clone()));
        }
        Ok(opened)
    }

    /// Options of a connection. The one of a fresh home, as long as nobody says where its service
    /// is, reaches what the AWS tools of this environment reach.
    fn with_environment(&self, row: &ConnectionRow) -> OptionMap {
        let mut options = row.options.clone();
        let untouched = row.kind == ConnectionKind::S3
            && row.name.as_str() == "s3"
            && options.keys().all(|name| name == "COMMENT");
        let given =
            |name: &str| (self.inner.settings.environment)(name).filter(|url| !url.is_empty());
        let ignored = given("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")
            .is_some_and(|text| text.eq_ignore_ascii_case("true"));
        if untouched
            && !ignored
            && let Some(url) = given("AWS_ENDPOINT_URL_S3").or_else(|| given("AWS_ENDPOINT_URL"))
        {
            let plain = url.starts_with("http://");
            options.insert("ENDPOINT".to_owned(), OptionValue::Text(url));
            if plain {
                options.insert("ALLOW_HTTP".to_owned(), OptionValue::Bool(true));
            }
        }
        options
    }

    /// Opens a storage from a spec whose secrets are at hand.
    pub(crate) fn open_spec(
        &self,
        id: ConnectionId,
        name: Name,
        spec: ConnectionSpec,
        secrets: Sealed,
    ) -> Result<Opened> {
        match spec {
            ConnectionSpec::S3(spec) => {
                let regions = Arc::new(StoredRegions { store: self.inner.store.clone(), id });
                Ok(Opened::S3(S3Store::open(name, *spec, secrets_from(secrets)?, regions)?))
            }
            ConnectionSpec::Local(spec) => {
                Ok(Opened::Local(Arc::new(LocalStore::open(name, spec.clone())?), spec))
            }
            ConnectionSpec::Remote(spec) => {
                Ok(Opened::Other(Remote::open(name, *spec, RemoteSecrets::new(secrets)?)?))
            }
        }
    }

    /// What a query sees of a fabric.
    pub(crate) fn scope(&self, fabric: Fabric) -> Arc<Scope> {
        self.scope_with(fabric, Temporaries::default())
    }

    /// What a query of a session sees: its temporary tables too.
    pub(crate) fn session_scope(&self, fabric: Fabric, ctx: &Ctx) -> Arc<Scope> {
        self.scope_with(fabric, ctx.temporaries.clone())
    }

    /// What a query sees that was lent these.
    pub(crate) fn scope_with(&self, fabric: Fabric, temporaries: Temporaries) -> Arc<Scope> {
        Arc::new(Scope { windlass: self.clone(), fabric, temporaries })
    }
}
