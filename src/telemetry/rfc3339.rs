//! Times in RFC 3339.

use crate::clock::Timestamp;

/// Appends the time in UTC, to the millisecond: `2026-11-20T18:40:00.000Z`.
pub(crate) fn write(time: Timestamp, text: &mut String) {
    const SECONDS_A_DAY: u64 = 86_400;

    let (year, month, day) = date(time.as_secs() / SECONDS_A_DAY);
    let second = time.as_secs() % SECONDS_A_DAY;
    let mut digits = *b"0000-00-00T00:00:00.000Z";
    fill(&mut digits[..4], year);
    fill(&mut digits[5..7], month);
    fill(&mut digits[8..10], day);
    fill(&mut digits[11..13], second / 3600);
    fill(&mut digits[14..16], second / 60 % 60);
    fill(&mut digits[17..19], second % 60);
    fill(&mut digits[20..23], time.as_millis() % 1000);
    text.push_str(str::from_utf8(&digits).unwrap_or_default());
}

/// Appends the last three digits of a number, with zeros in front.
pub(super) fn write_thousandths(number: u64, text: &mut String) {
    let mut digits = *b"000";
    fill(&mut digits, number);
    text.push_str(str::from_utf8(&digits).unwrap_or_default());
}

/// Writes the last digits of a number into all of `places`.
fn fill(places: &mut [u8], mut number: u64) {
    for place in places.iter_mut().rev() {
        *place = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day in the Gregorian calendar, of a day counted from 1 January 1970.
fn date(day: u64) -> (u64, u64, u64) {
    const DAYS_IN_400_YEARS: u64 = 146_097;
    const DAYS_IN_100_YEARS: u64 = 36_524;
    const DAYS_IN_4_YEARS: u64 = 1_461;
    /// From 1 March 1600 to 1 January 1970.
    const EPOCH: u64 = 135_080;
    /// The first day of each month in a year that begins in March.
    const MONTHS: [u64; 12] = [0, 31, 61, 92, 122, 153, 184, 214, 245, 275, 306, 337];

    // Years begin in March here, so that a leap day is the last day of its year, and of every longer period.
    let mut day = day + EPOCH;
    let mut year = 1600 + day / DAYS_IN_400_YEARS * 400;
    day %= DAYS_IN_400_YEARS;
    let centuries = (day / DAYS_IN_100_YEARS).min(3);
    day -= centuries * DAYS_IN_100_YEARS;
    let leap_periods = day / DAYS_IN_4_YEARS;
    day %= DAYS_IN_4_YEARS;
    let years = (day / 365).min(3);
    day -= years * 365;
    year += centuries * 100 + leap_periods * 4 + years;
    let month = MONTHS.iter().rposition(|first| *first <= day).unwrap_or(0);
    let day = day - MONTHS[month] + 1;
    match month as u64 {
        month @ 0..10 => (year, month + 3, day),
        month => (year + 1, month - 9, day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_rfc_3339() {
        for (millis, expected) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (784_111_777_007, "1994-11-06T08:49:37.007Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_200_000_999, "2026-11-20T18:40:00.999Z"),
        ] {
            let mut text = String::new();
            write(Timestamp::from_millis(millis), &mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn dates_of_two_thousand_years_agree_with_another_implementation() {
        for day in 0..730_000 {
            let time = Timestamp::from_secs(day * 86_400);
            let mut ours = String::new();
            write(time, &mut ours);
            // `Sun, 06 Nov 1994 08:49:37 GMT`
            let theirs = httpdate::fmt_http_date(time.as_system_time());
            let month = "JanFebMarAprMayJunJulAugSepOctNovDec".find(&theirs[8..11]);
            let month = month.unwrap() / 3 + 1;
            let theirs = format!("{}-{month:02}-{}", &theirs[12..16], &theirs[5..7]);
            assert_eq!(ours[..10], theirs);
        }
    }
}
