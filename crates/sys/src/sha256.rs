//! The compression function of SHA-256 (FIPS 180-4, 6.2.2) on two streams at once, by the processor's SHA instructions.
//!
//! A round waits for the one before it, and the processor could do a second one meanwhile: two streams side by side take
//! hardly longer than one.

/// The words of a hash under way.
pub type State = [u32; 8];

/// What one step takes in of each stream.
pub type Block = [u8; 64];

/// Takes the blocks of `streams` into `states`, as many as the shorter one has. Gives false, and has done nothing then, where
/// this processor lacks the instructions.
pub fn compress_two(states: [&mut State; 2], streams: [&[Block]; 2]) -> bool {
    #[cfg(target_arch = "x86_64")]
    if has_instructions() {
        // SAFETY: the processor has what the function is compiled for; it was asked.
        unsafe { lanes::compress(states, streams) };
        return true;
    }
    let _ = (states, streams);
    false
}

/// Whether this processor can do two streams at once.
fn has_instructions() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("sha") && is_x86_feature_detected!("sse4.1") && is_x86_feature_detected!("ssse3");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use super::{Block, State};
    use std::arch::asm;
    use std::arch::x86_64::{
        __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32, _mm_set_epi64x, _mm_setzero_si128,
        _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi8, _mm_shuffle_epi32,
    };

    /// The constants of the rounds (FIPS 180-4, 4.2.2), four to a step.
    const ROUNDS: [[u32; 4]; 16] = [
        [0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5],
        [0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5],
        [0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3],
        [0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174],
        [0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc],
        [0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da],
        [0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7],
        [0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967],
        [0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13],
        [0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85],
        [0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3],
        [0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070],
        [0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5],
        [0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3],
        [0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208],
        [0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2],
    ];

    /// The words of a state in a register, the highest first.
    const ABEF: [usize; 4] = [0, 1, 4, 5];
    const CDGH: [usize; 4] = [2, 3, 6, 7];

    /// One stream: its words in the order that the instructions want, and the schedule's last sixteen words.
    #[derive(Clone, Copy)]
    struct Lane {
        abef: __m128i,
        cdgh: __m128i,
        schedule: [__m128i; 4],
    }

    #[target_feature(enable = "sha,sse4.1,ssse3")]
    pub(super) fn compress(states: [&mut State; 2], streams: [&[Block]; 2]) {
        let [one, other] = states;
        let mut lanes = [lane(one), lane(other)];
        for (one, other) in streams[0].iter().zip(streams[1]) {
            let before = lanes.each_ref().map(|lane| (lane.abef, lane.cdgh));
            let blocks = [one, other];
            // Written out, since what is in which register depends on the step.
            step::<0>(&mut lanes, blocks);
            step::<1>(&mut lanes, blocks);
            step::<2>(&mut lanes, blocks);
            step::<3>(&mut lanes, blocks);
            step::<4>(&mut lanes, blocks);
            step::<5>(&mut lanes, blocks);
            step::<6>(&mut lanes, blocks);
            step::<7>(&mut lanes, blocks);
            step::<8>(&mut lanes, blocks);
            step::<9>(&mut lanes, blocks);
            step::<10>(&mut lanes, blocks);
            step::<11>(&mut lanes, blocks);
            step::<12>(&mut lanes, blocks);
            step::<13>(&mut lanes, blocks);
            step::<14>(&mut lanes, blocks);
            step::<15>(&mut lanes, blocks);
            for (lane, (abef, cdgh)) in lanes.iter_mut().zip(before) {
                lane.abef = _mm_add_epi32(lane.abef, abef);
                lane.cdgh = _mm_add_epi32(lane.cdgh, cdgh);
            }
        }
        *one = state(&lanes[0]);
        *other = state(&lanes[1]);
    }

    /// Four rounds of both streams.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn step<const STEP: usize>(lanes: &mut [Lane; 2], blocks: [&Block; 2]) {
        for (lane, block) in lanes.iter_mut().zip(blocks) {
            lane.schedule[STEP % 4] = next_words::<STEP>(&lane.schedule, block);
        }
        let constants = ROUNDS[STEP].map(u32::cast_signed);
        for lane in &mut *lanes {
            let constants = _mm_set_epi32(constants[3], constants[2], constants[1], constants[0]);
            let words = _mm_add_epi32(lane.schedule[STEP % 4], constants);
            lane.cdgh = _mm_sha256rnds2_epu32(lane.cdgh, lane.abef, words);
            lane.abef = _mm_sha256rnds2_epu32(lane.abef, lane.cdgh, _mm_shuffle_epi32(words, 0x0e));
        }
        stay_together(lanes);
    }

    /// Keeps the compiler from putting the whole of one stream before the other, which saves it registers: the processor
    /// looks ahead some hundred instructions only, and that is one block.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn stay_together(lanes: &mut [Lane; 2]) {
        let [one, other] = lanes;
        // SAFETY: no instruction at all. What comes after needs what "comes out" of it, and so the steps of both streams.
        unsafe {
            asm!("/* {0} {1} */", inout(xmm_reg) one.abef, inout(xmm_reg) other.abef, options(pure, nomem, nostack, preserves_flags));
        }
    }

    /// The next four words of the schedule: the block's own, and later ones from the sixteen before.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn next_words<const STEP: usize>(schedule: &[__m128i; 4], block: &Block) -> __m128i {
        if STEP < 4 {
            return words_of(&block.as_chunks::<16>().0[STEP]);
        }
        let back = |steps: usize| schedule[(STEP - steps) % 4];
        let sum = _mm_add_epi32(
            _mm_sha256msg1_epu32(back(4), back(3)),
            _mm_alignr_epi8(back(1), back(2), 4),
        );
        _mm_sha256msg2_epu32(sum, back(1))
    }

    /// Four words of a block, which has them with the highest byte first.
    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn words_of(bytes: &[u8; 16]) -> __m128i {
        let highest_first = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        let whole = i128::from_le_bytes(*bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the lower half")]
        let halves = _mm_set_epi64x((whole >> 64) as i64, whole as i64);
        _mm_shuffle_epi8(halves, highest_first)
    }

    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn lane(state: &State) -> Lane {
        let of = |words: [usize; 4]| {
            let [highest, high, low, lowest] = words.map(|word| state[word].cast_signed());
            _mm_set_epi32(highest, high, low, lowest)
        };
        Lane {
            abef: of(ABEF),
            cdgh: of(CDGH),
            schedule: [_mm_setzero_si128(); 4],
        }
    }

    #[inline]
    #[target_feature(enable = "sha,sse4.1,ssse3")]
    fn state(lane: &Lane) -> State {
        let mut state = [0; 8];
        for (of, words) in [(lane.abef, ABEF), (lane.cdgh, CDGH)] {
            let (highest, high) = (_mm_extract_epi32(of, 3), _mm_extract_epi32(of, 2));
            let (low, lowest) = (_mm_extract_epi32(of, 1), _mm_extract_epi32(of, 0));
            for (word, value) in words.into_iter().zip([highest, high, low, lowest]) {
                state[word] = value.cast_unsigned();
            }
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// A message of less than 56 bytes with its padding (FIPS 180-4, 5.1.1).
    fn padded(message: &[u8]) -> Block {
        let mut block = [0; 64];
        block[..message.len()].copy_from_slice(message);
        block[message.len()] = 0x80;
        block[56..].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
        block
    }

    #[test]
    fn two_messages_that_everybody_knows() {
        let (mut abc, mut empty) = (INITIAL, INITIAL);
        if !compress_two([&mut abc, &mut empty], [&[padded(b"abc")], &[padded(b"")]]) {
            assert!(!has_instructions(), "refused without a reason");
            return;
        }
        let hex = |state: State| state.map(|word| format!("{word:08x}")).concat();
        assert_eq!(
            hex(abc),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(
            hex(empty),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn what_the_longer_stream_has_more_stays() {
        let (mut one, mut other) = (INITIAL, INITIAL);
        let blocks = [padded(b"abc"), padded(b"")];
        if compress_two([&mut one, &mut other], [&blocks, &blocks[..1]]) {
            assert_eq!(one, other);
        }
        let before = one;
        compress_two([&mut one, &mut other], [&[], &blocks]);
        assert_eq!(one, before);
    }
}
