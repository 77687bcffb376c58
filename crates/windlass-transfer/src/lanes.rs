//! MD5 of several messages side by side.
//!
//! One MD5 is a chain of additions that cannot be hurried. The parts of an upload are chains of their
//! own, so several go through the vector unit together: eight at seven times as many bytes a second. A
//! vector waits for itself most of the time, so that two of them take hardly longer than one.

#![expect(
    clippy::inline_always,
    reason = "what is not inlined has not the instructions of `Vector::run`"
)]

#[cfg(target_arch = "x86_64")]
mod avx2;
mod vectors;

use vectors::{Four, Vector, WORDS};

/// Most messages that are summed at a time.
pub(crate) const MOST: usize = 16;

/// Bytes of each message that are held at a time; whole blocks. Few in tests, so that theirs are many.
const PIECE: usize = if cfg!(test) { 4 * BLOCK } else { 32 << 10 };
const BLOCK: usize = 64;

/// The initial state (RFC 1321, 3.3).
const START: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// What is added in each step (RFC 1321, 3.4): the whole part of `2^32 * |sin(step + 1)|`.
#[rustfmt::skip]
const ADDED: [u32; 64] = [
    0xd76a_a478, 0xe8c7_b756, 0x2420_70db, 0xc1bd_ceee,
    0xf57c_0faf, 0x4787_c62a, 0xa830_4613, 0xfd46_9501,
    0x6980_98d8, 0x8b44_f7af, 0xffff_5bb1, 0x895c_d7be,
    0x6b90_1122, 0xfd98_7193, 0xa679_438e, 0x49b4_0821,
    0xf61e_2562, 0xc040_b340, 0x265e_5a51, 0xe9b6_c7aa,
    0xd62f_105d, 0x0244_1453, 0xd8a1_e681, 0xe7d3_fbc8,
    0x21e1_cde6, 0xc337_07d6, 0xf4d5_0d87, 0x455a_14ed,
    0xa9e3_e905, 0xfcef_a3f8, 0x676f_02d9, 0x8d2a_4c8a,
    0xfffa_3942, 0x8771_f681, 0x6d9d_6122, 0xfde5_380c,
    0xa4be_ea44, 0x4bde_cfa9, 0xf6bb_4b60, 0xbebf_bc70,
    0x289b_7ec6, 0xeaa1_27fa, 0xd4ef_3085, 0x0488_1d05,
    0xd9d4_d039, 0xe6db_99e5, 0x1fa2_7cf8, 0xc4ac_5665,
    0xf429_2244, 0x432a_ff97, 0xab94_23a7, 0xfc93_a039,
    0x655b_59c3, 0x8f0c_cc92, 0xffef_f47d, 0x8584_5dd1,
    0x6fa8_7e4f, 0xfe2c_e6e0, 0xa301_4314, 0x4e08_11a1,
    0xf753_7e82, 0xbd3a_f235, 0x2ad7_d2bb, 0xeb86_d391,
];

/// Bits by which each of four steps of a round turns (RFC 1321, 3.4).
const TURNS: [[u8; 4]; 4] = [[7, 12, 17, 22], [5, 9, 14, 20], [4, 11, 16, 23], [6, 10, 15, 21]];

/// One message on its way.
struct Lane {
    length: u64,
    /// Bytes with the padding of RFC 1321, 3.1 and 3.2: whole blocks.
    padded: u64,
    /// Where the piece begins that is held.
    begins: u64,
    bytes: Vec<u8>,
    sum: Option<[u8; 16]>,
}

impl Lane {
    fn new(length: u64) -> Self {
        let padded = (length + 9).next_multiple_of(BLOCK as u64);
        Self { length, padded, begins: 0, bytes: Vec::with_capacity(PIECE), sum: None }
    }

    /// Takes the next piece of the padded message; the last one is shorter.
    fn fill(&mut self, read: impl FnOnce(u64, &mut [u8]) -> bool) -> bool {
        self.begins += self.bytes.len() as u64;
        let at_most = |left: u64| usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
        self.bytes.resize(at_most(self.padded - self.begins), 0);
        let content = at_most(self.length.saturating_sub(self.begins));
        if content > 0 && !read(self.begins, &mut self.bytes[..content]) {
            return false;
        }
        self.bytes[content..].fill(0);
        if self.begins + content as u64 == self.length
            && let Some(mark) = self.bytes.get_mut(content)
        {
            *mark = 0x80;
        }
        if self.is_last_piece()
            && let Some(end) = self.bytes.last_chunk_mut()
        {
            *end = self.length.wrapping_mul(8).to_le_bytes();
        }
        true
    }

