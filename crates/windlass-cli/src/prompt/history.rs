//! History that never learns a secret: statements are masked before they are kept.

use reedline::{
    FileBackedHistory, History, HistoryItem, HistoryItemId, HistorySessionId, Result, SearchQuery,
};
use std::path::PathBuf;

/// Statements remembered.
const LENGTH: usize = 2000;

/// A history file whose statements have their secrets masked.
pub(super) struct Masked(FileBackedHistory);

impl Masked {
    /// Opens the file, readable by its owner only.
    pub(super) fn open(file: PathBuf) -> std::io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        options.create(true).append(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o600);
        }
        options.open(&file)?;
        FileBackedHistory::with_file(LENGTH, file).map(Self).map_err(std::io::Error::other)
    }
}

impl History for Masked {
    fn save(&mut self, mut item: HistoryItem) -> Result<HistoryItem> {
        // Commands of the prompt hold none, and are no statements that masking could read.
        if !item.command_line.trim_start().starts_with('\\') {
            item.command_line = windlass_core::sql::masked(&item.command_line);
        }
        self.0.save(item)
    }
    fn load(&self, id: HistoryItemId) -> Result<HistoryItem> {
        self.0.load(id)
    }
    fn count(&self, query: SearchQuery) -> Result<i64> {
        self.0.count(query)
    }
    fn search(&self, query: SearchQuery) -> Result<Vec<HistoryItem>> {
        self.0.search(query)
    }
    fn update(
        &mut self,
        id: HistoryItemId,
        updater: &dyn Fn(HistoryItem) -> HistoryItem,
    ) -> Result<()> {
        self.0.update(id, updater)
    }
    fn clear(&mut self) -> Result<()> {
        self.0.clear()
    }
    fn delete(&mut self, id: HistoryItemId) -> Result<()> {
        self.0.delete(id)
    }
    fn sync(&mut self) -> std::io::Result<()> {
        self.0.sync()
    }
    fn session(&self) -> Option<HistorySessionId> {
        self.0.session()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_was_typed_is_not_written_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("history");
        let mut history = Masked::open(file.clone()).unwrap();
        for line in ["SELECT 1;", "\\timing", "CREATE SECRET s = 'canary-4711';"] {
            history.save(HistoryItem::from_command_line(line)).unwrap();
        }
        history.sync().unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.contains("SELECT 1;")
                && text.contains("\\timing")
                && text.contains("CREATE SECRET"),
            "{text}"
        );
        assert!(!text.contains("canary"), "{text}");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
