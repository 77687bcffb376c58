//! The only place that knows two databases: opening, locking, and what a transaction begins with.

mod search;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor as _, Row as _, Transaction};
use std::fs::OpenOptions;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::{Duration, Instant};
use windlass_types::{Error, ErrorCode, Result};

/// Name of the advisory locks of PostgreSQL: the letters `wndl`, and one number a purpose.
const MIGRATION_LOCK: &str = "SELECT CAST(pg_advisory_xact_lock(2003723372, 1) AS TEXT)";
const SEAL_LOCK: &str = "SELECT CAST(pg_advisory_xact_lock_shared(2003723372, 2) AS TEXT)";
const FIRST_SEAL_LOCK: &str = "SELECT CAST(pg_advisory_xact_lock(2003723372, 3) AS TEXT)";
const ROTATE_LOCK: &str = "SELECT CAST(pg_advisory_xact_lock(2003723372, 2) AS TEXT)";
const PLACE_LOCK: &str = "SELECT CAST(pg_advisory_xact_lock(2003723372, 4) AS TEXT)";

/// Longest wait for another writer.
const BUSY: Duration = Duration::from_secs(10);

/// Which database holds the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// One file, embedded.
    Sqlite,
    /// A server that several machines share.
    Postgres,
}

/// What a transaction is about to do; decides what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Intent {
    /// Write rows that hold nothing sealed.
    Write,
    /// Take a place that runs change one at a time.
    Place,
    /// Seal values: not while the key changes.
    Seal,
    /// Change the key: while nobody seals.
    Rotate,
    /// Change the schema: one process at a time.
    Migrate,
}

/// Where the state is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    File(PathBuf),
    Server(String),
}

impl Place {
    /// Reads `postgres://…`, `sqlite:PATH`, `sqlite://PATH` or an absolute path. A bare word is
    /// refused: it is a slip, and would silently begin an empty state in the folder at hand.
    pub(crate) fn parse(url: &str) -> Result<Self> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Server(url.to_owned()));
        }
        let path = url.strip_prefix("sqlite:").unwrap_or(url);
        let path =
            if path.len() == url.len() { path } else { path.strip_prefix("//").unwrap_or(path) };
        let bare = path.len() == url.len() && !path.starts_with('/') && !path.contains(':');
        if bare {
            return Err(Error::new(
                ErrorCode::StateFailed,
                "the state cannot be kept at what WINDLASS_DATABASE_URL says: it is no URL",
            )
            .hint("use a `postgres://user@host/database` URL, `sqlite:PATH` or an absolute path"));
        }
        if path.is_empty()
            || path.contains("://")
            || path.len() == url.len() && !path.starts_with('/')
        {
            let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
            return Err(Error::new(
                ErrorCode::StateFailed,
                format!("the state cannot be kept at a `{scheme}:` URL"),
            )
            .hint("use a `postgres://user@host/database` URL, or the path of a file"));
        }
        Ok(Self::File(PathBuf::from(path)))
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::File(_) => Dialect::Sqlite,
            Self::Server(_) => Dialect::Postgres,
        }
    }

    /// For messages: never with a password.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Server(url) => {
                let rest = url.split_once("://").map_or("", |(_, rest)| rest);
                let rest = rest.split(['?', '#']).next().unwrap_or_default();
                let end = rest.find('/').unwrap_or(rest.len());
                let host = rest[..end].rfind('@').map_or(0, |at| at + 1);
                format!("postgres://{}", &rest[host..])
            }
        }
    }

    /// Opens a pool; makes the file, readable by its owner only, where there is none.
    pub(crate) async fn connect(&self) -> Result<AnyPool> {
        sqlx::any::install_default_drivers();
        let failed = |error: sqlx::Error| self.failed(error);
        match self {
            Self::File(path) => {
                self.create_file(path)?;
                let text = path.to_str().ok_or_else(|| {
                    Error::new(
                        ErrorCode::StateFailed,
                        format!("the path `{}` is not UTF-8", path.display()),
                    )
                })?;
                let url = format!("sqlite://{}?mode=rw", utf8_percent_encode(text, PLAIN));
                let options = AnyConnectOptions::from_str(&url).map_err(failed)?;
                let pool = AnyPoolOptions::new()
                    .max_connections(4)
                    .acquire_timeout(BUSY)
                    .test_before_acquire(false)
                    .after_connect(|connection, _| {
                        Box::pin(async move {
                            // Foreign keys are sqlx's default. An error here would be retried; the
                            // first statement will report it at once.
                            let patience = BUSY.as_millis();
                            let patience = format!("PRAGMA busy_timeout = {patience}");
                            let _ = connection.execute(sqlx::AssertSqlSafe(patience)).await;
                            let _ = connection.execute("PRAGMA synchronous = NORMAL").await;
                            Ok(())
                        })
                    })
                    .connect_with(options)
                    .await
                    .map_err(failed)?;
                write_ahead(&pool).await.map_err(failed)?;
                Ok(pool)
            }
            Self::Server(url) => {
                let options = AnyConnectOptions::from_str(url).map_err(failed)?;
                // The pool takes a refused connection for a server that starts, and waits; the
                // person who mistyped the URL should not.
                let first = AnyConnection::connect_with(&options).await.map_err(failed)?;
                first.close().await.map_err(failed)?;
                Ok(AnyPoolOptions::new()
                    .max_connections(10)
                    .acquire_timeout(BUSY)
                    .connect_lazy_with(options))
            }
        }
    }

    fn create_file(&self, path: &Path) -> Result<()> {
        let failed = |error: std::io::Error| {
            Error::new(
                ErrorCode::StateFailed,
                format!("the state `{}` cannot be created", self.describe()),
            )
            .source(error)
            .hint("check that the folder can be written, or choose another with --home")
        };
        if path.exists() {
            return Ok(());
        }
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(failed)?;
        }
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(failed(error)),
            _ => Ok(()),
        }
    }

    fn failed(&self, error: sqlx::Error) -> Error {
        let hint = match self {
            Self::File(_) => "check that the file is a Windlass state and can be read and written",
            Self::Server(_) => "check WINDLASS_DATABASE_URL, and that the server is up",
        };
        let error = Error::new(
            ErrorCode::StateFailed,
            format!("the state `{}` cannot be opened", self.describe()),
        )
        .source(error)
        .hint(hint);
        match self {
            Self::Server(url) => {
                password(url).iter().fold(error, |error, text| error.without(text))
            }
            Self::File(_) => error,
        }
    }
}

