//! Creating, altering, testing and dropping connections.

use crate::engine::{Answer, Grade};
use crate::rows::{self, Cell, Columns, Kind, done};
use crate::windlass::{Opened, Windlass};
use async_trait::async_trait;
use chrono::Utc;
use futures::future::BoxFuture;
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use windlass_s3::probe::{ProbeStep, Status, probe_local, probe_s3};
use windlass_s3::{RegionMemory, Secrets};
use windlass_sql::{Change, OptionSetting};
use windlass_state::{ConnectionRow, FabricRow as Fabric, NewConnection, Sealed, Store};
use windlass_types::connection::{check_customer_key, check_header, check_proxy};
use windlass_types::options::{self, Alter};
use windlass_types::{
    ConnectionId, ConnectionKind, ConnectionSpec, Error, ErrorCode, Name, OptionMap, OptionValue,
    Result,
};

/// Regions of buckets, remembered with the connection.
pub(crate) struct StoredRegions {
    pub(crate) store: Arc<Store>,
    pub(crate) id: ConnectionId,
}

impl std::fmt::Debug for StoredRegions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StoredRegions({})", self.id)
    }
}

#[async_trait]
impl RegionMemory for StoredRegions {
    async fn get(&self, bucket: &str) -> Option<String> {
        self.store.region(self.id, bucket).await.ok().flatten()
    }

    async fn put(&self, bucket: &str, region: &str) {
        // A memory that fails costs one request next time; nothing else.
        if let Err(error) = self.store.remember_region(self.id, bucket, region).await {
            tracing::debug!(%error, "bucket region not remembered");
        }
    }
}

/// Moves secret values out of the options: what stays says that the value is sealed.
fn take_secrets(kind: ConnectionKind, options: &mut OptionMap) -> Sealed {
    let mut clear = Sealed::new();
    for def in kind.options().iter().filter(|def| def.secret) {
        let text = match options.get(def.name) {
            Some(OptionValue::Text(text)) => text.clone(),
            Some(OptionValue::List(items)) => items
                .iter()
                .filter_map(|item| match item {
                    OptionValue::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect::<Vec<_>>()
                .join("\n"),
            _ => continue,
        };
        options.insert(def.name.to_owned(), OptionValue::Sealed);
        clear.insert(def.name.to_owned(), SecretString::from(text));
    }
    clear
}

/// Splits sealed header lines.
pub(crate) fn split_headers(sealed: &SecretString) -> Result<Vec<(String, SecretString)>> {
    sealed
        .expose_secret()
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| check_header(line).map(|(name, value)| (name, SecretString::from(value))))
        .collect()
}

const TEST_COLUMNS: Columns = &[
    ("step", Kind::Text),
    ("permission", Kind::Text),
    ("status", Kind::Text),
    ("milliseconds", Kind::Integer),
    ("message", Kind::Text),
    ("hint", Kind::Text),
];

fn test_answer(steps: Vec<ProbeStep>) -> Result<Answer> {
    let failed = steps.iter().any(|step| step.status == Status::Failed);
    let grade = if failed { Grade::Bad } else { Grade::Good };
    let rows: Vec<Vec<Cell>> = steps
        .into_iter()
        .map(|step| {
            vec![
                step.step.into(),
                step.permission.into(),
                step.status.as_str().into(),
                step.milliseconds.into(),
                step.message.into(),
                step.hint.into(),
            ]
        })
        .collect();
    rows::answer(TEST_COLUMNS, &rows, grade)
}

/// An error if a required step failed; else the warnings.
fn verdict(verb: &str, name: &Name, steps: &[ProbeStep]) -> Result<Vec<String>> {
    if let Some(step) = steps.iter().find(|step| step.required && step.status == Status::Failed) {
        let hint = step.hint.clone().unwrap_or_else(|| "see the message".to_owned());
        return Err(Error::new(
            ErrorCode::ConnectionUntested,
            format!(
                "connection `{}` was not {verb}: step `{}` failed: {}",
                name.as_str(),
                step.step,
                step.message
            ),
        )
        .hint(format!("{hint}; or add `SKIP_VALIDATION = TRUE` to store it untested")));
    }
    Ok(steps
        .iter()
        .filter(|step| matches!(step.status, Status::Warning | Status::Failed))
        .map(|step| {
            let hint = step.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
            format!("step `{}`: {}{hint}", step.step, step.message)
        })
        .collect())
}

/// Boxed: the probe's futures are deep.
pub(crate) fn probe(opened: &Opened, write: bool) -> BoxFuture<'_, Vec<ProbeStep>> {
    match opened {
        Opened::S3(store) => Box::pin(probe_s3(store, write)),
        Opened::Local(_, spec) => Box::pin(probe_local(spec, write)),
        Opened::Other(remote) => Box::pin(windlass_remotes::probe_remote(remote, write)),
    }
}

