//! Where Windlass keeps what it knows. Read at the door, passed inward.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use windlass_types::{Error, ErrorCode, Result};

/// Reads an environment variable; given from outside so that tests need no real one.
pub type Environment = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Settings of one engine.
#[derive(Clone)]
pub struct Settings {
    /// Folder for the state and the key.
    pub home: PathBuf,
    /// `postgres://…`, or None for SQLite under the home.
    pub database_url: Option<String>,
    /// Master key file; None means `key` under the home.
    pub key_file: Option<PathBuf>,
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
    /// `WINDLASS_DATABASE_URL` and `WINDLASS_KEY_FILE` as documented.
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
        Ok(Self {
            home,
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

    /// Creates the home folder, readable by its owner only.
    pub fn prepare_home(&self) -> Result<()> {
        use std::os::unix::fs::DirBuilderExt as _;
        if self.home.is_dir() {
            return Ok(());
        }
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.home).map_err(|error| {
            Error::new(
                ErrorCode::HomeInvalid,
                format!("cannot create the home folder `{}`", self.home.display()),
            )
            .source(error)
            .hint("give a folder you may write with `--home DIR` or WINDLASS_HOME")
        })
    }
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
