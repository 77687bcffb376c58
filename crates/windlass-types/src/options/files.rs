//! Options of `COPY FILES`, `MOVE FILES` and `SYNC FILES`.
//!
//! One table in an order that makes each statement's options a slice of it.

use super::OptionType::{Bool, Bound, Choice, Group, Integer, Moment, Size, Text, TextList};
use super::{OptionDef, free};

/// How many options at the beginning only SYNC takes.
const SYNC_ONLY: usize = 3;
/// How many options at the end only MOVE takes.
const MOVE_ONLY: usize = 1;

/// Options of `SYNC FILES`.
pub const SYNC_FILES_OPTIONS: &[OptionDef] =
    FILES_OPTIONS.split_at(FILES_OPTIONS.len() - MOVE_ONLY).0;
/// Options of `MOVE FILES`.
pub const MOVE_FILES_OPTIONS: &[OptionDef] = FILES_OPTIONS.split_at(SYNC_ONLY).1;
/// Options of `COPY FILES`.
pub const COPY_FILES_OPTIONS: &[OptionDef] = SYNC_FILES_OPTIONS.split_at(SYNC_ONLY).1;

/// Options of all three statements.
pub const FILES_OPTIONS: &[OptionDef] = &[
    free(
        "DELETE",
        Bool,
        "FALSE",
        "SYNC: delete at the destination what the source does not have; last, and never after a listing that did not finish (M-J7).",
    ),
    free(
        "MAX_DELETE",
        Bound,
        "no limit",
        "SYNC: delete nothing if more than this many objects, or this share of them, would go.",
    ),
    free(
        "BACKUP_TO",
        Text,
        "",
        "SYNC: folder of the destination's bucket, ending in `/`, that takes what is deleted.",
    ),
    free("INCLUDE", TextList, "everything", "Only names below the source that match (M-J8, M-J9)."),
    free(
        "EXCLUDE",
        TextList,
        "",
        "Never names that match; wins over INCLUDE, and an excluded folder is not listed (M-J8).",
    ),
    free(
        "WHERE",
        Text,
        "",
        "Only objects for which this SQL expression over key, size, last_modified, etag, storage_class is true.",
    ),
    free("FAILED_OF", Text, "", "Only what failed in this run of the same source."),
    free(
        "NEWER_THAN",
        Moment,
        "",
        "Only objects changed after this time, or younger than this age.",
    ),
    free(
        "OLDER_THAN",
        Moment,
        "",
        "Only objects changed before this time, or older than this age.",
    ),
    free("MIN_SIZE", Size, "", "Only objects of at least this size."),
    free("MAX_SIZE", Size, "", "Only objects of at most this size."),
    free(
        "CHANGE_TEST",
        Choice(&["DEFAULT", "SIZE_ONLY", "CHECKSUM", "UPDATE", "ALWAYS"]),
        "DEFAULT for SYNC, else ALWAYS",
        "How it is decided that an object at the destination is another than the source's (M-J4).",
    ),
    free(
        "IF_EXISTS",
        Choice(&["OVERWRITE", "SKIP", "FAIL", "KEEP_NEWER", "KEEP_BOTH"]),
        "OVERWRITE",
        "What to do when the destination has another object of that name (M-J7).",
    ),
    free(
        "STORAGE_CLASS",
        Text,
        "the connection's, else the source's",
        "Storage class of what is written; KEEP is the source's.",
    ),
    free(
        "METADATA",
        Group(METADATA_OPTIONS),
        "KEEP",
        "System headers and user metadata of what is written.",
    ),
    free("TAGS", Group(TAGS_OPTIONS), "KEEP", "Tags of what is written."),
    free(
        "ACL",
        Choice(&[
            "private",
            "public-read",
            "public-read-write",
            "authenticated-read",
            "aws-exec-read",
            "bucket-owner-read",
            "bucket-owner-full-control",
        ]),
        "the connection's",
        "Canned ACL of what is written; grants of the source are not read.",
    ),
    free(
        "NAMES",
        Choice(&["FAIL", "SKIP", "RENAME"]),
        "FAIL",
        "What to do with names that the destination cannot hold (M-J10).",
    ),
    free(
        "CASE",
        Choice(&["FAIL", "SKIP", "RENAME"]),
        "FAIL",
        "What to do with names that differ only in case, where the destination does not tell case apart (M-C6).",
    ),
    free(
        "SYMLINKS",
        Choice(&["FOLLOW", "SKIP", "KEEP"]),
        "FOLLOW",
        "What symbolic links of a local folder are: what they lead to, nothing, or links (between folders only).",
    ),
    free(
        "RESTORE_DAYS",
        Integer(1, 365),
        "",
        "Ask for archived objects to be restored for so many days; they are copied by a later run.",
    ),
    free("DRY_RUN", Bool, "FALSE", "Say what would be done, do nothing (M-J12)."),
    free("BANDWIDTH", Size, "no limit", "Most bytes a second."),
    free(
        "REQUESTS_PER_SECOND",
        Integer(1, 1_000_000),
        "no limit",
        "Most requests started per second.",
    ),
    free("CONCURRENCY", Integer(1, 1024), "adapts", "Objects and parts in flight (M-J13)."),
    free("MAX_MEMORY", Size, "256MiB", "Bytes of objects held in memory at most."),
    free(
        "CHECK",
        Choice(&["AUTO", "READ_BACK"]),
        "AUTO",
        "How a copy is verified: by what the services tell, or by reading it back (M-J20).",
    ),
    free("REPORT", Group(REPORT_OPTIONS), "", "Write a line for each item as a file (M-J17)."),
    free(
        "TRIGGER_FILE",
        Text,
        "",
        "Name, below the destination, of an empty object that is written at the end of a run without failures (M-J11).",
    ),
    free(
        "TRIGGER_FILE_ALWAYS",
        Bool,
        "FALSE",
        "Write the trigger file also when nothing was copied (M-J11).",
    ),
    free(
        "REMOVE_EMPTY_FOLDERS",
        Bool,
        "FALSE",
        "MOVE: remove the folders that the move has emptied (M-J2).",
    ),
];

