//! Options that mean the same for several kinds of connections.

use super::Alter::Free;
use super::OptionType::{Bool, Text};
use super::{OptionDef, def};

pub(super) const SKIP_VALIDATION: OptionDef = def(
    "SKIP_VALIDATION",
    Bool,
    false,
    Free,
    "FALSE",
    "Store the connection without testing it; not stored itself.",
);

pub(super) const ALLOW_METADATA: OptionDef = def(
    "ALLOW_METADATA_ENDPOINT",
    Bool,
    false,
    Free,
    "FALSE",
    "Permit link-local and instance metadata addresses as endpoints.",
);

/// Of folders and servers of files.
pub(super) const fn case_sensitive(default: &'static str) -> OptionDef {
    def(
        "CASE_SENSITIVE",
        Bool,
        false,
        Free,
        default,
        "Whether names that differ only in case are two files. With FALSE, for the disks of Windows and macOS, such names are found before a copy writes anything, and so are names that Windows reserves (M-C6).",
    )
}

pub(super) const CA_FILE: OptionDef = def(
    "CA_FILE",
    Text,
    false,
    Free,
    "system roots",
    "PEM file with the certificate authorities to trust.",
);
