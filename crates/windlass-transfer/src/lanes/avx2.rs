//! Eight messages at a time, on processors with AVX2.

use super::BLOCK;
use super::vectors::{Vector, WORDS};
use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast, u32x8};

/// The right to use these instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eight(V3);

impl Eight {
    /// None on a processor without them.
    pub(super) fn new() -> Option<Self> {
        V3::try_new().map(Self)
    }
}

struct Work<F>(F);

impl<F: FnOnce()> NullaryFnOnce for Work<F> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        (self.0)();
    }
}

impl Vector for Eight {
    type Word = u32x8;
    const LANES: usize = 8;

    fn run(self, work: impl FnOnce()) {
        self.0.vectorize(Work(work));
    }

    #[inline(always)]
    fn splat(self, word: u32) -> u32x8 {
        self.0.splat_u32x8(word)
    }

    #[inline(always)]
    fn add(self, a: u32x8, b: u32x8) -> u32x8 {
        self.0.wrapping_add_u32x8(a, b)
    }

    #[inline(always)]
    fn and(self, a: u32x8, b: u32x8) -> u32x8 {
        self.0.and_u32x8(a, b)
    }

    #[inline(always)]
    fn or(self, a: u32x8, b: u32x8) -> u32x8 {
        self.0.or_u32x8(a, b)
    }

    #[inline(always)]
    fn xor(self, a: u32x8, b: u32x8) -> u32x8 {
        self.0.xor_u32x8(a, b)
    }

    #[inline(always)]
    fn not(self, a: u32x8) -> u32x8 {
        self.0.not_u32x8(a)
    }

    #[inline(always)]
    fn turned(self, a: u32x8, by: u8) -> u32x8 {
        let (avx2, sse2) = (self.0.avx2, self.0.sse2);
        let left = avx2._mm256_sll_epi32(cast(a), sse2._mm_cvtsi32_si128(i32::from(by)));
        let right = avx2._mm256_srl_epi32(cast(a), sse2._mm_cvtsi32_si128(i32::from(32 - by)));
        cast(avx2._mm256_or_si256(left, right))
    }

    /// Each half of the blocks is a square of eight words by eight, turned over its diagonal.
    #[inline(always)]
    fn words<'a>(self, block: impl Fn(usize) -> &'a [u8; BLOCK]) -> [u32x8; WORDS] {
        let avx2 = self.0.avx2;
        let mut words = [self.splat(0); WORDS];
        for half in 0..2 {
            let rows: [_; 8] = std::array::from_fn(
                #[inline(always)]
                |lane| {
                    let halves: [[u8; BLOCK / 2]; 2] = cast(*block(lane));
                    cast(halves[half])
                },
            );
            // Word n of four rows, and word n + 4.
            let mut fours = [[cast(self.splat(0)); 4]; 2];
            for (four, rows) in fours.iter_mut().zip(rows.chunks_exact(4)) {
                let [one, two, three, last] = [rows[0], rows[1], rows[2], rows[3]];
                let (low, high) =
                    (avx2._mm256_unpacklo_epi32(one, two), avx2._mm256_unpackhi_epi32(one, two));
                let (low_after, high_after) = (
                    avx2._mm256_unpacklo_epi32(three, last),
                    avx2._mm256_unpackhi_epi32(three, last),
                );
                *four = [
                    avx2._mm256_unpacklo_epi64(low, low_after),
                    avx2._mm256_unpackhi_epi64(low, low_after),
                    avx2._mm256_unpacklo_epi64(high, high_after),
                    avx2._mm256_unpackhi_epi64(high, high_after),
                ];
            }
            let [upper, lower] = fours;
            for at in 0..4 {
                words[half * 8 + at] =
                    cast(avx2._mm256_permute2x128_si256::<0x20>(upper[at], lower[at]));
                words[half * 8 + at + 4] =
                    cast(avx2._mm256_permute2x128_si256::<0x31>(upper[at], lower[at]));
            }
        }
        words
    }

    #[inline(always)]
    fn lane(self, word: u32x8, lane: usize) -> u32 {
        let words: [u32; 8] = cast(word);
        words[lane]
    }
}
