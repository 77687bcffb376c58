use super::*;
use ::arrow::array::{ArrayRef, Float64Array, Int64Array, ListArray, StringArray, UInt64Array};
use ::arrow::datatypes::{DataType, Field, Schema, UInt64Type};
use std::io::Read as _;
use windlass_types::OptionValue;

fn text(text: &str) -> OptionValue {
    OptionValue::Text(text.to_owned())
}

fn rows() -> RecordBatch {
    RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
        ("label", Arc::new(StringArray::from(vec![Some("a"), Some("")])) as ArrayRef),
        ("n", Arc::new(Float64Array::from(vec![f64::NAN, -0.5])) as ArrayRef),
    ])
    .unwrap()
}

fn written(
    options: &[(&str, OptionValue)],
    compression: Option<&str>,
    name: &str,
) -> Result<Vec<u8>> {
    let group: Vec<_> =
        options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    let format = FileFormat::read(&group, compression, name, None)?;
    let mut encoder = FileEncoder::new(&format, &rows().schema())?;
    encoder.write(&rows())?;
    let size = encoder.size();
    let mut bytes = encoder.take(1).unwrap_or_default();
    bytes.extend(encoder.finish()?);
    assert!(size <= bytes.len() as u64 + 4096, "{size} of {}", bytes.len());
    Ok(bytes)
}

const CSV: &str = "id,label,n\n1,a,NaN\n,\"\",-0.5\n";

#[test]
fn names_say_format_and_compression() {
    assert_eq!(named("a/b.CSV.gz"), (Some(Format::Csv), Some(Compression::Gzip)));
    assert_eq!(named("b.parquet"), (Some(Format::Parquet), None));
    assert_eq!(named("csv"), (None, None));
    assert_eq!(named("x.gz"), (None, Some(Compression::Gzip)));
    assert_eq!(named("a.json/b"), (None, None));
}

#[test]
fn every_compression_of_text_gives_the_text_back() {
    let plain = written(&[], None, "x.csv").unwrap();
    assert_eq!(String::from_utf8(plain).unwrap(), CSV);
    let unpacked = |name: &str, reads: &dyn Fn(Vec<u8>) -> Box<dyn std::io::Read>| {
        let mut found = String::new();
        reads(written(&[], None, name).unwrap()).read_to_string(&mut found).unwrap();
        assert_eq!(found, CSV, "{name}");
    };
    unpacked("x.csv.gz", &|bytes| Box::new(flate2::read::GzDecoder::new(io::Cursor::new(bytes))));
    unpacked("x.csv.bz2", &|bytes| Box::new(bzip2::read::BzDecoder::new(io::Cursor::new(bytes))));
    unpacked("x.csv.xz", &|bytes| Box::new(liblzma::read::XzDecoder::new(io::Cursor::new(bytes))));
    unpacked("x.csv.sz", &|bytes| Box::new(snap::read::FrameDecoder::new(io::Cursor::new(bytes))));
    unpacked("x.csv.lz4", &|bytes| {
        Box::new(lz4_flex::frame::FrameDecoder::new(io::Cursor::new(bytes)))
    });
    unpacked("x.csv.zst", &|bytes| {
        Box::new(zstd::stream::read::Decoder::new(io::Cursor::new(bytes)).unwrap())
    });
}

#[test]
fn what_is_said_counts_more_than_the_name() {
    let json = written(&[("TYPE", text("JSON"))], Some("NONE"), "x.csv").unwrap();
    assert_eq!(
        String::from_utf8(json).unwrap(),
        "{\"id\":1,\"label\":\"a\",\"n\":null}\n{\"id\":null,\"label\":\"\",\"n\":-0.5}\n"
    );
    let array = written(&[], None, "x.json").unwrap();
    assert!(array.starts_with(b"[\n{\"id\":1") && array.ends_with(b"}\n]\n"));
}

