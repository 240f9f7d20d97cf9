use super::{Compression, Encoder, decoder};
use std::io::{self, Read, Write};

const ALL: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Zstd,
    Compression::Xz,
    Compression::Bzip2,
];

/// Small, to have many of them.
const BLOCK: usize = 40_000;

/// Bytes that pack, but not to nothing.
fn sample(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            b"abcdefgh"[(state >> 29) as usize & ((state >> 20) as usize | 3)]
        })
        .collect()
}

fn encode(compression: Compression, bytes: &[u8], threads: usize) -> Vec<u8> {
    let mut encoder = Encoder::with_blocks_of(BLOCK, Vec::new(), compression, None, threads).expect("encoder");
    for piece in bytes.chunks(70_001) {
        encoder.write_all(piece).expect("written");
    }
    encoder.finish().expect("finished")
}

fn decode(compression: Compression, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder(compression, Box::new(bytes))?.read_to_end(&mut out)?;
    Ok(out)
}

#[test]
fn what_goes_in_comes_out() {
    for compression in ALL {
        for length in [0, 1, BLOCK - 1, BLOCK, BLOCK + 5] {
            let bytes = sample(length);
            let packed = encode(compression, &bytes, 2);
            assert_eq!(
                Compression::detect(&packed[..packed.len().min(Compression::MAGIC)]),
                compression
            );
            assert!(
                decode(compression, &packed).expect("inflated") == bytes,
                "{compression:?} {length}"
            );
        }
    }
}

#[test]
fn threads_dont_change_a_byte() {
    for compression in ALL {
        let bytes = sample(17 * BLOCK + 77);
        let one = encode(compression, &bytes, 1);
        assert!(one == encode(compression, &bytes, 3), "{compression:?}");
    }
}

#[test]
fn members_in_a_row_are_one_stream() {
    for compression in ALL {
        let both = [encode(compression, b"one", 1), encode(compression, b"two", 1)].concat();
        assert_eq!(
            decode(compression, &both).expect("inflated"),
            b"onetwo",
            "{compression:?}"
        );
    }
}

#[test]
fn a_truncated_stream_is_an_error() {
    for compression in &ALL[1..] {
        let packed = encode(*compression, &sample(50_000), 1);
        for length in [0, 1, 4, 11, packed.len() / 2, packed.len() - 1] {
            let error = decode(*compression, &packed[..length]).expect_err("truncated");
            assert_eq!(
                error.kind(),
                io::ErrorKind::InvalidData,
                "{compression:?} {length} {error}"
            );
            assert!(
                error.to_string().contains("truncated"),
                "{compression:?} {length} {error}"
            );
        }
    }
}

#[test]
fn garbage_after_the_end_is_an_error() {
    for compression in &ALL[1..] {
        for garbage in [&b"garbage that is long enough to be a header"[..], b"g", &[0; 600]] {
            let packed = [&encode(*compression, b"text", 1)[..], garbage].concat();
            let result = decode(*compression, &packed);
            // The .xz format allows padding by zeros in fours (section 2.2 of its specification).
            if *compression == Compression::Xz && garbage[0] == 0 {
                assert_eq!(result.expect("padding"), b"text");
            } else {
                let error = result.expect_err("garbage");
                assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{compression:?} {error}");
            }
        }
    }
}

#[test]
fn a_flipped_bit_is_an_error() {
    for compression in &ALL[1..] {
        let mut packed = encode(*compression, &sample(50_000), 1);
        let middle = packed.len() / 2;
        packed[middle] ^= 4;
        let error = decode(*compression, &packed).expect_err("damaged");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{compression:?} {error}");
    }
}

#[test]
fn the_sources_own_errors_come_through() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "gone away"))
        }
    }
    for compression in ALL {
        let mut reader = decoder(compression, Box::new(Failing)).expect("decoder");
        let error = reader.read(&mut [0; 10]).expect_err("fails");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "{compression:?}");
        assert_eq!(error.to_string(), "gone away");
    }
}

#[test]
fn a_level_that_isnt_there_is_refused() {
    let error = Encoder::new(Vec::new(), Compression::Gzip, Some(40), 1)
        .err()
        .expect("refused");
    assert_eq!(error.to_string(), "gzip has levels 0 to 12, not 40");
}

#[test]
fn a_writers_error_is_told() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::StorageFull, "full"))
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    for threads in [1, 3] {
        let mut encoder = Encoder::new(Full, Compression::Gzip, None, threads).expect("encoder");
        let result = encoder
            .write_all(&sample(20 << 20))
            .and_then(|()| encoder.finish().map(drop));
        assert_eq!(result.expect_err("full").kind(), io::ErrorKind::StorageFull);
    }
}
