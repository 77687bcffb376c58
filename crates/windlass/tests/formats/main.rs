//! Files of independent writers (pandas, pyarrow, openpyxl, fastavro, the standard library of Python)
//! read by the built binary, with the data that breaks readers. P-R2, P-2.5, U 1.3.

#[path = "../common/mod.rs"]
mod common;
mod declared;
mod delta;
mod guide;
mod kinds;
mod nasty;

use common::Home;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A home with the folder `lake` behind the connection `lake`.
struct Lake {
    home: Home,
    root: PathBuf,
}

impl Lake {
    fn new() -> Self {
        let home = Home::new();
        let root = home.scratch("lake");
        std::fs::create_dir_all(&root).unwrap();
        let lake = Self { home, root };
        lake.sql(&format!("CREATE LOCAL CONNECTION lake ROOT = '{}'", lake.root.display()));
        lake
    }

    #[track_caller]
    fn sql(&self, text: &str) {
        self.home.sql(text).good();
    }

    fn put(&self, name: &str, bytes: impl AsRef<[u8]>) {
        let path = self.root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    /// Runs Python in the folder.
    #[track_caller]
    fn python(&self, program: &str) {
        let environment = std::env::var_os("WINDLASS_TEST_VENV").map_or_else(
            || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv"),
            PathBuf::from,
        );
        let output = Command::new(environment.join("bin/python"))
            .args(["-c", program])
            .current_dir(&self.root)
            .output()
            .expect("`make test` sets up .venv");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// All rows of a path, in the order of the file.
    #[track_caller]
    fn rows(&self, path: &str) -> Vec<Value> {
        self.home.rows(&format!("SELECT * FROM lake.\"{path}\""))
    }

    /// A file table over a path.
    #[track_caller]
    fn table(&self, name: &str, path: &str, options: &str) {
        self.sql(&format!(
            "CREATE FILE TABLE {name} ON lake LOCATION = '{path}' CONTENT_TYPE = ({options})"
        ));
    }

    #[track_caller]
    fn ask(&self, sql: &str) -> Vec<Value> {
        self.home.rows(sql)
    }

    /// Types of the columns, as `name TYPE`.
    #[track_caller]
    fn types(&self, of: &str) -> Vec<String> {
        self.ask(&format!("DESCRIBE {of}"))
            .iter()
            .filter(|row| row["role"] != "note")
            .map(|row| {
                format!(
                    "{} {}",
                    row["column_name"].as_str().unwrap(),
                    row["data_type"].as_str().unwrap()
                )
            })
            .collect()
    }

    /// What DESCRIBE says of the format, and why.
    #[track_caller]
    fn format(&self, of: &str) -> String {
        let rows = self.ask(&format!("DESCRIBE {of}"));
        let row = rows.iter().find(|row| row["column_name"] == "format").unwrap();
        row["note"].as_str().unwrap().to_owned()
    }

    /// The error of a statement.
    #[track_caller]
    fn refused(&self, sql: &str) -> String {
        self.home.sql(sql).refused(1)
    }
}