#[test]
fn what_a_format_cannot_hold_is_an_error() {
    for (options, compression, name, what) in [
        (vec![], None, "x", "says no format"),
        (vec![("TYPE", text("FIXED"))], None, "x", "not a format that is written"),
        (vec![], Some("BZIP2"), "x.parquet", "not compressed with BZIP2"),
        (vec![], Some("ZSTD"), "x.csv.gz", "the name says GZIP, and COMPRESSION ZSTD"),
        (vec![], Some("NONE"), "x.json.bz2", "the name says BZIP2, and COMPRESSION NONE"),
        (vec![], None, "x.parquet.gz", "PARQUET files are not compressed as a whole"),
        (vec![("TYPE", text("CSV"))], None, "x.csv.zip", "ZIP archive, which is not written"),
        (vec![("DELIMITER", text(""))], None, "x.csv", "DELIMITER is not one ASCII character"),
        (vec![("DELIMITER", text("||"))], None, "x.csv", "DELIMITER is not one ASCII character"),
        (vec![("DELIMITER", text("\n"))], None, "x.csv", "DELIMITER is a line end"),
        (vec![("DELIMITER", text("\""))], None, "x.csv", "same character"),
        (vec![("QUOTE", text("''"))], None, "x.csv", "QUOTE is not one ASCII character"),
        (vec![("ENCODING", text("UTF-7"))], None, "x.csv", "unknown ENCODING"),
        (vec![("ROW_TAG", text("a b"))], None, "x.xml", "not the name of an element"),
        (vec![("SHEET", text("a/b"))], None, "x.xlsx", "name of a sheet"),
        (vec![("ATTRIBUTES", OptionValue::List(vec![text("z")]))], None, "x.xml", "no column"),
    ] {
        let error = written(&options, compression, name).unwrap_err();
        assert!(error.message().contains(what), "{what}: {}", error.message());
    }
    let twice = Arc::new(Schema::new(vec![
        Field::new("a", DataType::Int64, true),
        Field::new("a", DataType::Int64, true),
    ]));
    for format in [Format::Parquet, Format::JsonLines, Format::Avro, Format::Arrow] {
        let error = FileEncoder::new(&FileFormat::of(format), &twice).unwrap_err();
        assert!(error.message().contains("two columns are called `a`"), "{}", error.message());
    }
    let odd = Arc::new(Schema::new(vec![Field::new("a b", DataType::Int64, true)]));
    let error = FileEncoder::new(&FileFormat::of(Format::Avro), &odd).unwrap_err();
    assert!(error.message().contains("`a b` cannot be the name"), "{}", error.message());
}

#[test]
fn numbers_that_avro_cannot_hold_are_named_with_column_and_row() {
    let rows = |numbers: [u64; 3]| {
        let ids = Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef;
        let lists = numbers.map(|number| Some(vec![Some(number.min(7))]));
        let lists = Arc::new(ListArray::from_iter_primitive::<UInt64Type, _, _>(lists)) as ArrayRef;
        let numbers = Arc::new(UInt64Array::from(numbers.to_vec())) as ArrayRef;
        RecordBatch::try_from_iter([("id", ids), ("list", lists), ("big", numbers)]).unwrap()
    };
    let avro = FileFormat::of(Format::Avro);
    let mut encoder = FileEncoder::new(&avro, &rows([1, 2, 3]).schema()).unwrap();
    encoder.write(&rows([1, 2, 3])).unwrap();
    let error = encoder.write(&rows([1, u64::MAX, 1 << 63])).unwrap_err();
    let expected = "the value of `big` in row 5 is 18446744073709551615";
    assert!(error.message().starts_with(expected), "{}", error.message());
    assert!(error.hint_text().unwrap().contains("DECIMAL(20, 0)"));
    assert!(!error.chain().contains("avro_custom_types"), "{}", error.chain());

    let lists = [Some(vec![Some(1)]), None, Some(vec![Some(2), Some(u64::MAX)])];
    let lists = Arc::new(ListArray::from_iter_primitive::<UInt64Type, _, _>(lists)) as ArrayRef;
    let lists = RecordBatch::try_from_iter([("list", lists)]).unwrap();
    let mut encoder = FileEncoder::new(&avro, &lists.schema()).unwrap();
    let error = encoder.write(&lists).unwrap_err();
    assert_eq!(
        error.message(),
        "the value of `list` in row 3 cannot be written in Avro: UInt64 value \
         18446744073709551615 exceeds i64::MAX"
    );
    assert!(!error.chain().contains("avro_custom_types"), "{}", error.chain());
}

