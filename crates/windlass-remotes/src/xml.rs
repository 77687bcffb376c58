//! What two readers of XML share.

use quick_xml::events::BytesRef;

/// The character of `&amp;`, `&#38;` and so on.
pub(crate) fn reference(name: &BytesRef<'_>) -> Result<String, quick_xml::Error> {
    if let Some(character) = name.resolve_char_ref()? {
        return Ok(character.to_string());
    }
    let text = name.decode().map_err(quick_xml::Error::from)?;
    Ok(quick_xml::escape::resolve_predefined_entity(&text).unwrap_or_default().to_owned())
}
