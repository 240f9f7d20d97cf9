//! How libarchive writes attributes into PAX records: names like in a URL, values in base 64.

/// Everything but letters, digits and "._-" as %XX.
pub(super) fn percent_encoded(name: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(name.len() * 3);
    for byte in name {
        if byte.is_ascii_alphanumeric() || b"._-".contains(byte) {
            encoded.push(*byte);
        } else {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    encoded
}

/// Base 64 (RFC 4648 section 4), without padding as libarchive writes it.
pub(super) fn base64_encoded(value: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = Vec::with_capacity(value.len() / 3 * 4 + 4);
    for group in value.chunks(3) {
        let byte = |place: usize| u32::from(group.get(place).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..=group.len() {
            encoded.push(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize]);
        }
    }
    encoded
}

/// %XX, as in a URL.
pub(super) fn percent_decoded(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        let hexadecimal = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = hexadecimal.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte {
            Some(byte) if *first == b'%' => {
                decoded.push(byte);
                rest = &after[2..];
            }
            _ => {
                decoded.push(*first);
                rest = after;
            }
        }
    }
    decoded
}

/// Base 64 (RFC 4648 section 4), with or without padding.
pub(super) fn base64_decoded(text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in text.iter().filter(|byte| **byte != b'=') {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            decoded.push((bits >> count & 0xff) as u8);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        assert_eq!(base64_encoded(b"any carnal pleas"), b"YW55IGNhcm5hbCBwbGVhcw");
        for length in 0..20 {
            let bytes: Vec<u8> = (0..length).map(|number: u8| number.wrapping_mul(37)).collect();
            assert_eq!(base64_decoded(&base64_encoded(&bytes)).as_ref(), Some(&bytes));
            assert_eq!(percent_decoded(&percent_encoded(&bytes)), bytes);
        }
    }
}
