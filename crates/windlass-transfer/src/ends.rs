//! The two ends of a copy, made ready for it: links, the folder that writes must not leave, the rate
//! of requests; and what an end cannot do is refused before anything is begun.

use crate::limited::Limited;
use crate::naming::{Naming, Source, into_itself};
use crate::options::CopyOptions;
use crate::pace::Rate;
use crate::request::Side;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use windlass_s3::Links;
use windlass_types::{Error, ErrorCode, Result};

/// Both ends as the options want them.
pub(crate) fn prepared(
    mut source: Side,
    mut destination: Side,
    naming: &Naming,
    options: &CopyOptions,
) -> Result<(Side, Side)> {
    check(&source, &destination, options)?;
    // A file that is named goes where its name says, also if that is a link. What goes into a folder
    // stays in it.
    let target = naming.target();
    let below = (target.is_empty() || target.ends_with('/')).then_some(target);
    // A link that the destination has is another name of something: it is neither compared nor deleted,
    // and what is written in its place replaces it.
    let there = if options.links == Links::Keep { Links::Keep } else { Links::Skip };
    if let Some(storage) = source.storage.as_end(options.links, None) {
        source.storage = storage;
    }
    if let Some(storage) = destination.storage.as_end(there, below) {
        destination.storage = storage;
    }
    limit(&mut [&mut source, &mut destination], options);
    Ok((source, destination))
}

/// Lets these ends together begin as many requests a second as the options say.
pub(crate) fn limit(sides: &mut [&mut Side], options: &CopyOptions) {
    if options.requests_per_second == 0 {
        return;
    }
    let rate = Arc::new(Rate::new(options.requests_per_second));
    for side in sides {
        if !side.is_folder() {
            side.storage = Limited::storage(Arc::clone(&side.storage), Arc::clone(&rate));
        }
    }
}

/// An error if a source is neither an object nor a folder, or has nothing that matches.
pub(crate) async fn check_there(side: &Side, source: &Source) -> Result<()> {
    let message = match source {
        Source::Folder(folder) if folder.is_empty() => return Ok(()),
        Source::Folder(folder) => {
            // An empty folder of a machine is there, and is listed as nothing.
            if side.storage.stat(&side.object(folder)?, None).await.is_ok() {
                return Ok(());
            }
            format!("there is nothing below `{}`", side.address(folder))
        }
        Source::Glob(pattern) => format!("nothing matches `{}`", side.address(pattern.as_str())),
        Source::Key(key) => format!("nothing matches `{}`", side.address(key)),
    };
    Err(Error::new(ErrorCode::ObjectNotFound, message)
        .hint("list the place above it with `windlass ls`"))
}

/// An error if a folder would be copied into itself, whatever its two ends are called: the copy would
/// find its own copies.
pub(crate) fn check_outside(source: &Side, destination: &Side, naming: &Naming) -> Result<()> {
    let Source::Folder(folder) = &naming.source else { return Ok(()) };
    let target = naming.target();
    let by_name = naming.goes_into_itself();
    let inside = match (real(source, folder), real(destination, target)) {
        (Some(from), Some(to)) => {
            (from != to && to.starts_with(&from)) || (by_name && source.is_same_place(destination))
        }
        (None, None) => by_name && is_same_bucket(source, destination),
        _ => false,
    };
    if inside {
        return Err(into_itself(&destination.address(target), &source.address(folder)));
    }
    Ok(())
}

/// Where a key of a folder of this machine really is, or will be once what is missing of it is made.
/// None elsewhere.
pub(crate) fn real(side: &Side, key: &str) -> Option<PathBuf> {
    let path = side.storage.local_path(key)?;
    let found = path.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some(real.join(path.strip_prefix(above).ok()?))
    });
    Some(found.unwrap_or(path))
}

/// Whether both sides are in one bucket, as far as the two storages tell.
pub(crate) fn is_same_bucket(one: &Side, two: &Side) -> bool {
    let (first, second) = (one.storage.service(), two.storage.service());
    one.location.bucket == two.location.bucket
        && (one.storage.name() == two.storage.name() || (first.is_some() && first == second))
}

/// An error if an end cannot do what the options say.
pub(crate) fn check(source: &Side, destination: &Side, options: &CopyOptions) -> Result<()> {
    let refused = |what: String, hint: &str| {
        Err(Error::new(ErrorCode::UsageInvalid, what).hint(hint.to_owned()))
    };
    let links = |side: &Side| side.storage.as_end(Links::Keep, None).is_some();
    if options.links == Links::Keep && !(links(source) && links(destination)) {
        return refused(
            "links can be kept between folders of this machine only".to_owned(),
            "`follow` copies what they lead to, `skip` leaves them out",
        );
    }
    let named = [
        (options.tags.is_some() || !options.add_tags.is_empty(), "tags"),
        (options.storage_class.is_some(), "a storage class"),
        (options.acl.is_some(), "an ACL"),
    ];
    let wanted = named.into_iter().find_map(|(asked, what)| asked.then_some(what));
    if let Some(what) = wanted
        && !destination.storage.holds_properties()
    {
        let name = destination.storage.name();
        return refused(
            format!("nothing that is written to `{name}` has {what}"),
            "leave the option out: it is for S3 and services like it",
        );
    }
    let given = |map: &BTreeMap<String, String>| map.values().any(|value| !value.is_empty());
    let described = options.metadata.as_ref().is_some_and(|map| !map.is_empty())
        || !options.add_metadata.is_empty()
        || given(&options.headers);
    // A server asked for a copy knows itself what its connection is.
    if described && destination.is_folder() {
        let name = destination.storage.name();
        return refused(
            format!("files that are written to `{name}` have no metadata and no headers"),
            "leave the option out: it is for object stores",
        );
    }
    Ok(())
}
