//! Durations and sizes with units.

use std::time::Duration;

/// Reads `250ms`, `30s`, `12m`, `24h`, `7d` or `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        "" if number == "0" => 0,
        _ => return Err(refused(text, "a duration", "500ms, 30s, 12m, 24h or 7d")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(millis))
        .map(Duration::from_millis)
        .ok_or_else(|| refused(text, "a duration", "500ms, 30s, 12m, 24h or 7d"))
}

/// Reads `512KiB`, `256MiB` or `10GiB`, and the decimal `MB` and the like.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(refused(text, "a size", "512KiB, 256MiB or 10GiB")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| refused(text, "a size", "512KiB, 256MiB or 10GiB"))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let end = text
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

fn refused(text: &str, kind: &str, examples: &str) -> String {
    format!("{text:?} is not {kind}; write for example {examples}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        for (text, millis) in [
            ("0", 0),
            ("250ms", 250),
            ("2s", 2_000),
            ("24h", 86_400_000),
            ("7 d", 604_800_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for bad in ["", "24", "h", "1.5h", "-1s", "99999999999999d"] {
            assert!(duration(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn sizes_need_a_unit() {
        for (text, expected) in [
            ("10GiB", 10 << 30),
            ("256 MiB", 256 << 20),
            ("5MB", 5_000_000),
            ("1b", 1),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for bad in ["", "10", "10G", "GiB", "99999999999GiB"] {
            assert!(bytes(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
