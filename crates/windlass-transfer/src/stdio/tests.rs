use super::*;
use crate::fake::{Fake, Fault, Seen};
use std::time::Duration;

fn small() -> Tuning {
    Tuning {
        threshold: 1000,
        part_size: 300,
        file_part: 300,
        pause: Duration::from_millis(1),
        ..Tuning::default()
    }
}

fn body(size: usize) -> Vec<u8> {
    (0..size).map(|at| u8::try_from((at * 37 + at / 253) % 256).unwrap()).collect()
}

async fn write(input: &[u8], to: Side) -> Result<Item> {
    let (limits, seen) = (CopyOptions::default(), Arc::new(Seen::default()));
    copy_stream_with(input, to, limits, small(), seen, CancellationToken::new()).await
}

async fn read(from: Side, range: Option<ByteRange>) -> Result<Vec<u8>> {
    let mut output = Vec::new();
    let seen = Arc::new(Seen::default());
    let (limits, cancel) = (CopyOptions::default(), CancellationToken::new());
    let size = read_to_with(from, &mut output, range, limits, small(), seen, cancel).await?;
    assert_eq!(size, output.len() as u64);
    Ok(output)
}

#[tokio::test]
async fn streams_keep_to_the_bandwidth() {
    let fake = Arc::new(Fake::new("f"));
    let limits = || CopyOptions { bandwidth: 10_000, ..CopyOptions::default() };
    let whole = Tuning { threshold: 5000, part_size: 5000, ..small() };
    // 2,500 bytes may pass at once; 2,000 more take a fifth of a second. Clocks round.
    let least = Duration::from_millis(180);
    for tuning in [small(), whole] {
        let (input, to, cancel) = (body(4500), fake.side("x"), CancellationToken::new());
        let (seen, began) = (Arc::new(Seen::default()), std::time::Instant::now());
        copy_stream_with(&input[..], to, limits(), tuning.clone(), seen, cancel).await.unwrap();
        assert!(began.elapsed() >= least, "written in {:?}", began.elapsed());
        let (mut output, cancel) = (Vec::new(), CancellationToken::new());
        let (seen, began) = (Arc::new(Seen::default()), std::time::Instant::now());
        let (from, to) = (fake.side("x"), &mut output);
        read_to_with(from, to, None, limits(), tuning, seen, cancel).await.unwrap();
        assert!(began.elapsed() >= least, "read in {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn what_is_piped_in_can_be_piped_out() {
    let fake = Arc::new(Fake::new("f"));
    for size in [0, 1, 999, 1000, 1001, 5000] {
        let item = write(&body(size), fake.side("x.csv")).await.unwrap();
        assert_eq!((item.source.as_str(), item.destination.as_str()), ("-", "f:b/x.csv"));
        assert_eq!(item.size, size as u64);
        assert_eq!(fake.get_now("x.csv").unwrap().meta.content_type.as_deref(), Some("text/csv"));
        assert_eq!(read(fake.side("x.csv"), None).await.unwrap(), body(size), "{size}");
    }
    assert_eq!(
        read(fake.side("x.csv"), Some(ByteRange::Bounded(100, 700))).await.unwrap(),
        body(5000)[100..800]
    );
    assert_eq!(
        read(fake.side("x.csv"), Some(ByteRange::Last(3))).await.unwrap(),
        body(5000)[4997..]
    );
    assert_eq!(read(fake.side("x.csv"), Some(ByteRange::From(9000))).await.unwrap(), b"");
    assert!(write(b"", fake.side("folder/")).await.is_err());
    assert!(read(fake.side("none"), None).await.is_err());
    assert_eq!(fake.open_uploads(), 0);
}

#[tokio::test]
async fn wrong_bytes_are_not_passed_off_as_the_object() {
    let fake = Arc::new(Fake::new("f"));
    fake.set("small", body(200));
    fake.fault("get", "small", 1000, Fault::Corrupt);
    assert_eq!(read(fake.side("small"), None).await.unwrap_err().code(), ErrorCode::ObjectCorrupt);
    fake.set("large", body(2000));
    fake.fault("get", "large", 1, Fault::Corrupt);
    assert_eq!(read(fake.side("large"), None).await.unwrap_err().code(), ErrorCode::ObjectCorrupt);
    fake.fault("put", "x", 1, Fault::Corrupt);
    assert_eq!(
        write(&body(20), fake.side("x")).await.unwrap_err().code(),
        ErrorCode::ObjectCorrupt
    );
    fake.fault("upload_part", "y", 1000, Fault::Denied);
    assert_eq!(
        write(&body(2000), fake.side("y")).await.unwrap_err().code(),
        ErrorCode::ConnectionDenied
    );
    for _ in 0..6000 {
        if fake.open_uploads() == 0 && fake.get_now("x").is_none() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} uploads are left", fake.open_uploads());
}
