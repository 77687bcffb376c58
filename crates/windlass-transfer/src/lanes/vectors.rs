//! The same words of several messages, in one register.

use super::BLOCK;
use wide::u32x4;

/// Words of a block.
pub(super) const WORDS: usize = BLOCK / 4;

/// What a processor can do with a word of each of several messages at a time.
///
/// Everything is inlined into [`run`](Self::run): only there are the instructions at hand that it uses.
pub(super) trait Vector: Copy {
    /// A word of each message.
    type Word: Copy;
    /// Messages.
    const LANES: usize;

    /// Does `work` where the instructions are at hand.
    fn run(self, work: impl FnOnce());
    fn splat(self, word: u32) -> Self::Word;
    fn add(self, a: Self::Word, b: Self::Word) -> Self::Word;
    fn and(self, a: Self::Word, b: Self::Word) -> Self::Word;
    fn or(self, a: Self::Word, b: Self::Word) -> Self::Word;
    fn xor(self, a: Self::Word, b: Self::Word) -> Self::Word;
    fn not(self, a: Self::Word) -> Self::Word;
    /// Turned to the left by so many bits.
    fn turned(self, a: Self::Word, by: u8) -> Self::Word;
    /// The words of a block of each message.
    fn words<'a>(self, block: impl Fn(usize) -> &'a [u8; BLOCK]) -> [Self::Word; WORDS];
    /// The word of one message.
    fn lane(self, word: Self::Word, lane: usize) -> u32;
}

/// What every processor has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Four;

impl Vector for Four {
    type Word = u32x4;
    const LANES: usize = 4;

    fn run(self, work: impl FnOnce()) {
        work();
    }

    #[inline(always)]
    fn splat(self, word: u32) -> u32x4 {
        u32x4::splat(word)
    }

    #[inline(always)]
    fn add(self, a: u32x4, b: u32x4) -> u32x4 {
        a + b
    }

    #[inline(always)]
    fn and(self, a: u32x4, b: u32x4) -> u32x4 {
        a & b
    }

    #[inline(always)]
    fn or(self, a: u32x4, b: u32x4) -> u32x4 {
        a | b
    }

    #[inline(always)]
    fn xor(self, a: u32x4, b: u32x4) -> u32x4 {
        a ^ b
    }

    #[inline(always)]
    fn not(self, a: u32x4) -> u32x4 {
        !a
    }

    #[inline(always)]
    fn turned(self, a: u32x4, by: u8) -> u32x4 {
        (a << u32::from(by)) | (a >> u32::from(32 - by))
    }

    #[inline(always)]
    fn words<'a>(self, block: impl Fn(usize) -> &'a [u8; BLOCK]) -> [u32x4; WORDS] {
        let blocks: [&[u8; BLOCK]; 4] = std::array::from_fn(block);
        std::array::from_fn(|at| {
            u32x4::new(blocks.map(|block| {
                let bytes = &block[at * 4..];
                u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]])
            }))
        })
    }

    #[inline(always)]
    fn lane(self, word: u32x4, lane: usize) -> u32 {
        word.to_array()[lane]
    }
}
