//! Options of `COPY FILES`, `MOVE FILES` and `SYNC FILES`.
//!
//! One table in an order that makes each statement's options a slice of it.

use super::Alter::Free;
use super::OptionType::{Bool, Bound, Choice, Group, Integer, Moment, Size, Text, TextList};
use super::{OptionDef, def};

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

const fn row(
    name: &'static str,
    kind: super::OptionType,
    default: &'static str,
    doc: &'static str,
) -> OptionDef {
    def(name, kind, false, Free, default, doc)
}

/// Options of all three statements.
pub const FILES_OPTIONS: &[OptionDef] = &[
    row(
        "DELETE",
        Bool,
        "FALSE",
        "SYNC: delete at the destination what the source does not have; last, and never after a listing that did not finish (M-J7).",
    ),
    row(
        "MAX_DELETE",
        Bound,
        "no limit",
        "SYNC: delete nothing if more than this many objects, or this share of them, would go.",
    ),
    row(
        "BACKUP_TO",
        Text,
        "",
        "SYNC: folder of the destination's bucket, ending in `/`, that takes what is deleted.",
    ),
    row("INCLUDE", TextList, "everything", "Only names below the source that match (M-J8, M-J9)."),
    row(
        "EXCLUDE",
        TextList,
        "",
        "Never names that match; wins over INCLUDE, and an excluded folder is not listed (M-J8).",
    ),
    row(
        "WHERE",
        Text,
        "",
        "Only objects for which this SQL expression over key, size, last_modified, etag, storage_class is true.",
    ),
    row("FAILED_OF", Text, "", "Only what failed in this run of the same source."),
    row(
        "NEWER_THAN",
        Moment,
        "",
        "Only objects changed after this time, or younger than this age.",
    ),
    row("OLDER_THAN", Moment, "", "Only objects changed before this time, or older than this age."),
    row("MIN_SIZE", Size, "", "Only objects of at least this size."),
    row("MAX_SIZE", Size, "", "Only objects of at most this size."),
    row(
        "CHANGE_TEST",
        Choice(&["DEFAULT", "SIZE_ONLY", "CHECKSUM", "UPDATE", "ALWAYS"]),
        "DEFAULT for SYNC, else ALWAYS",
        "How it is decided that an object at the destination is another than the source's (M-J4).",
    ),
    row(
        "IF_EXISTS",
        Choice(&["OVERWRITE", "SKIP", "FAIL", "KEEP_NEWER", "KEEP_BOTH"]),
        "OVERWRITE",
        "What to do when the destination has another object of that name (M-J7).",
    ),
    row(
        "STORAGE_CLASS",
        Text,
        "the connection's, else the source's",
        "Storage class of what is written; KEEP is the source's.",
    ),
    row(
        "METADATA",
        Group(METADATA_OPTIONS),
        "KEEP",
        "System headers and user metadata of what is written.",
    ),
    row("TAGS", Group(TAGS_OPTIONS), "KEEP", "Tags of what is written."),
    row(
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
    row(
        "NAMES",
        Choice(&["FAIL", "SKIP", "RENAME"]),
        "FAIL",
        "What to do with names that the destination cannot hold (M-J10).",
    ),
    row(
        "CASE",
        Choice(&["FAIL", "SKIP", "RENAME"]),
        "FAIL",
        "What to do with names that differ only in case, where the destination does not tell case apart (M-C6).",
    ),
    row(
        "SYMLINKS",
        Choice(&["FOLLOW", "SKIP", "KEEP"]),
        "FOLLOW",
        "What symbolic links of a local folder are: what they lead to, nothing, or links (between folders only).",
    ),
    row(
        "RESTORE_DAYS",
        Integer(1, 365),
        "",
        "Ask for archived objects to be restored for so many days; they are copied by a later run.",
    ),
    row("DRY_RUN", Bool, "FALSE", "Say what would be done, do nothing (M-J12)."),
    row("BANDWIDTH", Size, "no limit", "Most bytes a second."),
    row(
        "REQUESTS_PER_SECOND",
        Integer(1, 1_000_000),
        "no limit",
        "Most requests started per second.",
    ),
    row("CONCURRENCY", Integer(1, 1024), "adapts", "Objects and parts in flight (M-J13)."),
    row("MAX_MEMORY", Size, "256MiB", "Bytes of objects held in memory at most."),
    row(
        "CHECK",
        Choice(&["AUTO", "READ_BACK"]),
        "AUTO",
        "How a copy is verified: by what the services tell, or by reading it back (M-J20).",
    ),
    row("REPORT", Group(REPORT_OPTIONS), "", "Write a line for each item as a file (M-J17)."),
    row(
        "TRIGGER_FILE",
        Text,
        "",
        "Name, below the destination, of an empty object that is written at the end of a run without failures (M-J11).",
    ),
    row(
        "TRIGGER_FILE_ALWAYS",
        Bool,
        "FALSE",
        "Write the trigger file also when nothing was copied (M-J11).",
    ),
    row(
        "REMOVE_EMPTY_FOLDERS",
        Bool,
        "FALSE",
        "MOVE: remove the folders that the move has emptied (M-J2).",
    ),
];

/// Options inside `METADATA = (...)`.
pub const METADATA_OPTIONS: &[OptionDef] = &[
    row("MODE", Choice(&["KEEP", "DROP"]), "KEEP", "Whether the source's user metadata is kept."),
    row(
        "CONTENT_TYPE",
        Text,
        "the source's",
        "Content type instead; 'NONE' takes it away, as with the others.",
    ),
    row("CACHE_CONTROL", Text, "the source's", "Cache control instead."),
    row("CONTENT_DISPOSITION", Text, "the source's", "Content disposition instead."),
    row("CONTENT_ENCODING", Text, "the source's", "Content encoding instead."),
    row("CONTENT_LANGUAGE", Text, "the source's", "Content language instead."),
    row("SET", TextList, "", "User metadata to set, each as `name: value`."),
];

/// Options inside `TAGS = (...)`.
pub const TAGS_OPTIONS: &[OptionDef] = &[
    row("MODE", Choice(&["KEEP", "DROP"]), "KEEP", "Whether the source's are kept."),
    row("SET", TextList, "", "Tags to set, each as `name=value`."),
];

/// Options inside `REPORT = (...)`.
pub const REPORT_OPTIONS: &[OptionDef] = &[
    row(
        "LOCATION",
        Text,
        "",
        "Key of the report; or a folder, in which it has the name of the run.",
    ),
    row("CONNECTION", Text, "the destination's", "Connection it is written through."),
    row("FORMAT", Choice(&["CSV", "JSONL", "PARQUET"]), "by the name, else CSV", "Its format."),
    row("ITEMS", Choice(&["ALL", "FAILED"]), "ALL", "Which items."),
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
