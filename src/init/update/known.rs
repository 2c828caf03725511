//! What the remarks of a settings file speak of: tables that somebody left out are not proposed again. Pure.

use std::collections::BTreeSet;

use toml_edit::{Document, Item};

/// Tables that stand in remarks.
#[derive(Default)]
pub(super) struct Known {
    /// `name` and `cloud` of tables that are written as remarks.
    pairs: BTreeSet<(String, String)>,
    /// Tables that were said to be on the desktop only.
    pub(super) desktop: BTreeSet<String>,
    /// The same of the cloud.
    pub(super) cloud: BTreeSet<String>,
}

impl Known {
    /// Reads a file's remarks.
    pub(super) fn of(text: &str) -> Known {
        let mut known = Known::default();
        let mut last: Option<(String, String)> = None;
        for line in text.lines() {
            let line = line.trim();
            let Some(said) = line.strip_prefix('#') else {
                known.pairs.extend(last.take());
                continue;
            };
            let said = said.trim_start_matches(['#', ' ', '\t']);
            let names =
                |said: &str| -> Vec<String> { said.split(", ").map(str::to_owned).collect() };
            if let Some(said) = said.strip_prefix("Only on the desktop: ") {
                known.desktop.extend(names(said));
            } else if let Some(said) = said.strip_prefix("Only on the cloud: ") {
                known.cloud.extend(names(said));
            } else if let Some(name) = value(said, "name") {
                known.pairs.extend(last.take());
                last = Some((name.clone(), name));
            } else if let Some((cloud, (_, other))) = value(said, "cloud").zip(last.as_mut()) {
                *other = cloud;
            }
        }
        known.pairs.extend(last);
        known
    }

    /// The two stand in a remark as one table.
    pub(super) fn has(&self, desktop: &str, cloud: &str) -> bool {
        self.pairs.contains(&(desktop.to_owned(), cloud.to_owned()))
    }

    /// A remark has a table of this name.
    pub(super) fn names(&self, name: &str) -> bool {
        self.pairs
            .iter()
            .any(|(desktop, cloud)| desktop == name || cloud == name)
    }
}

/// A setting in a line that is a remark.
fn value(said: &str, key: &str) -> Option<String> {
    if !said.starts_with(key) {
        return None;
    }
    let line = Document::parse(said).ok()?;
    line.get(key).and_then(Item::as_str).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_in_remarks_are_known() {
        let text = "[[table]]\nname = \"a\" # name = \"no\"\n# b: does not fit\n#[[table]]\n#name = 'b'\n# flow = \"reverse\"\n\n\
            ##  name = \"c\"  # mine\r\n# cloud = \"d\"\r\n# Only on the desktop: e, f.g\n# Only on the cloud: h\n# name = nonsense\n# name = \"i\"";
        let known = Known::of(text);
        assert!(known.has("b", "b") && known.has("c", "d") && known.has("i", "i"));
        assert!(!known.has("c", "c") && !known.has("a", "a") && !known.names("no"));
        assert!(known.names("d") && !known.names("e"));
        assert!(known.desktop.contains("f.g") && known.cloud.contains("h"));
    }
}
