use super::*;
use crate::tests::shown;

fn rows(xml: &Xml, text: &str) -> String {
    let source = text.as_bytes().to_vec();
    let schema = match xml.infer(&source, &Limits::default()) {
        Ok(schema) => Arc::new(schema),
        Err(failure) => return failure.to_string(),
    };
    let mut batches = Vec::new();
    let read = xml.read(
        &source,
        &mut Reading {
            strict: Some(Arc::clone(&schema)),
            schema,
            rows: 1024,
            longest: 1 << 20,
            on_error: OnError::Fail,
            bad: &mut |_, _| {},
            out: &mut |batch| {
                batches.push(batch);
                true
            },
        },
    );
    if let Err(failure) = read {
        return failure.to_string();
    }
    shown(&batches)
}

#[test]
fn elements_below_the_root_are_rows_and_nest() {
    let text = "<?xml version=\"1.0\"?>\n<!-- c --><o xmlns:n=\"u\">\
        <row id=\"7\"><n:name>A &amp; B&#233;</n:name><tag>x</tag><tag>y</tag><at><city>Ulm</city></at></row>\n\
        <row id=\"8\"><name><![CDATA[<i>]]></name><tag>z</tag><at/><price>1.5</price></row></o>";
    same(
        &rows(&Xml::default(), text),
        "_id|name|tag|at|price\n7|A & Bé|[x, y]|{city: Ulm}|\n8|<i>|[z]||1.5",
    );
}

fn same(found: &str, expected: &str) {
    assert_eq!(found, expected);
}

#[test]
fn a_row_tag_finds_rows_wherever_they_are() {
    let xml =
        Xml { row_tag: Some("b".to_owned()), attribute_prefix: "@".to_owned(), ..Xml::default() };
    let text = "<a><x><b n='1'>one</b></x><b n='2'/><c><d><b>three</b></d></c></a>";
    same(&rows(&xml, text), "@n|_VALUE\n1|one\n2|\n|three");
    assert_eq!(rows(&xml, "<a><c/></a>"), "it has no element `b`");
}

#[test]
fn broken_xml_says_where_and_entities_do_not_grow() {
    let xml = Xml::default();
    for (text, expected) in [
        ("<a>\n<b>1</c></a>", "line 2: "),
        ("<a>\n<b>1</b>\n<b>2", "line 3: the file ends inside of an element"),
        ("<a><b>1</b>", "line 1: the file ends inside of an element"),
        ("hello", "line 1: there is text outside of every element"),
    ] {
        let found = rows(&xml, text);
        assert!(found.starts_with(expected), "{text}: {found}");
    }
    let bomb = "<!DOCTYPE a [<!ENTITY x \"yy\"><!ENTITY z \"&x;&x;\">]><a><b><c>&z;</c></b></a>";
    assert_eq!(rows(&xml, bomb), "c\n&z;");
    let deep = format!("<a>{}{}</a>", "<b>".repeat(1000), "</b>".repeat(1000));
    assert!(rows(&xml, &deep).contains("nested more than 128 deep"));
}

#[test]
fn the_text_of_all_rows_decides_its_type() {
    let xml = Xml { row_tag: Some("a".to_owned()), ..Xml::default() };
    for (text, expected) in [
        ("<o><r><a>1</a></r><r><a k=\"1\">cd</a></r></o>", "_VALUE|_k\n1|\ncd|1"),
        ("<o><r><a k=\"1\">cd</a></r><r><a>1</a></r></o>", "_k|_VALUE\n1|cd\n|1"),
        ("<o><r><a>1</a></r><r><a k=\"1\">2.5</a></r></o>", "_VALUE|_k\n1.0|\n2.5|1"),
    ] {
        same(&rows(&xml, text), expected);
    }
}
