//! What people may say of a container, and of its columns.

use super::OptionType::{Text, TextList};
use super::{OptionDef, free};

/// What `ALTER CONTAINER` sets.
pub const CONTAINER_OPTIONS: &[OptionDef] = &[
    free("DESCRIPTION", Text, "", "What it is, in words; stands before what a crawl found."),
    free("OWNERS", TextList, "", "Who is responsible: names of people or teams."),
    free("TAGS", TextList, "", "Words to find it by, beside the tags of the bucket."),
];

/// What `ALTER CONTAINER ... COLUMN` sets.
pub const COLUMN_OPTIONS: &[OptionDef] = &[
    free("DESCRIPTION", Text, "", "What it holds, in words; stands before what the file says."),
    free("TAGS", TextList, "", "Words to find it by."),
];
