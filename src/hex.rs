//! Bytes as lowercase hexadecimal text, and back.

use arrayvec::ArrayString;

/// `bytes` as text of at most `N` characters; panics if `N` is less than twice the number of bytes.
pub fn encode<const N: usize>(bytes: &[u8]) -> ArrayString<N> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = ArrayString::new();
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// The `N` bytes that `text` spells, which has to be `2 * N` digits.
pub fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    char::from(character)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_written_in_two_digits_and_read_back() {
        let bytes: [u8; 256] = std::array::from_fn(|byte| byte as u8);
        let text = encode::<512>(&bytes);
        assert!(text.starts_with("000102") && text.ends_with("fdfeff"));
        assert_eq!(decode(&text), Some(bytes));
    }

    #[test]
    fn text_that_is_not_exactly_so_many_digits_is_refused() {
        for text in ["", "0", "00f", "00ff0", "+1ff", "00fg", "00 f", "ä0f"] {
            assert_eq!(decode::<2>(text), None, "{text}");
        }
        assert_eq!(decode("00FF"), Some([0, 255]));
    }
}