    #[inline(always)]
    fn is_last_piece(&self) -> bool {
        self.begins + self.bytes.len() as u64 == self.padded
    }

    #[inline(always)]
    fn blocks(&self) -> &[[u8; BLOCK]] {
        self.bytes.as_chunks().0
    }

    /// Which of the blocks that are held ends the message, if one does.
    #[inline(always)]
    fn last_block(&self) -> Option<usize> {
        self.blocks().len().checked_sub(1).filter(|_| self.is_last_piece())
    }
}

/// The MD5 of each of at most [`MOST`] messages of these lengths, in bytes. `read` gets the number of
/// a message, a place in it and room to fill from there; None if it fails.
pub(crate) fn md5s(
    lengths: &[u64],
    read: impl FnMut(usize, u64, &mut [u8]) -> bool,
) -> Option<Vec<[u8; 16]>> {
    debug_assert!(lengths.len() <= MOST);
    #[cfg(target_arch = "x86_64")]
    if let Some(eight) = avx2::Eight::new() {
        return if lengths.len() <= avx2::Eight::LANES {
            sums::<_, 1>(eight, lengths, read)
        } else {
            sums::<_, 2>(eight, lengths, read)
        };
    }
    by_four(lengths, read)
}

fn by_four(
    lengths: &[u64],
    read: impl FnMut(usize, u64, &mut [u8]) -> bool,
) -> Option<Vec<[u8; 16]>> {
    match lengths.len().div_ceil(Four::LANES) {
        0 | 1 => sums::<_, 1>(Four, lengths, read),
        2 => sums::<_, 2>(Four, lengths, read),
        _ => sums::<_, 4>(Four, lengths, read),
    }
}

/// With `N` vectors at a time.
fn sums<V: Vector, const N: usize>(
    vector: V,
    lengths: &[u64],
    mut read: impl FnMut(usize, u64, &mut [u8]) -> bool,
) -> Option<Vec<[u8; 16]>> {
    let mut lanes: Vec<Lane> = lengths.iter().map(|length| Lane::new(*length)).collect();
    let mut state: State<V, N> = START.map(|word| [vector.splat(word); N]);
    while lanes.iter().any(|lane| lane.sum.is_none()) {
        // What is not in its last piece has as many blocks as any other, so only what is done idles.
        for (number, lane) in lanes.iter_mut().enumerate() {
            if !lane.fill(|at, room| read(number, at, room)) {
                return None;
            }
        }
        vector.run(
            #[inline(always)]
            || sum_pieces(vector, &mut lanes, &mut state),
        );
    }
    lanes.into_iter().map(|lane| lane.sum).collect()
}

/// The state of each message: four words.
type State<V, const N: usize> = [[<V as Vector>::Word; N]; 4];

/// Takes what is held of every lane into the state.
#[inline(always)]
fn sum_pieces<V: Vector, const N: usize>(vector: V, lanes: &mut [Lane], state: &mut State<V, N>) {
    let longest = lanes.iter().map(|lane| lane.blocks().len()).max().unwrap_or_default();
    let mut ends = [None; MOST];
    for (end, lane) in ends.iter_mut().zip(lanes.iter()) {
        *end = lane.last_block();
    }
    let first_end = ends.iter().flatten().min().copied().unwrap_or(usize::MAX);
    let mut sums = [None; MOST];
    let pieces: [&[[u8; BLOCK]]; MOST] =
        std::array::from_fn(|lane| lanes.get(lane).map_or(&[][..], Lane::blocks));
    for at in 0..longest {
        compress(
            vector,
            state,
            #[inline(always)]
            |lane| pieces[lane].get(at).unwrap_or(&[0; BLOCK]),
        );
        if at < first_end {
            continue;
        }
        for (number, sum) in sums.iter_mut().enumerate().filter(|(lane, _)| ends[*lane] == Some(at))
        {
            *sum = Some(sum_of(vector, state, number));
        }
    }
    for (lane, sum) in lanes.iter_mut().zip(sums) {
        lane.sum = lane.sum.or(sum);
    }
}

