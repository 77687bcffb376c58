//! Writing files as text.

use super::{Printed, Setting, identifier, quoted, text_literal, when};
use crate::ast::{WriteStatement, WriteTo};
use std::fmt;

impl Printed<'_> {
    pub(super) fn write(&self, f: &mut fmt::Formatter<'_>, write: &WriteStatement) -> fmt::Result {
        let WriteStatement { to, options, query } = write;
        let query = if self.mask { crate::masked(query) } else { query.clone() };
        match to {
            WriteTo::Place(place) => {
                let to = format!("{}:{}", place.connection.as_str(), place.location);
                write!(f, "COPY ({query}) TO {}", text_literal(&to))?;
                self.group(f, options)
            }
            WriteTo::Named { first, last, columns } => {
                f.write_str("INSERT INTO ")?;
                first.iter().try_for_each(|first| write!(f, "{}.", identifier(first)))?;
                f.write_str(&identifier(last))?;
                for (index, column) in columns.iter().enumerate() {
                    f.write_str(if index == 0 { " (" } else { ", " })?;
                    // Without quotes `(values` would begin a query.
                    f.write_str(&quoted(column))?;
                }
                f.write_str(when(!columns.is_empty(), ")"))?;
                self.group(f, options)?;
                write!(f, " {query}")
            }
            WriteTo::Table { if_not_exists, name, place } => {
                let not_exists = when(*if_not_exists, "IF NOT EXISTS ");
                write!(
                    f,
                    "CREATE FILE TABLE {not_exists}{name} ON {} LOCATION = {}",
                    place.connection,
                    text_literal(&place.location)
                )?;
                self.settings(f, options)?;
                write!(f, " AS {query}")
            }
        }
    }

    fn group(&self, f: &mut fmt::Formatter<'_>, options: &[crate::OptionSetting]) -> fmt::Result {
        for (index, setting) in options.iter().enumerate() {
            f.write_str(if index == 0 { " OPTIONS (" } else { ", " })?;
            write!(f, "{}", Setting { setting, mask: self.mask })?;
        }
        f.write_str(when(!options.is_empty(), ")"))
    }
}
