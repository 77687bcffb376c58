//! A small picture as PNG: waves under a sky, enough for a preview.

use flate2::{Compression, Crc, write::ZlibEncoder};
use std::io::Write as _;

/// Draws one of three pictures.
pub(super) fn png(width: u32, height: u32, shade: u32) -> Option<Vec<u8>> {
    let mut lines = Vec::new();
    for y in 0..height {
        lines.push(0);
        for x in 0..width {
            lines.extend(pixel(x, y, width, height, shade));
        }
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&lines).ok()?;
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // Eight bits, red green blue, no interlacing.
    header.extend([8, 2, 0, 0, 0]);
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    chunk(&mut out, *b"IHDR", &header);
    chunk(&mut out, *b"IDAT", &packed.finish().ok()?);
    chunk(&mut out, *b"IEND", &[]);
    Some(out)
}

fn pixel(x: u32, y: u32, width: u32, height: u32, shade: u32) -> [u8; 3] {
    let part = |value: u32, of: u32| u8::try_from(value * 255 / of.max(1)).unwrap_or(u8::MAX);
    // A triangle wave, so that no platform's sine matters.
    let period = 40;
    let phase = (x + shade * 13) % period;
    let wave = phase.min(period - phase) / 4;
    if y > height * 3 / 5 + wave {
        [20, 60 + part(y, height) / 4, 120 + part(x, width) / 4]
    } else {
        match shade {
            0 => [200, 150 + part(y, height) / 3, 90],
            1 => [120, 140 + part(y, height) / 3, 210],
            _ => [170 + part(y, height) / 4, 190, 200],
        }
    }
}

fn chunk(out: &mut Vec<u8>, kind: [u8; 4], data: &[u8]) {
    out.extend(u32::try_from(data.len()).unwrap_or_default().to_be_bytes());
    out.extend(kind);
    out.extend(data);
    let mut crc = Crc::new();
    crc.update(&kind);
    crc.update(data);
    out.extend(crc.sum().to_be_bytes());
}
