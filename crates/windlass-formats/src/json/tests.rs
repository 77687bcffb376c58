use super::*;
use crate::tests::shown;

fn rows(json: &Json, text: &str, on_error: OnError) -> (String, Vec<String>) {
    let source = text.as_bytes().to_vec();
    let limits = Limits::default();
    let schema = match json.infer(&source, &limits) {
        Ok(schema) => schema,
        Err(failure) => return (failure.to_string(), Vec::new()),
    };
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Null => field.as_ref().clone().with_data_type(DataType::Utf8),
            _ => field.as_ref().clone(),
        })
        .collect();
    let (mut batches, mut bad) = (Vec::new(), Vec::new());
    let read = json.read(
        &source,
        &mut Reading {
            schema: Arc::new(Schema::new(fields)),
            strict: None,
            rows: 1024,
            longest: 1 << 20,
            on_error,
            bad: &mut |line, why| bad.push(format!("{}: {why}", line.unwrap_or_default())),
            out: &mut |batch| {
                batches.push(batch);
                true
            },
        },
    );
    if let Err(failure) = read {
        return (failure.to_string(), bad);
    }
    (shown(&batches), bad)
}

fn good(text: &str) -> String {
    rows(&Json::default(), text, OnError::Fail).0
}

#[test]
fn every_layout_gives_the_same_rows() {
    let expected = "a|b\n1|x\n2|y";
    for text in [
        "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":\"y\"}\n",
        "[{\"a\":1,\"b\":\"x\"},{\"a\":2,\"b\":\"y\"}]",
        "\u{feff} [\r\n {\"a\": 1,\n  \"b\": \"x\"} ,\n {\"a\": 2, \"b\": \"y\"}\n]\n",
        "{\"a\":1,\"b\":\"x\"}{\"a\":2,\"b\":\"y\"}",
        "\u{1e}{\"a\":1,\"b\":\"x\"}\n\u{1e}{\"a\":2,\"b\":\"y\"}\n",
        "[{\"a\":1,\"b\":\"x\"}]\n[{\"a\":2,\"b\":\"y\"}]",
    ] {
        assert_eq!(good(text), expected, "{text}");
    }
    assert_eq!(good("{\n \"a\": {\"b\": [1, 2]},\n \"c\": \"]}\\\"\"\n}"), "a|c\n{b: [1, 2]}|]}\"");
    assert_eq!(good("[1, null, 3]"), "value\n1\n\n3");
    assert_eq!(good("\"a\" \"b\""), "value\na\nb");
    assert_eq!(good("[[1],[2,3]]"), "value\n[1]\n[2, 3]");
}

#[test]
fn a_root_array_may_stay_whole_and_rows_keep_their_text() {
    let whole = Json { split: false, ..Json::default() };
    assert_eq!(rows(&whole, "[1,2]\n[3]", OnError::Fail).0, "value\n[1, 2]\n[3]");
    let text = Json { text_column: Some("raw".to_owned()), ..Json::default() };
    let found = rows(&text, "[{\"a\": 1.10}, {\"a\":\"\\u00e9\"}, {}]", OnError::Fail).0;
    assert_eq!(found, "a|raw\n1.10|{\"a\": 1.10}\né|{\"a\":\"\\u00e9\"}\n|{}");
}

#[test]
fn objects_are_text_where_other_rows_have_text() {
    assert_eq!(good("[{\"a\":\"x\"},{\"a\":{\"b\": [1,2]}}]"), "a\nx\n{\"b\": [1,2]}");
    let deep = "[{\"a\":{\"b\":[\"x\"]}},{\"a\":{\"b\":[{\"c\":1.50}]}}]";
    assert_eq!(good(deep), "a\n{b: [x]}\n{b: [{\"c\":1.50}]}");
}

#[test]
fn objects_and_lists_are_text_in_lists_where_other_items_are_text() {
    let lines = Json { lines: true, ..Json::default() };
    for (text, expected) in [
        ("{\"a\":[1,{\"b\": 2}]}\n", "a\n[1, {\"b\": 2}]"),
        ("{\"a\":[{\"b\":1},{\"b\":{\"c\":1}}]}\n", "a\n[{b: 1}, {b: {\"c\":1}}]"),
        ("{\"a\":[[1],2]}\n{\"a\":[true,[ ]]}\n", "a\n[[1], 2]\n[true, [ ]]"),
    ] {
        assert_eq!(good(text), expected, "{text}");
        assert_eq!(rows(&lines, text, OnError::Fail).0, expected, "{text}");
    }
    assert_eq!(good("[[1,[2]],[]]"), "value\n[1, [2]]\n[]");
}

#[test]
fn what_is_wrong_is_said_with_its_line() {
    for (text, expected) in [
        ("[{\"a\":1}\n{\"a\":2}]", "line 2: `,` or `]` is expected"),
        ("[{\"a\":1},\n", "line 2: the file ends inside of its array"),
        ("{\"a\":1}\n{\"a\":", "line 2: the file ends inside of a value"),
        ("[1,]", "line 1: a value is expected, not `]`"),
        ("]", "line 1: a value is expected, not `]`"),
    ] {
        assert_eq!(good(text), expected, "{text}");
    }
}

#[test]
fn bad_rows_are_left_out_or_read_in_part() {
    let text = "{\"a\":1,\"b\":\"2026-01-01\"}\n{\"a\":tru}\n{\"a\":2\n{\"a\":3,\"b\":\"x\"}\n";
    let lines = Json { lines: true, ..Json::default() };
    let (found, bad) = rows(&lines, text, OnError::Skip);
    assert_eq!(found.lines().count(), 3, "{found}");
    assert_eq!(bad.len(), 2);
    assert!(bad[0].starts_with("2: ") && bad[1].starts_with("3: "), "{bad:?}");
    // A type learnt before: NULL where the value does not fit.
    let source = b"{\"a\":1,\"b\":2}\n{\"a\":[1],\"b\":3}\n".to_vec();
    let fields =
        vec![Field::new("a", DataType::Int64, true), Field::new("b", DataType::Int64, true)];
    let (mut sum, mut nulls, mut told) = (0, 0, 0);
    lines
        .read(
            &source,
            &mut Reading {
                schema: Arc::new(Schema::new(fields)),
                strict: None,
                rows: 100,
                longest: 1 << 20,
                on_error: OnError::Null,
                bad: &mut |line, _| {
                    assert_eq!(line, Some(2));
                    told += 1;
                },
                out: &mut |batch| {
                    sum += batch.num_rows();
                    nulls += batch.column(0).null_count();
                    true
                },
            },
        )
        .unwrap();
    assert_eq!((sum, nulls, told), (2, 1, 1));
}
