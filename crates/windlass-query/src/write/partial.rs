//! Queries that do not read all of what they read from: a LIMIT, some members of an archive, some sheets of a
//! workbook. Such files must not go after they were read.

use crate::blocking;
use crate::files::SourceFile;
use crate::format::TextOptions;
use crate::store::LeftOut;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::{Expr, FetchType, LogicalPlan, SkipType};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use windlass_formats::Rows;
use windlass_types::Result;

/// What of a plan may leave rows of its tables unread, wherever it stands; None: nothing. A condition leaves
/// out rows too, but those were read.
pub(super) fn limit(plan: &LogicalPlan) -> EngineResult<Option<&'static str>> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        let limits = match node {
            LogicalPlan::Limit(limit) => {
                let (skip, fetch) = (limit.get_skip_type()?, limit.get_fetch_type()?);
                !matches!((skip, fetch), (SkipType::Literal(0), FetchType::Literal(None)))
                    && reads(node)?
            }
            // The optimizer puts limits into these.
            LogicalPlan::Sort(sort) => sort.fetch.is_some() && reads(node)?,
            LogicalPlan::TableScan(scan) => scan.fetch.is_some(),
            _ => false,
        };
        if limits {
            found = Some("a LIMIT");
        } else if looks(node)? {
            found = Some("an EXISTS");
        }
        Ok(match found {
            Some(_) => TreeNodeRecursion::Stop,
            None => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}

/// Whether a plan reads a table.
fn reads(plan: &LogicalPlan) -> EngineResult<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        found = matches!(node, LogicalPlan::TableScan(_));
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

/// Whether a node asks of a table only whether it has rows: the first may do.
fn looks(node: &LogicalPlan) -> EngineResult<bool> {
    let mut found = false;
    node.apply_expressions(|expression| {
        expression.apply(|part| {
            if let Expr::Exists(exists) = part {
                found |= reads(&exists.subquery.subquery)?;
            }
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

/// A workbook, and how it is read.
#[derive(Debug, Clone)]
struct Book {
    file: Arc<SourceFile>,
    rows: Arc<dyn Rows>,
    options: TextOptions,
}

/// Members of one archive that are read.
#[derive(Debug, Clone)]
struct Archive {
    file: Arc<SourceFile>,
    read: BTreeSet<usize>,
    of: usize,
}

/// Files of a query of which perhaps not all is read.
#[derive(Debug, Clone, Default)]
pub struct Partial {
    archives: BTreeMap<(String, String, String), Archive>,
    books: Vec<Book>,
}

/// A file that is read in part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartlyRead {
    /// What a person types to name it.
    pub file: String,
    /// What of it is not read, such as `2 of its 3 members`.
    pub left: String,
}

impl Partial {
    /// Notes a file if it is the member of an archive.
    pub(super) fn member(&mut self, file: &Arc<SourceFile>) {
        let Some(member) = &file.member else { return };
        let object = &file.object;
        let connection = file.storage.name().as_str().to_owned();
        let archive = self
            .archives
            .entry((connection, object.bucket.clone(), object.key.clone()))
            .or_insert_with(|| Archive {
                file: Arc::clone(file),
                read: BTreeSet::new(),
                of: member.of,
            });
        archive.read.insert(member.index);
    }

    /// Notes a workbook.
    pub(super) fn book(
        &mut self,
        file: &Arc<SourceFile>,
        rows: &Arc<dyn Rows>,
        options: &TextOptions,
    ) {
        let (file, rows, options) = (Arc::clone(file), Arc::clone(rows), options.clone());
        self.books.push(Book { file, rows, options });
    }

    /// Looks for a file of which something is not read; those of `left_out` are known as such. Reads the
    /// workbooks; an error is that of reading one.
    pub async fn find(&self, left_out: &LeftOut) -> Result<Option<PartlyRead>> {
        for archive in self.archives.values() {
            let (read, of) = (archive.read.len(), archive.of);
            let object = &archive.file.object;
            if read < of && !left_out.has(&object.bucket, &object.key) {
                let file = archive.file.storage.address(&object.bucket, &object.key);
                let left = format!("{} of its {of} members", of - read);
                return Ok(Some(PartlyRead { file, left }));
            }
        }
        for Book { file, rows, options } in &self.books {
            let left = blocking::unread(Arc::clone(rows), file, options).await?;
            if let Some(left) = left {
                return Ok(Some(PartlyRead { file: file.address(), left }));
            }
        }
        Ok(None)
    }
}