/// A connection as it would be stored.
struct Candidate<'a> {
    id: ConnectionId,
    name: &'a Name,
    kind: ConnectionKind,
    options: &'a OptionMap,
    before: Option<&'a ConnectionRow>,
}

/// The secrets of a connection from its opened values; what has a form is checked again, since a
/// named secret is checked nowhere else.
pub(crate) fn secrets_from(mut values: Sealed) -> Result<Secrets> {
    if let Some(key) = values.get("ENCRYPTION_CUSTOMER_MANAGED_KEY") {
        check_customer_key(key.expose_secret())?;
    }
    if let Some(proxy) = values.get("PROXY") {
        check_proxy(proxy.expose_secret())?;
    }
    Ok(Secrets {
        headers: values.get("HEADERS").map(split_headers).transpose()?.unwrap_or_default(),
        access_key_id: values.remove("AWS_ACCESS_KEY_ID"),
        secret_access_key: values.remove("AWS_SECRET_ACCESS_KEY"),
        session_token: values.remove("AWS_SESSION_TOKEN"),
        customer_key: values.remove("ENCRYPTION_CUSTOMER_MANAGED_KEY"),
        proxy: values.remove("PROXY"),
    })
}

/// What `CREATE CONNECTION` was asked.
pub(crate) struct Create {
    pub(crate) or_replace: bool,
    pub(crate) if_not_exists: bool,
    pub(crate) kind: ConnectionKind,
    pub(crate) name: Name,
    pub(crate) options: Vec<OptionSetting>,
}

impl Windlass {
    /// CREATE [OR REPLACE] CONNECTION: tests first (P-C7, U-C13), then stores.
    pub(crate) async fn create_connection(
        &self,
        fabric: &Fabric,
        create: Create,
    ) -> Result<Answer> {
        let Create { or_replace, if_not_exists, kind, name, options } = create;
        let name = name.not_reserved()?;
        let mut map: OptionMap = options.into_iter().map(|o| (o.name, o.value)).collect();
        let skip = take_skip(&mut map);
        let existing = self.inner.store.find_connection(fabric.id, &name).await?;
        if let Some(row) = &existing
            && !or_replace
        {
            if if_not_exists {
                return Ok(done(
                    format!("connection `{}` exists; nothing changed", name.as_str()),
                    vec![],
                ));
            }
            return Err(exists(&row.name));
        }
        self.refuse_schema_of_that_name(fabric, &name).await?;
        let spec = ConnectionSpec::build(kind, &map)?;
        self.check_named_secrets(fabric, kind, &map).await?;
        let clear = take_secrets(kind, &mut map);
        if let Some(row) = existing {
            if row.kind != kind {
                return Err(Error::new(
                    ErrorCode::ConnectionExists,
                    format!(
                        "connection `{}` is of kind {}, not {}",
                        name.as_str(),
                        row.kind.as_str(),
                        kind.as_str()
                    ),
                )
                .hint("drop it first, or choose another name"));
            }
            return self.change(fabric, &row, map, clear, spec, skip, "replaced").await;
        }
        let candidate =
            Candidate { id: ConnectionId::new(), name: &name, kind, options: &map, before: None };
        let warnings =
            self.test_before_storing(fabric, &candidate, spec, &clear, skip, "created").await?;
        let new = NewConnection { name: name.clone(), kind, options: map, sealed: clear };
        self.inner.store.insert_connection(fabric.id, new, Utc::now()).await?;
        Ok(done(format!("connection `{}` created", name.as_str()), warnings))
    }