/// What the state holds for one lane.
fn sum_of<V: Vector, const N: usize>(vector: V, state: &State<V, N>, lane: usize) -> [u8; 16] {
    let mut sum = [0; 16];
    for (bytes, words) in sum.chunks_exact_mut(4).zip(state) {
        let word = vector.lane(words[lane / V::LANES], lane % V::LANES);
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    sum
}

/// How each round mixes three words (RFC 1321, 3.4).
#[inline(always)]
fn mix<V: Vector>(vector: V, round: usize, b: V::Word, c: V::Word, d: V::Word) -> V::Word {
    match round {
        0 => vector.xor(d, vector.and(b, vector.xor(c, d))),
        1 => vector.xor(c, vector.and(d, vector.xor(b, c))),
        2 => vector.xor(b, vector.xor(c, d)),
        _ => vector.xor(c, vector.or(b, vector.not(d))),
    }
}

/// The word of a block that each step of a round takes: `step * times + from` (RFC 1321, 3.4).
const TAKEN: [[usize; 2]; 4] = [[1, 0], [5, 1], [3, 5], [7, 0]];

/// Takes one block of every lane into the state (RFC 1321, 3.4).
#[inline(always)]
fn compress<'a, V: Vector, const N: usize>(
    vector: V,
    state: &mut State<V, N>,
    block: impl Fn(usize) -> &'a [u8; BLOCK],
) {
    let mut words = [[vector.splat(0); WORDS]; N];
    for (number, words) in words.iter_mut().enumerate() {
        *words = vector.words(
            #[inline(always)]
            |lane| block(number * V::LANES + lane),
        );
    }
    let [mut a, mut b, mut c, mut d] = *state;
    // Written out step by step, so that places and turns are constants.
    macro_rules! steps {
        ($($step:literal)*) => {$(
            let (round, [times, from]) = ($step / 16, TAKEN[$step / 16]);
            for n in 0..N {
                let taken = vector.add(words[n][($step * times + from) % 16], vector.splat(ADDED[$step]));
                let mixed = mix(vector, round, b[n], c[n], d[n]);
                let sum = vector.add(vector.add(a[n], taken), mixed);
                a[n] = vector.add(b[n], vector.turned(sum, TURNS[round][$step % 4]));
            }
            (a, b, c, d) = (d, a, b, c);
        )*};
    }
    steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    steps!(16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31);
    steps!(32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47);
    steps!(48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63);
    for (kept, new) in state.iter_mut().zip([a, b, c, d]) {
        for (kept, new) in kept.iter_mut().zip(new) {
            *kept = vector.add(*kept, new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{hex, md5};
    use proptest::prelude::*;

    /// The sums of messages that are there, as this processor takes them, and as every one does.
    fn sums(messages: &[Vec<u8>]) -> [Option<Vec<[u8; 16]>>; 2] {
        let lengths: Vec<u64> = messages.iter().map(|message| message.len() as u64).collect();
        let read = |number: usize, at: u64, room: &mut [u8]| {
            let at = usize::try_from(at).unwrap();
            room.copy_from_slice(&messages[number][at..at + room.len()]);
            true
        };
        [md5s(&lengths, read), by_four(&lengths, read)]
    }

    #[test]
    fn sums_are_those_of_the_specification() {
        // RFC 1321, A.5.
        let messages = ["", "abc", "message digest", "abcdefghijklmnopqrstuvwxyz"];
        let messages: Vec<Vec<u8>> = messages.iter().map(|text| text.as_bytes().to_vec()).collect();
        for sums in sums(&messages) {
            let sums: Vec<String> = sums.unwrap().iter().map(|sum| hex(sum)).collect();
            assert_eq!(
                sums,
                [
                    "d41d8cd98f00b204e9800998ecf8427e",
                    "900150983cd24fb0d6963f7d28e17f72",
                    "f96b697d7cb7938d525a2f31aaf161d0",
                    "c3fcd3d76192e4007dfb496cca67e13b",
                ]
            );
        }
    }

    #[test]
    fn a_message_that_cannot_be_read_has_no_sum() {
        assert_eq!(md5s(&[10, 2000], |number, at, _| number == 0 || at == 0), None);
    }

    proptest! {
        #[test]
        fn messages_of_any_lengths_are_summed_as_one_by_one(
            lengths in proptest::collection::vec(
                prop_oneof![0..200_usize, PIECE - 70..PIECE + 70, 2 * PIECE - 9..2 * PIECE + 9],
                0..=MOST,
            ),
            seed in any::<u8>(),
        ) {
            let messages: Vec<Vec<u8>> = lengths
                .iter()
                .enumerate()
                .map(|(lane, length)| {
                    (0..*length).map(|at| (at * 31 + lane * 7 + usize::from(seed)).to_le_bytes()[0]).collect()
                })
                .collect();
            let expected: Vec<[u8; 16]> = messages.iter().map(|message| md5(message)).collect();
            let expected = Some(expected);
            prop_assert_eq!(sums(&messages), [expected.clone(), expected]);
        }
    }
}
