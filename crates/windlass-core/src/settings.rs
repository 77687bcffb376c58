//! Where Windlass keeps what it knows. Read at the door, passed inward.

use crate::session::Session;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use windlass_query::Budget;
use windlass_types::{ByteSize, Error, ErrorCode, ProcessName, Result};

/// Reads an environment variable; given from outside so that tests need no real one.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Memory of a machine that does not say how much it has, in bytes.
const UNKNOWN_MEMORY: u64 = 4 << 30;

/// Settings of one engine.
#[derive(Clone)]
pub struct Settings {
    /// Folder for the state and the key.
    pub home: PathBuf,
    /// `postgres://…`, or None for SQLite under the home.
    pub database_url: Option<String>,
    /// Master key file; None means `key` under the home.
    pub key_file: Option<PathBuf>,
    /// Bytes all queries of the process may hold; None is half of the machine's memory.
    pub memory_limit: Option<ByteSize>,
    /// How long a statement may take, as `SET statement_timeout` takes it; None is no limit.
    pub statement_timeout: Option<String>,
    /// The environment.
    pub environment: Environment,
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("home", &self.home)
            .field("key_file", &self.key_file)
            .finish_non_exhaustive()
    }
}

impl Settings {
    /// Settings from an explicit home, else `WINDLASS_HOME`, else the XDG data folder;
    /// `WINDLASS_DATABASE_URL`, `WINDLASS_KEY_FILE`, `WINDLASS_MEMORY_LIMIT` and
    /// `WINDLASS_STATEMENT_TIMEOUT` as documented.
    pub fn from_environment(home: Option<&Path>, environment: Environment) -> Result<Self> {
        let given = |name: &str| environment(name).filter(|text| !text.is_empty());
        let home = match home {
            Some(home) => home.to_owned(),
            None => match (given("WINDLASS_HOME"), given("XDG_DATA_HOME"), given("HOME")) {
                (Some(home), ..) => PathBuf::from(home),
                (_, Some(data), _) => PathBuf::from(data).join("windlass"),
                (.., Some(user)) => PathBuf::from(user).join(".local/share/windlass"),
                _ => {
                    return Err(Error::new(
                        ErrorCode::HomeInvalid,
                        "no home folder: HOME is not set",
                    )
                    .hint("set WINDLASS_HOME or give `--home DIR`"));
                }
            },
        };
        let wrong = |name: &'static str| {
            move |error: Error| {
                let hint = error.hint_text().unwrap_or("leave it out for the default").to_owned();
                Error::new(ErrorCode::UsageInvalid, format!("{name}: {}", error.message()))
                    .hint(hint)
            }
        };
        let memory_limit = given("WINDLASS_MEMORY_LIMIT")
            .map(|text| text.parse::<ByteSize>())
            .transpose()
            .map_err(wrong("WINDLASS_MEMORY_LIMIT"))?;
        let statement_timeout = given("WINDLASS_STATEMENT_TIMEOUT");
        if let Some(text) = &statement_timeout {
            crate::session::timeout(text).map_err(wrong("WINDLASS_STATEMENT_TIMEOUT"))?;
        }
        Ok(Self {
            home,
            memory_limit,
            statement_timeout,
            database_url: given("WINDLASS_DATABASE_URL"),
            key_file: given("WINDLASS_KEY_FILE").map(PathBuf::from),
            environment,
        })
    }

    /// Path of the master key.
    pub fn key_path(&self) -> PathBuf {
        self.key_file.clone().unwrap_or_else(|| self.home.join("key"))
    }

    /// What the store is opened with.
    pub fn database(&self) -> String {
        self.database_url
            .clone()
            .unwrap_or_else(|| format!("sqlite:{}", self.home.join("windlass.db").display()))
    }

    /// Bytes all queries of the process may hold.
    pub fn memory(&self) -> ByteSize {
        self.memory_limit.unwrap_or_else(|| ByteSize(machine_memory() / 2))
    }

    /// A session with the defaults of this process.
    pub(crate) fn session(&self) -> Session {
        let mut session = Session::default();
        session.default_to("memory_limit", self.memory().to_string());
        if let Some(timeout) = &self.statement_timeout {
            session.default_to("statement_timeout", timeout.as_str());
        }
        session
    }

    /// The memory of queries, and a folder of this process for what does not fit. Folders of
    /// processes that are gone are removed.
    pub(crate) fn budget(&self) -> Result<Budget> {
        let below = self.home.join("tmp");
        for folder in std::fs::read_dir(&below).into_iter().flatten().flatten() {
            let owner = folder.file_name().to_string_lossy().parse::<ProcessName>();
            if owner.is_ok_and(|owner| owner.is_gone()) {
                // Somebody else may be removing it too.
                let _ = std::fs::remove_dir_all(folder.path());
            }
        }
        let folder = below.join(ProcessName::current().to_string());
        make_folder(&folder)?;
        let bytes = usize::try_from(self.memory().0).unwrap_or(usize::MAX);
        Ok(Budget::new(bytes, Some(folder)))
    }

    /// Creates the home folder, readable by its owner only.
    pub fn prepare_home(&self) -> Result<()> {
        if self.home.is_dir() {
            return Ok(());
        }
        make_folder(&self.home)
    }
}

fn make_folder(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        Error::new(
            ErrorCode::HomeInvalid,
            format!("cannot create the home folder `{}`", folder.display()),
        )
        .source(error)
        .hint("give a folder you may write with `--home DIR` or WINDLASS_HOME")
    })
}

/// Bytes of memory this process may have: the machine's, or less where its control group says so.
fn machine_memory() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"]
        .iter()
        .find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok());
    let machine = machine.map_or(UNKNOWN_MEMORY, |kib| kib << 10);
    group.map_or(machine, |group| machine.min(group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_home_comes_from_the_flag_then_the_environment() {
        let environment: Environment = Arc::new(|name| match name {
            "HOME" => Some("/home/u".to_owned()),
            _ => None,
        });
        let settings = Settings::from_environment(None, environment.clone()).unwrap();
        assert_eq!(settings.home, Path::new("/home/u/.local/share/windlass"));
        let settings = Settings::from_environment(Some(Path::new("/x")), environment).unwrap();
        assert_eq!(settings.key_path(), Path::new("/x/key"));
        assert!(Settings::from_environment(None, Arc::new(|_| None)).is_err());
    }
}
