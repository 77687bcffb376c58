//! Sample data: what `windlass demo` and the tests of file tables look at.
//!
//! The same seed makes the same bytes. [`orders`] gives the rows themselves, so that a test can
//! say what a query must answer.

mod files;
mod picture;

use crate::identity::TestIdentity;
use crate::memory::{Memory, PutOptions};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

/// Orders, events and images, readable by the demo credentials.
pub const LANDING: &str = "acme-landing";
/// An empty bucket for copies, which the demo credentials may write.
pub const ARCHIVE: &str = "acme-archive";
/// A bucket that the demo credentials may not read.
pub const PRIVATE: &str = "acme-private";
/// The seed of [`fill`].
pub const SEED: u64 = 2026;
/// The days there are orders for.
pub const DAYS: u32 = 7;
/// The access key id of [`demo_identities`].
pub const DEMO_ACCESS_KEY_ID: &str = "AKIAWINDLASSDEMO0001";
/// The secret key of [`demo_identities`]; it opens nothing but sample data on loopback.
pub const DEMO_SECRET_ACCESS_KEY: &str = "demo-secret-key-for-sample-data-only";

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// From 1 on, without gaps.
    pub id: i64,
    /// A company's name.
    pub customer: String,
    /// Two letters.
    pub country: String,
    /// In hundredths.
    pub amount_cents: i64,
    /// Within its day.
    pub ordered_at: DateTime<Utc>,
    /// `new`, `paid`, `shipped`, `delivered`, `returned`
    pub status: String,
}

/// Makes the three buckets and fills them from [`SEED`].
pub fn fill(memory: &Memory) {
    fill_with(memory, SEED);
}

/// Makes the three buckets and fills them from a seed.
pub fn fill_with(memory: &Memory, seed: u64) {
    for bucket in [LANDING, ARCHIVE, PRIVATE] {
        memory.create_bucket(bucket);
    }
    let put = |key: &str, body: Vec<u8>, kind: &str| {
        let options = PutOptions { content_type: Some(kind.to_owned()), ..PutOptions::default() };
        memory.put_with(LANDING, key, body, options);
    };
    for day in 1..=DAYS {
        let rows = orders(seed, day);
        let date = date(day);
        if let Some(parquet) = files::parquet(&rows) {
            put(
                &format!("orders/dt={date}/part-0000.parquet"),
                parquet,
                "application/vnd.apache.parquet",
            );
        }
        let csv = files::csv(&rows);
        if day % 2 == 1 {
            put(&format!("raw/orders/{date}.csv"), csv, "text/csv");
        } else if let Some(packed) = files::gzip(&csv) {
            put(&format!("raw/orders/{date}.csv.gz"), packed, "application/gzip");
        }
        let events = files::events(seed, &rows);
        if day % 2 == 1 {
            put(&format!("events/{date}.jsonl"), events, "application/x-ndjson");
        } else if let Some(packed) = files::zstd(&events) {
            put(&format!("events/{date}.jsonl.zst"), packed, "application/zstd");
        }
    }
    for (name, shade) in [("harbour", 0), ("lighthouse", 1), ("windlass", 2)] {
        if let Some(png) = picture::png(160, 100, shade) {
            put(&format!("images/{name}.png"), png, "image/png");
        }
    }
    put("README.txt", README.as_bytes().to_vec(), "text/plain");
    memory.put(PRIVATE, "salaries/2026.csv", "name,amount\nnobody,0\n");
}

const README: &str = "Sample data of a company that does not exist: orders as Parquet by day, the same orders\nas CSV, what happened to them as JSON lines, and some images.\n";

/// Who may use the sample data: reads `acme-landing`, reads and writes `acme-archive`, lists
/// buckets, and is refused at `acme-private`.
pub fn demo_identities() -> Vec<TestIdentity> {
    vec![
        TestIdentity::new(DEMO_ACCESS_KEY_ID, DEMO_SECRET_ACCESS_KEY)
            .read([LANDING, ARCHIVE])
            .write([ARCHIVE])
            .list_buckets(),
    ]
}

/// The date of a day, the first being `2026-11-01`.
pub fn date(day: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 11, day).unwrap_or_default()
}

