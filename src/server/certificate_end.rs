//! The end of a certificate's validity (RFC 5280 §4.1.2.5), read out of its DER.

use std::time::Duration;

use crate::clock::Timestamp;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const VERSION: u8 = 0xA0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// `notAfter` of a certificate in DER; `None` if it cannot be found.
pub(super) fn certificate_end(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = value(der, SEQUENCE)?;
    let (mut rest, _) = value(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = value(rest, VERSION)?.1;
    }
    // The serial number, the signature's algorithm, and the issuer.
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        rest = value(rest, tag)?.1;
    }
    let (validity, _) = value(rest, SEQUENCE)?;
    let (_, not_after) = value(validity, *validity.first()?)?;
    let (text, _) = value(not_after, *not_after.first()?)?;
    time(*not_after.first()?, std::str::from_utf8(text).ok()?)
}

/// The value at the beginning of `der`, which has to have this tag, and the bytes behind it.
fn value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        _ => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            let length = digits.iter().try_fold(0_usize, |length, digit| {
                length.checked_mul(256)?.checked_add(usize::from(*digit))
            });
            (length?, rest)
        }
    };
    (found == tag)
        .then(|| rest.split_at_checked(length))
        .flatten()
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let text = text.strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: u64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |at: usize| rest.get(2 * at..2 * at + 2)?.parse::<u64>().ok();
    let (month, day) = (part(0)?, part(1)?);
    let days = days_since_epoch(year, month, day)?;
    let seconds = part(2)? * 3600 + part(3)? * 60 + part(4)?;
    Some(Timestamp::from_secs(0) + Duration::from_secs(days * 86_400 + seconds))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days_since_epoch(year: u64, month: u64, day: u64) -> Option<u64> {
    if year < 1970 || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    // A year that begins in March has its leap day at its end.
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    days.checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn end_of(year: i32, month: u8, day: u8) -> Option<u64> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["faces.test".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, month, day);
        let certificate = params.self_signed(&key).unwrap();
        certificate_end(certificate.der()).map(Timestamp::as_secs)
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms_of_time() {
        for (date, seconds) in [
            ((2026, 12, 1), 1_796_083_200),
            ((2028, 2, 29), 1_835_395_200),
            ((2049, 12, 31), 2_524_521_600),
            ((2050, 1, 1), 2_524_608_000),
            ((2100, 3, 1), 4_107_542_400),
        ] {
            let (year, month, day) = date;
            assert_eq!(end_of(year, month, day), Some(seconds), "{date:?}");
        }
    }

    #[test]
    fn a_certificate_that_is_cut_off_anywhere_has_no_end_and_no_panic() {
        let issued = rcgen::generate_simple_self_signed(["faces.test".to_owned()]).unwrap();
        let der = issued.cert.der();
        assert!(certificate_end(der).is_some());
        for length in 0..100 {
            assert_eq!(certificate_end(&der[..length]), None);
        }
    }
}
