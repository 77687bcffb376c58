//! Sizes for people.

use crate::error::{Error, ErrorCode, Result};
use std::{fmt, str::FromStr};

/// A number of bytes; prints as `1.5 KiB`, reads `10MB`, `8 MiB`, `512`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let mut unit = 0;
        #[allow(clippy::cast_precision_loss, reason = "one digit is printed")]
        let mut value = self.0 as f64 / 1024.0;
        while value >= 1023.95 && unit + 1 < UNITS.len() {
            value /= 1024.0;
            unit += 1;
        }
        f.pad(&format!("{value:.1} {}", UNITS[unit]))
    }
}

impl FromStr for ByteSize {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = trimmed.split_at(digits);
        let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1000,
            "k" | "kib" => 1 << 10,
            "mb" => 1_000_000,
            "m" | "mib" => 1 << 20,
            "gb" => 1_000_000_000,
            "g" | "gib" => 1 << 30,
            "tb" => 1_000_000_000_000,
            "t" | "tib" => 1 << 40,
            _ => 0,
        };
        number
            .parse::<u64>()
            .ok()
            .filter(|_| factor > 0)
            .and_then(|n| n.checked_mul(factor))
            .map(Self)
            .ok_or_else(|| {
                Error::new(ErrorCode::UsageInvalid, format!("`{text}` is not a size"))
                    .hint("write a size as `512`, `64KiB`, `10MB` or `1GiB`")
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_print_with_one_digit_and_read_back() {
        assert_eq!(ByteSize(1023).to_string(), "1023 B");
        assert_eq!(ByteSize(1536).to_string(), "1.5 KiB");
        assert_eq!(ByteSize(u64::MAX).to_string(), "16.0 EiB");
        assert_eq!("8 MiB".parse::<ByteSize>().unwrap().0, 8 << 20);
        assert_eq!("10MB".parse::<ByteSize>().unwrap().0, 10_000_000);
        assert!("-1".parse::<ByteSize>().is_err() && "1e3".parse::<ByteSize>().is_err());
        assert!("99999999999999TB".parse::<ByteSize>().is_err());
    }
}