/// The orders of one day, the first being 1, in the order of their times.
pub fn orders(seed: u64, day: u32) -> Vec<Order> {
    let mut random = Random::new(seed, u64::from(day));
    let count = count(seed, day);
    let first: i64 = (1..day).map(|earlier| count_i64(seed, earlier)).sum::<i64>() + 1;
    let midnight = date(day).and_time(chrono::NaiveTime::MIN).and_utc();
    let mut seconds: Vec<i64> =
        (0..count).map(|_| i64::try_from(random.below(86_400)).unwrap_or_default()).collect();
    seconds.sort_unstable();
    let mut rows = Vec::with_capacity(seconds.len());
    for (id, second) in (first..).zip(seconds) {
        let (customer, country) = CUSTOMERS[random.index(CUSTOMERS.len())];
        // Most orders are small; one in twelve is large.
        let top = if random.below(12) == 0 { 500_000 } else { 25_000 };
        rows.push(Order {
            id,
            customer: customer.to_owned(),
            country: country.to_owned(),
            amount_cents: i64::try_from(random.below(top)).unwrap_or_default() + 199,
            ordered_at: midnight + TimeDelta::seconds(second),
            status: STATUS[random.index(STATUS.len())].to_owned(),
        });
    }
    rows
}

fn count(seed: u64, day: u32) -> u64 {
    420 + Random::new(seed, 1_000 + u64::from(day)).below(180)
}

fn count_i64(seed: u64, day: u32) -> i64 {
    i64::try_from(count(seed, day)).unwrap_or_default()
}

const STATUS: [&str; 8] =
    ["new", "paid", "paid", "shipped", "shipped", "delivered", "delivered", "returned"];

const CUSTOMERS: [(&str, &str); 16] = [
    ("Anchor & Co", "GB"),
    ("Bokhandel Nord", "NO"),
    ("Café Lumière", "FR"),
    ("Delta Mills", "US"),
    ("Eisen Werke", "DE"),
    ("Fjord Foods", "NO"),
    ("Gutiérrez Hermanos", "ES"),
    ("Harbour Lights", "GB"),
    ("Itō Shokai", "JP"),
    ("Jansen Fietsen", "NL"),
    ("Kowalski, Sons", "PL"),
    ("Lago Verde", "IT"),
    ("Mistral Voiles", "FR"),
    ("New Bedford Rope", "US"),
    ("O'Brien Tools", "IE"),
    ("Pão Quente", "PT"),
];

/// A small generator (`SplitMix64`) that gives the same numbers everywhere.
struct Random(u64);

impl Random {
    fn new(seed: u64, stream: u64) -> Self {
        Self(seed ^ stream.wrapping_mul(0xA24B_AED4_963E_E407))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, top: u64) -> u64 {
        self.next() % top
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_bytes_and_another_seed_others() {
        let (one, two, three) = (Memory::default(), Memory::default(), Memory::default());
        fill(&one);
        fill(&two);
        fill_with(&three, 7);
        assert_eq!(one.keys(LANDING), two.keys(LANDING));
        for key in one.keys(LANDING) {
            assert_eq!(one.get(LANDING, &key), two.get(LANDING, &key), "{key}");
        }
        let key = "raw/orders/2026-11-01.csv";
        assert_ne!(one.get(LANDING, key), three.get(LANDING, key));
    }

    #[test]
    fn there_are_a_few_thousand_orders_with_ids_without_gaps() {
        let all: Vec<Order> = (1..=DAYS).flat_map(|day| orders(SEED, day)).collect();
        assert!((2_500..5_000).contains(&all.len()), "{}", all.len());
        assert!(all.iter().zip(1..).all(|(order, id)| order.id == id));
        assert!(all.iter().any(|it| it.customer.contains(',')), "a comma needs quotes in CSV");
    }

    #[test]
    fn the_parquet_files_hold_the_orders_they_were_made_of() {
        use arrow::array::{Array as _, Decimal128Array};
        use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
        let memory = Memory::default();
        fill(&memory);
        let file = memory.get(LANDING, "orders/dt=2026-11-03/part-0000.parquet").unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
        let mut cents = Vec::new();
        for batch in reader {
            let batch = batch.unwrap();
            let column = batch.column_by_name("amount").unwrap();
            assert_eq!(column.data_type().to_string(), "Decimal128(10, 2)");
            let column = column.as_any().downcast_ref::<Decimal128Array>().unwrap();
            cents.extend(column.values().iter().copied());
        }
        let made: Vec<i128> =
            orders(SEED, 3).iter().map(|it| i128::from(it.amount_cents)).collect();
        assert_eq!(cents, made);
    }

    #[test]
    fn the_buckets_hold_every_format() {
        let memory = Memory::default();
        fill(&memory);
        let keys = memory.keys(LANDING);
        for end in [".parquet", ".csv", ".csv.gz", ".jsonl", ".jsonl.zst", ".png", ".txt"] {
            assert!(keys.iter().any(|it| it.ends_with(end)), "{end}");
        }
        assert_eq!(memory.keys(ARCHIVE), Vec::<String>::new());
        assert_eq!(memory.keys(PRIVATE).len(), 1);
        let png = memory.get(LANDING, "images/windlass.png").unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
    }
}
