//! Writing files from SQL: what is written is what independent readers read, nobody sees half a write,
//! and a write that was killed has happened or has not.
//!
//! `WINDLASS_KILL_ROUNDS` sets how often a write is killed (`make soak`), `WINDLASS_SEED` the moments.

mod after;
mod appends;
mod commits;
#[path = "../common/mod.rs"]
mod common;
mod files;
mod formats;
mod insert;

use common::Home;
use serde_json::Value;
use std::process::Command;
use windlass_testkit::TestS3;

/// A home with the connection `lake`, bound to a bucket, and `disk`, a folder.
struct Place {
    home: Home,
    s3: TestS3,
}

impl Place {
    async fn new() -> Self {
        let s3 = TestS3::start().await;
        s3.state().create_bucket("lake");
        let home = Home::new();
        let (id, secret) = s3.admin();
        home.connect("lake", &s3.endpoint(), &id, &secret, "BUCKET = 'lake'").good();
        let disk = home.scratch("disk");
        std::fs::create_dir_all(&disk).unwrap();
        home.sql(&format!("CREATE LOCAL CONNECTION disk ROOT = '{}'", disk.display())).good();
        Self { home, s3 }
    }

    fn text(&self, key: &str) -> String {
        let bytes = self.s3.state().get("lake", key);
        let bytes = bytes.unwrap_or_else(|| panic!("no {key} in {:?}", self.keys()));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    fn keys(&self) -> Vec<String> {
        self.s3.state().keys("lake")
    }

    fn write(&self, statement: &str) -> Value {
        let mut rows = self.home.rows(statement);
        assert_eq!(rows.len(), 1, "{statement}");
        rows.remove(0)
    }

    /// Everything in the bucket as files, for programs that read files.
    fn files(&self) -> std::path::PathBuf {
        let folder = self.home.scratch("read");
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for key in self.keys() {
            let path = folder.join(&key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, self.s3.state().get("lake", &key).unwrap()).unwrap();
        }
        folder
    }

    /// Runs a program of Python with all files in its folder; its asserts are the test.
    fn python(&self, program: &str) -> String {
        let python = windlass_testkit::program("python");
        let output =
            Command::new(python).args(["-c", program]).current_dir(self.files()).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn nothing_is_left(&self, what: &str) {
        let uploads = self.s3.state().uploads("lake");
        assert!(uploads.is_empty(), "{what}: {uploads:?}");
    }
}