    /// Tests and stores changed options of a connection that was read as `row`.
    #[allow(clippy::too_many_arguments, reason = "one caller each for ALTER and OR REPLACE")]
    async fn change(
        &self,
        fabric: &Fabric,
        row: &ConnectionRow,
        map: OptionMap,
        clear: Sealed,
        spec: ConnectionSpec,
        skip: bool,
        verb: &str,
    ) -> Result<Answer> {
        self.check_changes(row, &map).await?;
        let candidate = Candidate {
            id: row.id,
            name: &row.name,
            kind: row.kind,
            options: &map,
            before: Some(row),
        };
        let warnings =
            self.test_before_storing(fabric, &candidate, spec, &clear, skip, verb).await?;
        self.inner.store.update_connection(row, row.kind, map, clear, Utc::now()).await?;
        Ok(done(format!("connection `{}` {verb}", row.name.as_str()), warnings))
    }

    /// ALTER CONNECTION: SET and RESET in order, tested as one.
    pub(crate) async fn alter_connection(
        &self,
        fabric: &Fabric,
        kind: ConnectionKind,
        name: &Name,
        changes: Vec<Change>,
    ) -> Result<Answer> {
        let row = self.connection(fabric, name).await?;
        if row.kind != kind {
            return Err(Error::new(
                ErrorCode::ConnectionNotFound,
                format!(
                    "connection `{}` is of kind {}, not {}",
                    name.as_str(),
                    row.kind.as_str(),
                    kind.as_str()
                ),
            )
            .hint(format!("write `ALTER {} CONNECTION {name} …`", row.kind.as_str())));
        }
        let mut map = row.options.clone();
        for change in changes {
            match change {
                Change::Set(setting) => {
                    let def = options::find(kind.options(), &setting.name)?;
                    if def.alter == Alter::Never {
                        return Err(never(def.name));
                    }
                    map.insert(def.name.to_owned(), setting.value);
                }
                Change::Reset(option) => {
                    let def = options::find(kind.options(), &option)?;
                    if def.alter == Alter::Never {
                        return Err(never(def.name));
                    }
                    map.remove(def.name);
                }
            }
        }
        let skip = take_skip(&mut map);
        let spec = ConnectionSpec::build(kind, &map)?;
        self.check_named_secrets(fabric, kind, &map).await?;
        let clear = take_secrets(kind, &mut map);
        self.change(fabric, &row, map, clear, spec, skip, "altered").await
    }

    /// OR REPLACE may change only what ALTER may.
    async fn check_changes(&self, row: &ConnectionRow, new: &OptionMap) -> Result<()> {
        let changed = |name: &str| {
            // An option left out and one set to its default are the same state.
            let state = |map: &OptionMap| match map.get(name) {
                Some(OptionValue::Bool(false)) | None => None,
                Some(value) => Some(value.clone()),
            };
            state(&row.options) != state(new)
        };
        let mut dependents = None;
        for def in
            row.kind.options().iter().filter(|def| def.alter != Alter::Free && changed(def.name))
        {
            if def.alter == Alter::Never {
                return Err(never(def.name));
            }
            if dependents.is_none() {
                dependents = Some(self.inner.store.dependents(row.id).await?);
            }
            if let Some(list) = dependents.as_ref().filter(|list| !list.is_empty()) {
                return Err(Error::new(
                    ErrorCode::ConnectionInUse,
                    format!(
                        "{} of connection `{}` cannot change while {} depends on it",
                        def.name,
                        row.name.as_str(),
                        list.join(", ")
                    ),
                )
                .hint("drop what depends on it first, or create another connection"));
            }
        }
        Ok(())
    }

