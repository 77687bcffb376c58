//! `diff`: which names are on one side only, and which differ.

use crate::commands::{Ending, counted};
use crate::failure::Outcome;
use crate::render::Format;
use crate::render::text::safe;
use crate::rows::{Cell, Columns, Kind, batch, schema};
use crate::session::{Place, Session};
use clap::Args;
use futures::{StreamExt as _, TryStreamExt as _};
use windlass_core::transfer::{Difference, DifferenceKind, Side};
use windlass_types::Result;

/// Compare two places.
#[derive(Debug, Args)]
#[command(after_help = "Names are compared below each path; `<` is on the left only, `>` on the right only, `!` differs.

Examples:
  1. A folder with its copy:        windlass diff landing:bucket/orders/ ./orders/
  2. Two connections:               windlass diff landing:raw/ lake:raw/
  3. In a script, exit 1 on any:    windlass diff --exit-code landing:raw/ lake:raw/")]
pub struct Diff {
    /// CONN:BUCKET/PREFIX, or a local path
    #[arg(value_name = "LEFT")]
    pub left: String,
    /// CONN:BUCKET/PREFIX, or a local path
    #[arg(value_name = "RIGHT")]
    pub right: String,
    /// Exit 1 when something differs
    #[arg(long)]
    pub exit_code: bool,
}

const COLUMNS: Columns = &[
    ("path", Kind::Text),
    ("kind", Kind::Text),
    ("left_size", Kind::Integer),
    ("right_size", Kind::Integer),
];
