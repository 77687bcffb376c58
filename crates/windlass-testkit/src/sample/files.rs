//! Orders as Parquet, CSV and JSON lines, packed and not.

use super::{Order, Random};
use arrow::array::{
    ArrayRef, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::io::Write as _;
use std::sync::Arc;

/// `amount` is a decimal of two places, `ordered_at` a time in UTC.
pub(super) fn parquet(rows: &[Order]) -> Option<Vec<u8>> {
    let texts = |of: fn(&Order) -> &String| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(of)))
    };
    let amounts =
        Decimal128Array::from_iter_values(rows.iter().map(|it| i128::from(it.amount_cents)));
    let times = TimestampMicrosecondArray::from_iter_values(
        rows.iter().map(|it| it.ordered_at.timestamp_micros()),
    );
    let columns: [(&str, ArrayRef); 6] = [
        ("id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|it| it.id)))),
        ("customer", texts(|it| &it.customer)),
        ("country", texts(|it| &it.country)),
        ("amount", Arc::new(amounts.with_precision_and_scale(10, 2).ok()?)),
        ("ordered_at", Arc::new(times.with_timezone("UTC"))),
        ("status", texts(|it| &it.status)),
    ];
    let batch = RecordBatch::try_from_iter(columns).ok()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("windlass sample data".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).ok()?;
    writer.write(&batch).ok()?;
    writer.into_inner().ok()
}

pub(super) fn csv(rows: &[Order]) -> Vec<u8> {
    use std::fmt::Write as _;
    let mut text = String::from("id,customer,country,amount,ordered_at,status\n");
    for row in rows {
        let customer = if row.customer.contains([',', '"']) {
            format!("\"{}\"", row.customer.replace('"', "\"\""))
        } else {
            row.customer.clone()
        };
        let _ = writeln!(
            text,
            "{},{customer},{},{},{},{}",
            row.id,
            row.country,
            amount(row),
            row.ordered_at.format("%Y-%m-%dT%H:%M:%SZ"),
            row.status
        );
    }
    text.into_bytes()
}

fn amount(row: &Order) -> String {
    format!("{}.{:02}", row.amount_cents / 100, row.amount_cents % 100)
}

/// What happened to some of the orders: nested, and not every line has every field.
pub(super) fn events(seed: u64, rows: &[Order]) -> Vec<u8> {
    let mut random = Random::new(seed, 5_000 + rows.first().map_or(0, |it| it.id.unsigned_abs()));
    let mut out = Vec::new();
    for row in rows.iter().step_by(3) {
        let device = ["phone", "tablet", "desk"][random.index(3)];
        let mut event = serde_json::json!({
            "order_id": row.id,
            "event": row.status,
            "at": row.ordered_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "session": { "device": device, "pages": random.below(20) + 1 },
        });
        if row.status == "returned" {
            event["reason"] = ["damaged", "late", "wrong size"][random.index(3)].into();
        }
        out.extend_from_slice(event.to_string().as_bytes());
        out.push(b'\n');
    }
    out
}

pub(super) fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

pub(super) fn zstd(bytes: &[u8]) -> Option<Vec<u8>> {
    zstd::encode_all(bytes, 3).ok()
}
