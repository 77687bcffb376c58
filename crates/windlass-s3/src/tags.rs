//! Tags of objects: read by a call of their own, written by a header of the write.

use crate::access::PutOptions;
use crate::store::S3Store;
use crate::wire::IN_QUERY;
use percent_encoding::utf8_percent_encode;
use std::collections::BTreeMap;
use windlass_types::{ObjectPath, Result};

/// Asks for the tags of an object.
pub(crate) async fn of(
    store: &S3Store,
    object: &ObjectPath,
    version: Option<&str>,
) -> Result<BTreeMap<String, String>> {
    let answer = store
        .send("GetObjectTagging", &object.bucket, &object.key, |client| {
            client
                .get_object_tagging()
                .bucket(&object.bucket)
                .key(&object.key)
                .set_version_id(version.map(str::to_owned))
                .send()
        })
        .await?;
    Ok(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
}

/// The value of x-amz-tagging: the tags as a query. None where none are to be written.
pub(crate) fn header(options: &PutOptions) -> Option<String> {
    let tags = options.tags.as_ref().filter(|tags| !tags.is_empty())?;
    let pair = |(name, value): (&String, &String)| {
        let of = |text| utf8_percent_encode(text, IN_QUERY);
        format!("{}={}", of(name), of(value))
    };
    Some(tags.iter().map(pair).collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_travel_as_a_query() {
        let with = |tags: &[(&str, &str)]| {
            let tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            header(&PutOptions { tags: Some(tags.collect()), ..PutOptions::default() })
        };
        let odd = with(&[("a b", "1&2=3"), ("t\u{e4}g", ""), ("x+y/z", "@:")]);
        assert_eq!(odd.as_deref(), Some("a%20b=1%262%3D3&t%C3%A4g=&x%2By%2Fz=%40%3A"));
        assert_eq!(with(&[]), None);
        assert_eq!(header(&PutOptions::default()), None);
    }
}
