//! What a run leaves at its destination besides copies: its trigger file and its report. They are
//! neither compared nor deleted there, and never take the place of a copy.

use crate::filter::EntryFilter;
use crate::naming::{Naming, Source};
use crate::options::{CopyOptions, named};
use crate::plan::{Found, Planner, Wanted};
use crate::request::Side;
use crate::run::Run;
use windlass_types::{Error, ErrorCode, Result, RunId};

/// Keys of the destination's bucket.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// The trigger file.
    pub(crate) trigger: Option<String>,
    /// Reports; what ends in `/` stands for all reports of runs in that folder.
    reports: Vec<String>,
}

impl Own {
    pub(crate) fn of(destination: &Side, options: &CopyOptions) -> Self {
        let key = &destination.location.key;
        // Below the folder that is copied into; beside a single key.
        let folder = key.rfind('/').map_or("", |at| &key[..=at]);
        Self {
            trigger: options.trigger.as_ref().map(|name| format!("{folder}{name}")),
            reports: options.reports.clone(),
        }
    }

    /// Whether this key of the destination is none of a copy.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.trigger.as_deref() == Some(key)
            || self.reports.iter().any(|report| match key.strip_prefix(report.as_str()) {
                Some("") => true,
                Some(name) if report.is_empty() || report.ends_with('/') => {
                    let (run, _) = name.split_once('.').unwrap_or_default();
                    run.parse::<RunId>().is_ok()
                }
                _ => false,
            })
    }

    /// Refuses a run that is known to copy something to where its trigger file or its report will be.
    pub(crate) async fn check_apart(
        run: &Run,
        planner: &Planner,
        filter: Option<&dyn EntryFilter>,
    ) -> Result<()> {
        let naming = planner.naming();
        let open = |key: &&String| key.is_empty() || key.ends_with('/');
        let reports = run.own.reports.iter().filter(|key| !open(key));
        let keys = run.own.trigger.iter().chain(reports);
        for key in keys {
            if let Some(source) = source_of(naming, key)
                && is_copied(run, planner, filter, &source).await?
            {
                return Err(taken(run, key).hint(format!(
                    "nothing was written; give the file of the run another name, or leave `{}` out with {}",
                    run.source.address(&source),
                    named("exclude")
                )));
            }
        }
        Ok(())
    }
}

/// The error of a run that copies to where its own file is to be.
pub(crate) fn taken(run: &Run, key: &str) -> Error {
    let place = run.destination.address(key);
    let what = if run.own.trigger.as_deref() == Some(key) { "trigger file" } else { "report" };
    Error::new(
        ErrorCode::TransferRefused,
        format!("the {what} `{place}` would replace an object of that name that is copied"),
    )
}

/// The key of the source that is copied to this one, if there is such a key.
fn source_of(naming: &Naming, key: &str) -> Option<String> {
    if let Source::Key(source) = &naming.source {
        return (naming.destination(source)? == key).then(|| source.clone());
    }
    let name = key.strip_prefix(naming.target()).filter(|name| !name.is_empty())?;
    Some(format!("{}{name}", naming.source.base()))
}

/// Whether the source has this key, and it is chosen.
async fn is_copied(
    run: &Run,
    planner: &Planner,
    filter: Option<&dyn EntryFilter>,
    key: &str,
) -> Result<bool> {
    let Some(name) = key.strip_prefix(planner.naming().source.base()) else { return Ok(false) };
    let listed = |files: &Vec<String>| files.iter().any(|file| file == name);
    if !planner.could_have(name) || !run.options.files.as_ref().is_none_or(listed) {
        return Ok(false);
    }
    // What cannot be asked for is found out when it is copied.
    let Ok(meta) = run.source.storage.stat(&run.source.object(key)?, None).await else {
        return Ok(false);
    };
    let found = Found {
        key: key.to_owned(),
        size: Some(meta.size),
        etag: meta.etag,
        modified: meta.last_modified,
        storage_class: meta.storage_class,
    };
    let entry = found.entry();
    Ok(Wanted::new(&run.options).takes(&entry)
        && match filter {
            Some(filter) => {
                filter.takes(planner.naming().source.base(), &[entry])?.first() == Some(&true)
            }
            None => true,
        })
}

/// Refuses a name that no trigger file can have.
pub(crate) fn check_trigger(name: &str) -> Result<()> {
    let odd = name.contains('\0') || name.split('/').any(|level| matches!(level, "" | "." | ".."));
    if odd {
        return Err(Error::new(
            ErrorCode::UsageInvalid,
            format!("`{}` is no name of a trigger file", name.escape_default()),
        )
        .hint("it is the name of an object below the destination, such as `_DONE`"));
    }
    Ok(())
}
