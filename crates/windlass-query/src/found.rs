//! What DESCRIBE says of how files are read, besides their format: what of it was seen, and what was
//! said.

use crate::files::SourceFile;
use crate::format::{Declared, Kind, TextOptions};
use crate::packed::{Compression, Packed};
use std::sync::Arc;
use windlass_formats::encoding::Charset;

/// The notes of files of this kind that were read as `text` says. `sheets`: those that were read.
pub(crate) fn notes(
    kind: Kind,
    declared: &Declared,
    text: &TextOptions,
    files: &[Arc<SourceFile>],
    sheets: &[String],
) -> Vec<(&'static str, String)> {
    let mut notes = Vec::new();
    let packed: Vec<&Packed> = files.iter().filter_map(|file| file.noted.packed.get()).collect();
    let compressions = packed.iter().map(|packed| packed.compression);
    let mut note = |name: &'static str, text: Option<String>| {
        notes.extend(text.map(|text| (name, text)));
    };
    note("compression", listed(compressions.filter(|one| *one != Compression::None)));
    if kind.is_text() {
        let encodings = packed.iter().filter_map(|packed| packed.encoding);
        note("encoding", listed(encodings.map(Charset::name)));
    }
    let members = files.iter().filter_map(|file| file.member.as_ref());
    note("members", listed(members.map(|member| format!("`{}`", member.name))));
    if matches!(kind, Kind::Csv | Kind::Tsv) {
        let shown = |byte: u8| Some(format!("`{}`", char::from(byte).escape_debug()));
        note("delimiter", shown(text.delimiter));
        note("quote", Some(format!("`{}`", char::from(text.quote))));
        let header = match (text.header, declared.is_headed()) {
            (true, _) => "the first record names the columns",
            (false, true) => "none, as declared",
            (false, false) => {
                "none: the first record has values of the types of the others; HEADER = TRUE takes it for one"
            }
        };
        note("header", Some(header.to_owned()));
    }
    note("sheets", listed(sheets.iter().map(|name| format!("`{name}`"))));
    if kind == Kind::Xml {
        let tag = match declared.row_tag() {
            Some(tag) => format!("`{tag}`"),
            None => "the elements below the root".to_owned(),
        };
        note("row tag", Some(tag));
    }
    notes
}

/// Each of these once, the first few of them; None: there is none.
fn listed<T: ToString>(all: impl Iterator<Item = T>) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for one in all {
        let name = one.to_string();
        if names.contains(&name) {
            continue;
        }
        if names.len() == 3 {
            names.push("...".to_owned());
            break;
        }
        names.push(name);
    }
    (!names.is_empty()).then(|| names.join(", "))
}