#[test]
fn a_name_and_an_option_that_say_the_same_agree() {
    let twice = written(&[], Some("GZIP"), "x.csv.gz").unwrap();
    assert!(twice.starts_with(&[0x1f, 0x8b]));
    // Its first bytes tell who reads it.
    assert!(written(&[], Some("GZIP"), "x.csv").unwrap().starts_with(&[0x1f, 0x8b]));
}

#[test]
fn a_delimiter_is_one_character_however_it_is_spelled() {
    for (said, delimiter) in [(";", ";"), ("\\t", "\t"), ("TAB", "\t"), ("\\x01", "\x01")] {
        let bytes = written(&[("DELIMITER", text(said))], None, "x.csv").unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), CSV.replace(',', delimiter), "{said}");
    }
}

#[test]
fn every_encoding_that_is_read_is_written() {
    let schema = Arc::new(Schema::new(vec![Field::new("x", DataType::Utf8, true)]));
    for (encoding, word) in [
        ("CP437", "üß"),
        ("CP850", "Ø×"),
        ("CP852", "őł"),
        ("CP855", "жЯ"),
        ("CP858", "€é"),
        ("CP860", "ãç"),
        ("CP862", "אש"),
        ("CP863", "Ééè"),
        ("CP865", "øå"),
        ("IBM866", "жЯ"),
        ("MacintoshCyrillic", "жЯ"),
        ("windows-1252", "€ü"),
        ("UTF-16", "漢€"),
    ] {
        let group = [("TYPE".to_owned(), text("CSV")), ("ENCODING".to_owned(), text(encoding))];
        let format = FileFormat::read(&group, None, "", None).unwrap();
        let rows = |word: &str| {
            let words = Arc::new(StringArray::from(vec![word])) as ArrayRef;
            RecordBatch::try_new(Arc::clone(&schema), vec![words]).unwrap()
        };
        let mut encoder = FileEncoder::new(&format, &schema).unwrap();
        encoder.write(&rows(word)).unwrap();
        let bytes = encoder.finish().unwrap();
        let mut decoder = crate::encoding::Charset::find(encoding).unwrap().decoder();
        assert_eq!(decoder.push(&bytes, true), Some(format!("x\n{word}\n")), "{encoding}");
        if encoding == "UTF-16" {
            continue;
        }
        let lacks = || {
            let mut encoder = FileEncoder::new(&format, &schema)?;
            encoder.write(&rows("漢"))?;
            encoder.finish()
        };
        let error = lacks().unwrap_err();
        assert!(error.message().contains("`漢` (U+6F22) is not in"), "{}", error.message());
    }
}

#[test]
fn options_without_sense_for_a_format_are_refused_with_those_it_takes() {
    let refused = |kind: &str, name: &str, value: OptionValue| {
        let group = [("TYPE".to_owned(), text(kind)), (name.to_owned(), value)];
        let format = FileFormat::read(&group, None, "", None).unwrap();
        let error = format.refuse_others(&group).err()?;
        Some(format!("{}; {}", error.message(), error.hint_text().unwrap()))
    };
    assert_eq!(
        refused("XLSX", "DELIMITER", text(";")).unwrap(),
        "XLSX files take no DELIMITER; what they take of FILE_FORMAT is TYPE, HEADER, SHEET, SHEET_COLUMN"
    );
    for (kind, name) in
        [("CSV", "SHEET"), ("JSON", "QUOTE"), ("PARQUET", "HEADER"), ("XML", "SHEET")]
    {
        assert!(refused(kind, name, text("x")).is_some(), "{kind} {name}");
    }
    for (kind, name) in
        [("CSV", "NULL_VALUE"), ("TSV", "QUOTE"), ("XLSX", "SHEET"), ("XML", "ROW_TAG")]
    {
        assert_eq!(refused(kind, name, text("x")), None, "{kind} {name}");
    }
    // What only reading knows comes with the CONTENT_TYPE of a table.
    assert_eq!(refused("JSON", "SAMPLE_FILES", OptionValue::Integer(9)), None);
}
