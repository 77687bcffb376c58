//! Which options of `CONTENT_TYPE` have a sense for which format.

use crate::format::{content, word_of};
use windlass_formats::detect::Kind;
use windlass_types::{Error, ErrorCode, OptionMap, Result};

/// Options of every format whose files Windlass reads itself.
const ALL: &[&str] =
    &["COMPRESSION", "MEMBERS", "ON_ERROR", "TYPES", "INFER", "SAMPLE_FILES", "MAX_LINE"];

/// Options of some formats. What is not here is looked at where it is read.
const SOME: &[(&[Kind], &[&str])] = &[
    (
        &[
            Kind::Csv,
            Kind::Tsv,
            Kind::Json,
            Kind::JsonLines,
            Kind::Xml,
            Kind::Fixed,
            Kind::Regex,
            Kind::Lines,
        ],
        &["ENCODING"],
    ),
    (&[Kind::Csv, Kind::Tsv, Kind::Xlsx], &["HEADER"]),
    (&[Kind::Csv, Kind::Tsv], &["DELIMITER", "QUOTE", "ESCAPE", "NULL_VALUE", "COMMENT"]),
    (&[Kind::Csv, Kind::Tsv, Kind::Fixed, Kind::Xlsx], &["SKIP_ROWS"]),
    (&[Kind::Json, Kind::JsonLines], &["SPLIT_ROOT_ARRAY", "STORE_JSON_AS_STRING"]),
    (&[Kind::Xml], &["ROW_TAG", "ATTRIBUTE_PREFIX"]),
    (&[Kind::Regex], &["PATTERN"]),
    (&[Kind::Fixed], &["COLUMNS", "SKIP_BYTES", "LINE_DELIMITED", "STRIP_BLANKS", "DECIMAL_POINT"]),
    (&[Kind::Xlsx], SHEETS),
    (&[Kind::Xlsx], &["SHEET_COLUMN", "EMPTY_ROWS", "INCOMPLETE_ROWS", "PASSWORD_SECRET"]),
];

/// Options of which each says which sheets are read.
const SHEETS: &[&str] = &["SHEET", "SHEETS", "SHEET_PREFIX", "SHEET_SUFFIX", "SHEET_CONTAINS"];

fn invalid(text: String) -> Error {
    Error::new(ErrorCode::OptionInvalid, text)
}

/// An error where an option has no sense for the format that is said, or contradicts another. Nothing
/// is known of files without a format that is said.
pub(crate) fn check(kind: Option<Kind>, options: &OptionMap) -> Result<()> {
    let names: Vec<String> = content(options).into_iter().map(|(name, _)| name).collect();
    let sheets: Vec<&str> =
        names.iter().map(String::as_str).filter(|name| SHEETS.contains(name)).collect();
    if let [first, second, ..] = sheets.as_slice() {
        return Err(invalid(format!("{first} and {second} each say which sheets are read"))
            .hint("give one of them; SHEETS takes several names"));
    }
    let Some(kind) = kind else { return Ok(()) };
    for name in &names {
        let mut of = SOME.iter().filter(|(_, options)| options.contains(&name.as_str()));
        let takes = match of.next() {
            None => true,
            Some((kinds, _)) => kinds.contains(&kind),
        };
        if !takes {
            let own = SOME.iter().filter(|(kinds, _)| kinds.contains(&kind));
            let known: Vec<&str> =
                own.flat_map(|(_, options)| options.iter()).chain(ALL).copied().collect();
            let word = word_of(kind);
            return Err(invalid(format!("{name} has no sense for TYPE = {word}"))
                .hint(format!("its options are {}", known.join(", "))));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_types::OptionValue;
    use windlass_types::options::CONTENT_TYPE_OPTIONS;

    fn options(names: &[&str]) -> OptionMap {
        let value = || OptionValue::Text("x".to_owned());
        let group = names.iter().map(|name| ((*name).to_owned(), value())).collect();
        OptionMap::from([("CONTENT_TYPE".to_owned(), OptionValue::Group(group))])
    }

    #[test]
    fn every_option_is_of_some_format_or_of_all() {
        for def in CONTENT_TYPE_OPTIONS {
            let some = SOME.iter().filter(|(_, options)| options.contains(&def.name)).count();
            let all = ALL.contains(&def.name);
            let own = ["TYPE", "VERSION", "TIMESTAMP"].contains(&def.name);
            assert_eq!(some + usize::from(all) + usize::from(own), 1, "{}", def.name);
        }
    }

    #[test]
    fn an_option_without_sense_is_refused_with_those_that_have_it() {
        assert!(check(Some(Kind::Csv), &options(&["DELIMITER", "TYPES", "ON_ERROR"])).is_ok());
        assert!(check(Some(Kind::Xlsx), &options(&["HEADER", "SHEET_PREFIX"])).is_ok());
        assert!(check(None, &options(&["ROW_TAG", "DELIMITER"])).is_ok());
        for (kind, name) in [
            (Kind::Csv, "DECIMAL_POINT"),
            (Kind::Csv, "ROW_TAG"),
            (Kind::Csv, "SHEET"),
            (Kind::JsonLines, "HEADER"),
            (Kind::Parquet, "ENCODING"),
            (Kind::Lines, "PATTERN"),
        ] {
            let error = check(Some(kind), &options(&[name])).unwrap_err();
            assert!(error.message().starts_with(name), "{error:?}");
            assert!(error.hint_text().unwrap().contains("ON_ERROR"), "{error:?}");
        }
        let error =
            check(Some(Kind::Xlsx), &options(&["SHEET_PREFIX", "SHEET_SUFFIX"])).unwrap_err();
        assert!(error.message().contains("SHEET_PREFIX and SHEET_SUFFIX"), "{error:?}");
    }
}
