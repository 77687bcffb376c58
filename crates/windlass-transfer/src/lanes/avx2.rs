//! Eight messages at a time, on processors with AVX2.

use super::BLOCK;
use super::vectors::{Vector, WORDS};
use pulp::x86::V3;
use pulp::{NullaryFnOnce, cast, u32x8};
use std::arch::x86_64::__m256i;

/// The right to use these instructions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Eight(V3);

impl Eight {
    /// None on a processor without them.
    pub(super) fn new() -> Option<Self> {
        V3::try_new().map(Self)
    }
}

impl Eight {
    /// Rows become columns.
    #[inline(always)]
    fn turned_over(self, rows: [u32x8; 8]) -> [u32x8; 8] {
        let avx2 = self.0.avx2;
        let upper = self.paired([rows[0], rows[1], rows[2], rows[3]]);
        let lower = self.paired([rows[4], rows[5], rows[6], rows[7]]);
        let mut columns = [self.0.splat_u32x8(0); 8];
        for at in 0..4 {
            columns[at] = cast(avx2._mm256_permute2x128_si256::<0x20>(upper[at], lower[at]));
            columns[at + 4] = cast(avx2._mm256_permute2x128_si256::<0x31>(upper[at], lower[at]));
        }
        columns
    }

    /// Of four rows: word n of each, and word n + 4.
    #[inline(always)]
    fn paired(self, [one, two, three, last]: [u32x8; 4]) -> [__m256i; 4] {
        let avx2 = self.0.avx2;
        let (one, two, three, last) = (cast(one), cast(two), cast(three), cast(last));
        let (low, high) =
            (avx2._mm256_unpacklo_epi32(one, two), avx2._mm256_unpackhi_epi32(one, two));
        let (low_after, high_after) =
            (avx2._mm256_unpacklo_epi32(three, last), avx2._mm256_unpackhi_epi32(three, last));
        [
            avx2._mm256_unpacklo_epi64(low, low_after),
            avx2._mm256_unpackhi_epi64(low, low_after),
            avx2._mm256_unpacklo_epi64(high, high_after),
            avx2._mm256_unpackhi_epi64(high, high_after),
        ]
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

    /// Each half of the blocks is a square of eight words by eight.
    #[inline(always)]
    fn words<'a>(self, block: impl Fn(usize) -> &'a [u8; BLOCK]) -> [u32x8; WORDS] {
        let [mut first, mut second] = [[self.splat(0); 8]; 2];
        for (lane, (one, other)) in first.iter_mut().zip(&mut second).enumerate() {
            let (halves, _) = block(lane).as_chunks::<{ BLOCK / 2 }>();
            (*one, *other) = (cast(halves[0]), cast(halves[1]));
        }
        let (first, second) = (self.turned_over(first), self.turned_over(second));
        std::array::from_fn(
            #[inline(always)]
            |at| if at < 8 { first[at] } else { second[at - 8] },
        )
    }

    #[inline(always)]
    fn lane(self, word: u32x8, lane: usize) -> u32 {
        let words: [u32; 8] = cast(word);
        words[lane]
    }
}
