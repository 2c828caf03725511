//! Sizes such as "8MB" and durations such as "15m": read, checked against their limits, written.

use std::ops::RangeInclusive;
use std::time::Duration;

/// The units of a size, in bytes, largest first; PostgreSQL's, so powers of 1024.
const SIZES: [(&str, u64); 5] = [
    ("TB", 1 << 40),
    ("GB", 1 << 30),
    ("MB", 1 << 20),
    ("kB", 1 << 10),
    ("B", 1),
];

/// The units of a duration, in milliseconds, largest first.
const DURATIONS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// `count` kB in bytes.
pub(super) const fn kb(count: u64) -> u64 {
    count << 10
}

/// `count` MB in bytes.
pub(super) const fn mb(count: u64) -> u64 {
    count << 20
}

/// `count` GB in bytes.
pub(super) const fn gb(count: u64) -> u64 {
    count << 30
}

/// The allowed values of a setting, both ends included, and why they end there.
pub(super) struct Limits<T> {
    pub(super) range: RangeInclusive<T>,
    pub(super) why: &'static str,
}

/// Bytes of a size: digits with B, kB, MB, GB or TB in any case, or plain bytes. None when it isn't one.
pub(super) fn size(text: &str) -> Option<u64> {
    let (count, unit) = split(text)?;
    if unit.is_empty() {
        return Some(count);
    }
    let (_, bytes) = SIZES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    count.checked_mul(*bytes)
}

/// A duration: digits with ms, s, m, h or d. None when it isn't one.
pub fn duration(text: &str) -> Option<Duration> {
    let (count, unit) = split(text)?;
    let (_, ms) = DURATIONS.iter().find(|(name, _)| *name == unit)?;
    count.checked_mul(*ms).map(Duration::from_millis)
}

fn split(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    Some((digits.parse().ok()?, unit.trim_start()))
}

/// The size in the largest unit that needs no fraction, as [`size`] reads it.
pub(super) fn show_size(bytes: u64) -> String {
    let fits = SIZES
        .iter()
        .find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    fits.map_or_else(
        || "0B".to_owned(),
        |(name, unit)| format!("{}{name}", bytes / unit),
    )
}

/// The duration in the largest unit that needs no fraction, as [`duration`] reads it.
pub(super) fn show_duration(duration: Duration) -> String {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = DURATIONS
        .iter()
        .find(|(_, unit)| ms >= *unit && ms.is_multiple_of(*unit));
    fits.map_or_else(
        || "0ms".to_owned(),
        |(name, unit)| format!("{}{name}", ms / unit),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("8MB", Some(8 << 20)),
            ("4GB", Some(4 << 30)),
            ("64kB", Some(65_536)),
            ("64KB", Some(65_536)),
            ("1TB", Some(1 << 40)),
            ("12 B", Some(12)),
            ("4096", Some(4096)),
            ("8 mb", Some(8 << 20)),
            ("", None),
            ("MB", None),
            ("-1MB", None),
            ("1.5GB", None),
            ("8XB", None),
            ("99999999TB", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, ms) in [
            ("200ms", Some(200)),
            ("10s", Some(10_000)),
            ("15m", Some(900_000)),
            ("1h", Some(3_600_000)),
            ("1d", Some(86_400_000)),
            ("30d", Some(2_592_000_000)),
            ("0ms", Some(0)),
            ("10", None),
            ("s", None),
            ("1w", None),
            ("10S", None),
            ("-1s", None),
            ("99999999999999999d", None),
        ] {
            assert_eq!(duration(text), ms.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for bytes in [0, 1, 1023, 1024, 1025, mb(16), gb(4), kb(3)] {
            assert_eq!(size(&show_size(bytes)), Some(bytes));
        }
        for ms in [0, 1, 999, 1000, 61_000, 3_600_000, 86_400_000] {
            let value = Duration::from_millis(ms);
            assert_eq!(duration(&show_duration(value)), Some(value));
        }
    }
}
