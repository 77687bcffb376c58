//! Fully qualified names, quoted as OpenMetadata does (reference section 7).

/// One part of a fully qualified name: in double quotes where it holds a dot, or a quote, which
/// is then doubled.
pub fn quote(part: &str) -> String {
    if part.contains(['.', '"']) {
        format!("\"{}\"", part.replace('"', "\"\""))
    } else {
        part.to_owned()
    }
}

/// The fully qualified name of what has these parts, the service's first.
pub fn fqn<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    parts.into_iter().map(quote).collect::<Vec<_>>().join(".")
}

/// The parts of a fully qualified name; None where its quotes do not match.
pub fn parts(name: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut chars = name.chars().peekable();
    loop {
        let mut part = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next()? {
                    '"' if chars.next_if_eq(&'"').is_some() => part.push('"'),
                    '"' => break,
                    c => part.push(c),
                }
            }
        } else {
            while let Some(c) = chars.next_if(|c| !matches!(c, '.' | '"')) {
                part.push(c);
            }
        }
        parts.push(part);
        match chars.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_quoted_as_openmetadata_does() {
        // [golden]: the dotted bucket, and a path with a dot in it.
        assert_eq!(
            fqn(["golden_s3", "golden.dotted.name", "v1.0/t"]),
            r#"golden_s3."golden.dotted.name"."v1.0/t""#
        );
        assert_eq!(fqn(["s", "b", "a/b c"]), "s.b.a/b c");
        assert_eq!(fqn(["s", r#"a"b"#]), r#"s."a""b""#);
    }

    #[test]
    fn a_name_is_taken_apart_as_it_was_put_together() {
        for name in [vec!["s"], vec!["s", "b.c", "", "x\"y", "ä/ö", "\""], vec!["", ""]] {
            assert_eq!(parts(&fqn(name.iter().copied())).unwrap(), name);
        }
        assert_eq!(parts(r#"a."b"#), None);
        assert_eq!(parts(r#"a."b"c"#), None);
        assert_eq!(parts(r#"a.b"c"#), None);
    }
}