    async fn check_named_secrets(
        &self,
        fabric: &Fabric,
        kind: ConnectionKind,
        map: &OptionMap,
    ) -> Result<()> {
        for def in kind.options().iter().filter(|def| def.secret) {
            if let Some(OptionValue::Secret(name)) = map.get(def.name) {
                self.secret(fabric, name).await?;
            }
        }
        Ok(())
    }

    async fn test_before_storing(
        &self,
        fabric: &Fabric,
        candidate: &Candidate<'_>,
        spec: ConnectionSpec,
        clear: &Sealed,
        skip: bool,
        verb: &str,
    ) -> Result<Vec<String>> {
        // Opening checks what needs no network (CA_FILE, secrets that open), so it is never skipped.
        let secrets = self.secrets_of(fabric, candidate, clear).await?;
        let opened = self.open_spec(candidate.id, candidate.name.clone(), spec, secrets)?;
        if skip {
            return Ok(vec!["stored without a test".to_owned()]);
        }
        verdict(verb, candidate.name, &probe(&opened, false).await)
    }

    /// Secrets of options that are not stored yet: typed ones from `clear`, others from the vault.
    async fn secrets_of(
        &self,
        fabric: &Fabric,
        candidate: &Candidate<'_>,
        clear: &Sealed,
    ) -> Result<Sealed> {
        let mut values = match candidate.before {
            Some(row) => self.inner.store.connection_values(row).await?,
            None => Sealed::new(),
        };
        values.retain(|option, _| candidate.options.get(option) == Some(&OptionValue::Sealed));
        for def in candidate.kind.options().iter().filter(|def| def.secret) {
            if let Some(OptionValue::Secret(name)) = candidate.options.get(def.name) {
                values.insert(
                    def.name.to_owned(),
                    self.inner.store.open_secret(fabric.id, name).await?,
                );
            }
        }
        values.extend(clear.iter().map(|(option, value)| (option.clone(), value.clone())));
        Ok(values)
    }

    /// TEST CONNECTION.
    pub(crate) async fn test_connection(
        &self,
        fabric: &Fabric,
        name: &Name,
        write: bool,
    ) -> Result<Answer> {
        let row = self.connection(fabric, name).await?;
        let opened = self.open_row(&row).await?;
        test_answer(probe(&opened, write).await)
    }

    /// DROP CONNECTION (U-C16, U-C17).
    pub(crate) async fn drop_connection(
        &self,
        fabric: &Fabric,
        name: &Name,
        if_exists: bool,
    ) -> Result<Answer> {
        match self.connection(fabric, name).await {
            Ok(_) => {}
            Err(error) if if_exists && error.code() == ErrorCode::ConnectionNotFound => {
                return Ok(done(
                    format!("no connection `{}`; nothing changed", name.as_str()),
                    vec![],
                ));
            }
            Err(error) => return Err(error),
        }
        self.inner.store.delete_connection(fabric.id, name).await?;
        Ok(done(format!("connection `{}` dropped", name.as_str()), vec![]))
    }

    /// A connection is a schema, so it cannot share a schema's name.
    async fn refuse_schema_of_that_name(&self, fabric: &Fabric, name: &Name) -> Result<()> {
        if self.inner.store.schemas(fabric.id).await?.contains(name) {
            return Err(Error::new(
                ErrorCode::ConnectionExists,
                format!("`{}` is a schema", name.as_str()),
            )
            .hint("connections and schemas share one namespace; choose another name"));
        }
        Ok(())
    }
}

fn take_skip(map: &mut OptionMap) -> bool {
    matches!(map.remove("SKIP_VALIDATION"), Some(OptionValue::Bool(true)))
}

fn exists(name: &Name) -> Error {
    Error::new(ErrorCode::ConnectionExists, format!("connection `{}` exists", name.as_str()))
        .hint("use `CREATE OR REPLACE`, `ALTER`, or `IF NOT EXISTS`")
}

fn never(option: &str) -> Error {
    Error::new(ErrorCode::OptionInvalid, format!("{option} cannot change after creation"))
        .hint("drop the connection and create it anew, or create another one")
}