/// Options inside `METADATA = (...)`.
pub const METADATA_OPTIONS: &[OptionDef] = &[
    free("MODE", Choice(&["KEEP", "DROP"]), "KEEP", "Whether the source's user metadata is kept."),
    free(
        "CONTENT_TYPE",
        Text,
        "the source's",
        "Content type instead; 'NONE' takes it away, as with the others.",
    ),
    free("CACHE_CONTROL", Text, "the source's", "Cache control instead."),
    free("CONTENT_DISPOSITION", Text, "the source's", "Content disposition instead."),
    free("CONTENT_ENCODING", Text, "the source's", "Content encoding instead."),
    free("CONTENT_LANGUAGE", Text, "the source's", "Content language instead."),
    free("SET", TextList, "", "User metadata to set, each as `name: value`."),
];

/// Options inside `TAGS = (...)`.
pub const TAGS_OPTIONS: &[OptionDef] = &[
    free("MODE", Choice(&["KEEP", "DROP"]), "KEEP", "Whether the source's are kept."),
    free("SET", TextList, "", "Tags to set, each as `name=value`."),
];

/// Options inside `REPORT = (...)`.
pub const REPORT_OPTIONS: &[OptionDef] = &[
    free(
        "LOCATION",
        Text,
        "",
        "Key of the report; or a folder, in which it has the name of the run.",
    ),
    free("CONNECTION", Text, "the destination's", "Connection it is written through."),
    free("FORMAT", Choice(&["CSV", "JSONL", "PARQUET"]), "by the name, else CSV", "Its format."),
    free("ITEMS", Choice(&["ALL", "FAILED"]), "ALL", "Which items."),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_statement_has_its_own_options() {
        let has = |defs: &[OptionDef], name: &str| defs.iter().any(|def| def.name == name);
        for name in ["DELETE", "MAX_DELETE", "BACKUP_TO"] {
            assert!(has(SYNC_FILES_OPTIONS, name));
            assert!(!has(COPY_FILES_OPTIONS, name) && !has(MOVE_FILES_OPTIONS, name));
        }
        assert!(has(MOVE_FILES_OPTIONS, "REMOVE_EMPTY_FOLDERS"));
        assert!(!has(COPY_FILES_OPTIONS, "REMOVE_EMPTY_FOLDERS"));
        assert!(!has(SYNC_FILES_OPTIONS, "REMOVE_EMPTY_FOLDERS"));
        assert_eq!(COPY_FILES_OPTIONS.len() + SYNC_ONLY + MOVE_ONLY, FILES_OPTIONS.len());
    }
}
