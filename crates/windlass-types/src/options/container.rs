//! What people may say of a container, and of its columns.

use super::Alter::Free;
use super::OptionType::{Text, TextList};
use super::{OptionDef, def};

/// What `ALTER CONTAINER` sets.
pub const CONTAINER_OPTIONS: &[OptionDef] = &[
    def(
        "DESCRIPTION",
        Text,
        false,
        Free,
        "",
        "What it is, in words; stands before what a crawl found.",
    ),
    def("OWNERS", TextList, false, Free, "", "Who is responsible: names of people or teams."),
    def("TAGS", TextList, false, Free, "", "Words to find it by, beside the tags of the bucket."),
];

/// What `ALTER CONTAINER ... COLUMN` sets.
pub const COLUMN_OPTIONS: &[OptionDef] = &[
    def(
        "DESCRIPTION",
        Text,
        false,
        Free,
        "",
        "What it holds, in words; stands before what the file says.",
    ),
    def("TAGS", TextList, false, Free, "", "Words to find it by."),
];
