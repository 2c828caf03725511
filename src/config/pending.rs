//! What the settings can ask for and this version can't do yet. A row goes when its feature comes.

/// One setting, or a whole section with `.*`, that isn't built yet.
struct Pending {
    /// Section and key; `table.` stands for every `[[table]]`.
    key: &'static str,
    /// What it asks for, in the words of the refusal.
    asks: &'static str,
    /// The values, as `config show` writes them, that ask for nothing.
    neutral: &'static [&'static str],
}

const fn but(key: &'static str, asks: &'static str, neutral: &'static [&'static str]) -> Pending {
    Pending { key, asks, neutral }
}

const PENDING: [Pending; 2] = [
    but("verify.every", "periodic verification", &["off"]),
    but("listen.http", "the HTTP listener", &["off"]),
];

/// What works, for the end of a refusal.
const WORKS: &str = "both directions, swaps and refills";

/// The refusal's words after the setting, when `value` asks for something that isn't there yet.
pub(super) fn refusal(section: &str, key: &str, value: &str) -> Option<String> {
    let full = format!("{section}.{key}");
    let pending = PENDING
        .iter()
        .find(|row| match row.key.strip_suffix(".*") {
            Some(whole) => whole == section,
            None => row.key == full,
        })?;
    let asks = pending.asks;
    (!pending.neutral.contains(&value)).then(|| {
        format!("asks for {asks}, which this version doesn't have yet; what works: {WORKS}")
    })
}
