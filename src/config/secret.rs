//! The text of a secret: read from a file or a variable, and cleaned of marks that editors and shells add.

use secrecy::{SecretString, zeroize::Zeroizing};

/// The fewest characters of a secret that the operator makes. Those of vendors have the vendor's length.
pub(super) const SHORTEST: usize = 16;

const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
const UTF16_MARKS: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

/// The secret in `bytes`, without a byte order mark and without white space around it. The error is the
/// remedy.
pub(super) fn parse(bytes: &[u8]) -> Result<SecretString, String> {
    if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err("the secret is UTF-16 text; save it as UTF-8".into());
    }
    let bytes = bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| {
        "the secret is binary; write it as text, for example as openssl rand -base64 32 prints it"
    })?;
    let text = text.trim();
    if text.is_empty() {
        return Err("the secret is empty; write its value there".into());
    }
    if text.chars().any(char::is_control) {
        return Err(
            "the secret has more than one line or a control character; write it alone on one line"
                .into(),
        );
    }
    Ok(SecretString::from(text))
}

/// The bytes of the file at `path`, which are wiped from memory when they are dropped.
pub(super) fn read_file(path: &std::path::Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    std::fs::read(path).map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn parsed(bytes: &[u8]) -> Result<String, String> {
        parse(bytes).map(|secret| secret.expose_secret().to_owned())
    }

    #[test]
    fn marks_of_editors_are_not_part_of_a_secret() {
        for bytes in [
            &b"the secret"[..],
            b"the secret\n",
            b"the secret\r\n",
            b"  the secret \n\n",
            b"\xEF\xBB\xBFthe secret\r\n",
        ] {
            assert_eq!(parsed(bytes).as_deref(), Ok("the secret"), "{bytes:?}");
        }
    }

    #[test]
    fn a_file_that_is_no_line_of_text_is_refused_with_the_remedy() {
        for (bytes, remedy) in [
            (&b"\xFF\xFEs\0e\0"[..], "UTF-8"),
            (b"\xFE\xFF\0s\0e", "UTF-8"),
            (b"\x80\x81", "base64"),
            (b"", "write its value"),
            (b"\xEF\xBB\xBF\n", "write its value"),
            (b"first\nsecond", "one line"),
            (b"with\0nul", "one line"),
        ] {
            let error = parsed(bytes).unwrap_err();
            assert!(error.contains(remedy), "{bytes:?}: {error}");
        }
    }
}
