//! SHA-256 of a stream (FIPS 180-4), and of two streams at once.
//!
//! One stream is `sha2`'s work; its hashers don't show their words, which two at once need.

use super::CompressTwo;
use sha2::compress256;
use sha2::digest::block_buffer::{Block, EagerBuffer};
use sha2::digest::typenum::U64;

/// The words of a hash under way.
type State = [u32; 8];

/// The words before the first block (FIPS 180-4, 5.3.3).
const INITIAL: State = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

#[derive(Clone)]
pub(super) struct Sha256 {
    state: State,
    /// The beginning of a block.
    pending: EagerBuffer<U64>,
    /// All bytes so far.
    length: u64,
}

impl Sha256 {
    pub(super) fn new() -> Self {
        Self {
            state: INITIAL,
            pending: EagerBuffer::default(),
            length: 0,
        }
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        let state = &mut self.state;
        self.pending
            .digest_blocks(bytes, |blocks: &[Block<U64>]| compress256(state, blocks));
    }

    /// Each takes the bytes beside it.
    pub(super) fn update_two(
        (one, mut its): (&mut Self, &[u8]),
        (other, mut others): (&mut Self, &[u8]),
        together: CompressTwo,
    ) {
        one.complete_block(&mut its);
        other.complete_block(&mut others);
        let blocks = [its.as_chunks().0, others.as_chunks().0];
        if together([&mut one.state, &mut other.state], blocks) {
            let bytes = blocks[0].len().min(blocks[1].len()) * 64;
            for (hasher, rest) in [(&mut *one, &mut its), (&mut *other, &mut others)] {
                hasher.length += bytes as u64;
                *rest = &rest[bytes..];
            }
        }
        one.update(its);
        other.update(others);
    }

    /// Takes so much that no block is begun any longer.
    fn complete_block(&mut self, bytes: &mut &[u8]) {
        let lacking = self.pending.remaining() % 64;
        let (taken, rest) = bytes.split_at(lacking.min(bytes.len()));
        self.update(taken);
        *bytes = rest;
    }

    pub(super) fn finish(mut self) -> [u8; 32] {
        let (state, bits) = (&mut self.state, self.length << 3);
        self.pending
            .len64_padding_be(bits, |block| compress256(state, std::slice::from_ref(block)));
        let mut bytes = [0; 32];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.state) {
            *place = word.to_be_bytes();
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sha2::Digest as _;

    /// One after the other.
    fn by_turns(states: [&mut State; 2], streams: [&[[u8; 64]]; 2]) -> bool {
        let common = streams[0].len().min(streams[1].len());
        for (state, stream) in states.into_iter().zip(streams) {
            for block in &stream[..common] {
                compress256(state, &[*Block::<U64>::from_slice(block)]);
            }
        }
        true
    }

    fn peer(bytes: &[u8]) -> [u8; 32] {
        sha2::Sha256::digest(bytes).into()
    }

    proptest! {
        /// In pieces of any length, alone and together: what `sha2` computes of the whole.
        #[test]
        fn two_at_once_are_as_one_after_the_other(
            pieces in prop::collection::vec((0..400_usize, 0..400_usize, 0..3), 0..12),
            seed in any::<u8>(),
        ) {
            let bytes = |length: usize, salt: u8| -> Vec<u8> {
                (0..=250).cycle().map(|byte: u8| byte ^ salt ^ seed).take(length).collect()
            };
            let (mut one, mut other) = (Sha256::new(), Sha256::new());
            let (mut all, mut others) = (Vec::new(), Vec::new());
            for (its, of_other, how) in pieces {
                let (its, of_other) = (bytes(its, 1), bytes(of_other, 2));
                match how {
                    0 => Sha256::update_two((&mut one, &its), (&mut other, &of_other), by_turns),
                    1 => Sha256::update_two((&mut one, &its), (&mut other, &of_other), |_, _| false),
                    _ => {
                        one.update(&its);
                        other.update(&of_other);
                    }
                }
                all.extend(its);
                others.extend(of_other);
            }
            prop_assert_eq!(one.finish(), peer(&all));
            prop_assert_eq!(other.finish(), peer(&others));
        }
    }
}
