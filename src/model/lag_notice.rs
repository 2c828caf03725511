//! What a stream tells whoever looks, in the name of its own connection to the desktop (`application_name`).

use std::fmt;
use std::str::FromStr;

use super::Timestamp;

/// Since when the oldest transaction that the cloud doesn't have has been waiting. It stands behind [`LagNotice::SPEAKER`]:
/// `tandem 1804289383 waits since 812345678901234`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagNotice {
    /// When it committed.
    pub since: Timestamp,
    /// The cloud is taking it piece by piece.
    pub moves: bool,
}

/// The words are none of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotANotice;

impl LagNotice {
    /// What such a name begins with, as an expression of SQL in which `$1` is the slot. A name of a connection has at most 63
    /// bytes, and a slot's may have as many.
    pub const SPEAKER: &str = "'tandem ' || hashtext($1) || ' '";
}

impl fmt::Display for LagNotice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let does = if self.moves { "works" } else { "waits" };
        write!(f, "{does} since {}", self.since.0)
    }
}

impl FromStr for LagNotice {
    type Err = NotANotice;

    fn from_str(words: &str) -> Result<LagNotice, NotANotice> {
        let (does, since) = words.split_once(" since ").ok_or(NotANotice)?;
        let moves = match does {
            "works" => true,
            "waits" => false,
            _ => return Err(NotANotice),
        };
        let since = since.parse().map(Timestamp).map_err(|_| NotANotice)?;
        Ok(LagNotice { since, moves })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_notice_is_read_as_it_was_written(since: i64, moves: bool, slot: i32) {
            let notice = LagNotice { since: Timestamp(since), moves };
            prop_assert_eq!(notice.to_string().parse(), Ok(notice));
            // The server would cut what is longer.
            let name = format!("tandem {slot} {notice}");
            prop_assert!(name.len() < 64, "{}", name);
        }

        #[test]
        fn whatever_is_read_is_written_alike(words in "(waits|works|rests)( since | )-?[0-9]{1,20}x?") {
            if let Ok(notice) = words.parse::<LagNotice>() {
                prop_assert_eq!(notice.to_string().parse(), Ok(notice));
                prop_assert!(words.starts_with("waits since ") || words.starts_with("works since "));
            }
        }
    }

    #[test]
    fn other_words_are_no_notice() {
        for words in [
            "",
            "rests since 1",
            "waits 1",
            "waits since ",
            "waits since 1 s",
            "works since 9223372036854775808",
        ] {
            assert_eq!(words.parse::<LagNotice>(), Err(NotANotice), "{words}");
        }
    }
}