/// The password of a URL, as it stands there and decoded.
fn password(url: &str) -> Vec<String> {
    let authority = url.split_once("://").map_or("", |(_, rest)| rest);
    let Some((user, _)) = authority.rsplit_once('@') else { return Vec::new() };
    let Some((_, password)) = user.split_once(':') else { return Vec::new() };
    let decoded = percent_encoding::percent_decode_str(password).decode_utf8_lossy().into_owned();
    vec![password.to_owned(), decoded]
}

/// Characters of a path that stand for themselves in a URL.
const PLAIN: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Switches the file to write-ahead logging, once in its life. `SQLite` does not wait for others in
/// this one statement, so we do.
async fn write_ahead(pool: &AnyPool) -> sqlx::Result<()> {
    let mode = |statement: &'static str| async move {
        sqlx::query(statement).fetch_one(pool).await?.try_get::<String, _>(0)
    };
    if mode("PRAGMA journal_mode").await? == "wal" {
        return Ok(());
    }
    let begun = Instant::now();
    loop {
        match mode("PRAGMA journal_mode = WAL").await {
            Err(error) if begun.elapsed() < BUSY && error.to_string().contains("locked") => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            other => return other.map(drop),
        }
    }
}

impl Dialect {
    /// Begins a transaction that writes; waits for whom it must.
    pub(crate) async fn begin(
        self,
        pool: &AnyPool,
        intent: Intent,
    ) -> sqlx::Result<Transaction<'static, Any>> {
        match self {
            // One writer at a time covers every intent.
            Self::Sqlite => pool.begin_with("BEGIN IMMEDIATE").await,
            Self::Postgres => {
                let mut transaction = pool.begin().await?;
                let lock = match intent {
                    Intent::Write => return Ok(transaction),
                    Intent::Place => PLACE_LOCK,
                    Intent::Seal => SEAL_LOCK,
                    Intent::Rotate => ROTATE_LOCK,
                    Intent::Migrate => MIGRATION_LOCK,
                };
                sqlx::query(lock).fetch_one(&mut *transaction).await?;
                Ok(transaction)
            }
        }
    }

    /// Lets one transaction at a time be the first to seal. SQLite has one writer anyway.
    pub(crate) async fn wait_to_seal_first(
        self,
        transaction: &mut Transaction<'static, Any>,
    ) -> sqlx::Result<()> {
        if self == Self::Postgres {
            sqlx::query(FIRST_SEAL_LOCK).fetch_one(&mut **transaction).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_from_a_url_or_a_path() {
        let file = |url: &str| match Place::parse(url).unwrap() {
            Place::File(path) => path.display().to_string(),
            Place::Server(_) => "server".to_owned(),
        };
        assert_eq!(file("/a/b c.db"), "/a/b c.db");
        assert_eq!(file("sqlite:///a/b.db"), "/a/b.db");
        assert_eq!(file("sqlite:b.db"), "b.db");
        for slip in ["nonsense", "./b.db", "postgres", "db.example:5432/x"] {
            let error = Place::parse(slip).unwrap_err();
            assert!(error.hint_text().unwrap().contains("postgres://"), "{slip}");
        }
        assert!(Place::parse("mysql://u:p@h/d").is_err() && Place::parse("sqlite:").is_err());
    }

    #[test]
    fn a_described_place_has_no_password() {
        let place = Place::parse("postgresql://me:p%40ss@word@db:5433/x?sslmode=require").unwrap();
        assert_eq!(place.describe(), "postgres://db:5433/x");
        assert_eq!(password("postgres://me:p%40ss@db/x"), ["p%40ss", "p@ss"]);
        assert!(password("postgres://db/x").is_empty());
    }
}
