//! The types a setting can have: each reads one value, checks it, and notes its row.

use std::path::PathBuf;
use std::time::Duration;

use toml::de::{DeArray, DeValue};

use super::check::{duration, filled, identifier, off, one_of, share, size, switch, whole, within};
use super::complaint::{Checked, Complaint};
use super::document::entries;
use super::layers::{Found, Input, Origin};
use super::secret::Secret;
use super::section::Section;
use super::show;
use super::units::{self, Limits};

impl<'d> Section<'_, 'd> {
    /// Reads a scalar with `read` and notes it as `show` writes it. None when it
    /// isn't given, or is wrong, which was recorded.
    pub(super) fn optional<T>(
        &mut self,
        key: &str,
        read: impl FnOnce(&Input<'d>) -> Checked<T>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        let found = self.scalar(key, false)?;
        self.take(key, &found, read, show)
    }

    /// The same with a default, which gets a row too.
    pub(super) fn or_default<T>(
        &mut self,
        key: &str,
        default: T,
        read: impl FnOnce(&Input<'d>) -> Checked<T>,
        show: impl Fn(&T) -> String,
    ) -> T {
        if let Some(value) = self.optional(key, read, &show) {
            return value;
        }
        self.row(key, show(&default), None);
        default
    }

    fn take<T>(
        &mut self,
        key: &str,
        found: &Found<'d>,
        read: impl FnOnce(&Input<'d>) -> Checked<T>,
        show: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match read(&found.input) {
            Ok(value) => {
                let text = show(&value);
                self.row(key, text, Some(&found.origin));
                Some(value)
            }
            Err(complaint) => {
                self.wrong(key, found, complaint, true);
                None
            }
        }
    }

    /// Any text, or none, with a row either way.
    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        self.or_default(
            key,
            None,
            |input| filled(input.text()?).map(Some),
            |text| text.clone().unwrap_or_default(),
        )
    }

    /// A text that `check` accepts, or none, with a row either way.
    pub(super) fn checked_text(
        &mut self,
        key: &str,
        check: fn(&str) -> Checked<String>,
    ) -> Option<String> {
        self.or_default(
            key,
            None,
            |input| check(input.text()?).map(Some),
            |text| text.clone().unwrap_or_default(),
        )
    }

    /// A text that `check` accepts.
    pub(super) fn word(
        &mut self,
        key: &str,
        default: &str,
        check: fn(&str) -> Checked<String>,
    ) -> String {
        self.or_default(
            key,
            default.to_owned(),
            |input| check(input.text()?),
            Clone::clone,
        )
    }

    /// One of a few words.
    pub(super) fn choice<T: Copy + PartialEq>(
        &mut self,
        key: &str,
        default: T,
        words: &[(&str, T)],
    ) -> T {
        let show = |value: &T| {
            let word = words.iter().find(|(_, meant)| meant == value);
            word.map_or_else(String::new, |(word, _)| (*word).to_owned())
        };
        self.or_default(key, default, |input| one_of(input.text()?, words), show)
    }

    /// True or false.
    pub(super) fn switch(&mut self, key: &str, default: bool) -> bool {
        self.or_default(key, default, switch, ToString::to_string)
    }

    /// A whole number.
    pub(super) fn count(&mut self, key: &str, default: u32, limits: &Limits<u32>) -> u32 {
        let read = |input: &Input<'d>| {
            let number = within(
                whole(input)?,
                &limits.range,
                limits.why,
                ToString::to_string,
            )?;
            u32::try_from(number).map_err(|_| Complaint::new("is out of range"))
        };
        self.or_default(key, default, read, ToString::to_string)
    }

    /// Bytes.
    pub(super) fn size(&mut self, key: &str, default: u64, limits: &Limits<u64>) -> u64 {
        self.or_default(
            key,
            default,
            |input| size(input, limits),
            |bytes| units::show_size(*bytes),
        )
    }

    /// Bytes, or "off".
    pub(super) fn size_or_off(&mut self, key: &str, limits: &Limits<u64>) -> Option<u64> {
        let read = |input: &Input<'d>| {
            if off(input) {
                Ok(None)
            } else {
                size(input, limits).map(Some)
            }
        };
        self.or_default(key, None, read, |bytes| {
            bytes.map_or_else(|| "off".to_owned(), units::show_size)
        })
    }

    /// A time span.
    pub(super) fn duration(
        &mut self,
        key: &str,
        default: Duration,
        limits: &Limits<Duration>,
    ) -> Duration {
        self.or_default(
            key,
            default,
            |input| duration(input, limits),
            |span| units::show_duration(*span),
        )
    }

    /// A time span, or "off".
    pub(super) fn duration_or_off(
        &mut self,
        key: &str,
        limits: &Limits<Duration>,
    ) -> Option<Duration> {
        self.duration_or(key, None, limits)
    }

    /// A time span, or "off", which isn't the default.
    pub(super) fn duration_or(
        &mut self,
        key: &str,
        default: Option<Duration>,
        limits: &Limits<Duration>,
    ) -> Option<Duration> {
        let read = |input: &Input<'d>| {
            if off(input) {
                Ok(None)
            } else {
                duration(input, limits).map(Some)
            }
        };
        self.or_default(key, default, read, |span| {
            span.map_or_else(|| "off".to_owned(), units::show_duration)
        })
    }

    /// A share from 0 to 1.
    pub(super) fn share(&mut self, key: &str, default: f64) -> f64 {
        self.or_default(key, default, share, ToString::to_string)
    }

    /// Column names.
    pub(super) fn columns(&mut self, key: &str) -> Option<Vec<String>> {
        self.names(key, identifier)
    }

    /// Names, each as `check` wants it.
    pub(super) fn names(
        &mut self,
        key: &str,
        check: fn(&str) -> Checked<String>,
    ) -> Option<Vec<String>> {
        let found = self.compound(key)?;
        let Input::Other(DeValue::Array(array)) = &found.input else {
            self.wrong(
                key,
                &found,
                Complaint::new("must be a list, such as [\"a\", \"b\"]"),
                false,
            );
            return None;
        };
        let columns = self.name_list(key, array, check)?;
        let written = show::list(&columns);
        self.row(key, written, Some(&found.origin));
        Some(columns)
    }

    fn name_list(
        &mut self,
        key: &str,
        array: &'d DeArray<'d>,
        check: fn(&str) -> Checked<String>,
    ) -> Option<Vec<String>> {
        let mut columns: Vec<String> = Vec::new();
        let mut whole = true;
        for item in array {
            let Some(input) = self.reader.input(item, false) else {
                whole = false;
                continue;
            };
            let found = Found {
                origin: Origin::File(item.span()),
                input,
            };
            match found.input.text().and_then(check) {
                Ok(name) if !columns.contains(&name) => columns.push(name),
                Ok(name) => {
                    self.wrong(
                        key,
                        &found,
                        Complaint::new(format!("names {name} a second time")),
                        false,
                    );
                    whole = false;
                }
                Err(complaint) => {
                    self.wrong(key, &found, complaint, false);
                    whole = false;
                }
            }
        }
        whole.then_some(columns)
    }

    /// A table of names and strings, in the file's order; `check` sees each value.
    pub(super) fn pairs(
        &mut self,
        key: &str,
        check: fn(&Input<'d>) -> Checked<String>,
    ) -> Option<Vec<(String, String)>> {
        let found = self.compound(key)?;
        let Input::Other(DeValue::Table(table)) = &found.input else {
            self.wrong(
                key,
                &found,
                Complaint::new("must be a table, such as { a = \"b\" }"),
                false,
            );
            return None;
        };
        let mut pairs = Vec::new();
        for (name, value) in entries(table) {
            let name = name.get_ref().to_string();
            let Some(input) = self.reader.input(value, false) else {
                continue;
            };
            let entry = Found {
                origin: Origin::File(value.span()),
                input,
            };
            match identifier(&name).and_then(|_| check(&entry.input)) {
                Ok(text) => pairs.push((name, text)),
                Err(complaint) => self.wrong(&name, &entry, complaint, true),
            }
        }
        let written = show::pairs(&pairs);
        self.row(key, written, Some(&found.origin));
        Some(pairs)
    }

    /// A secret, not in any row. An empty one counts as not given.
    pub(super) fn secret(&mut self, key: &str) -> Option<(Secret, Origin)> {
        let found = self.scalar(key, false)?;
        match found.input.text().map(str::to_owned) {
            Ok(text) => (!text.is_empty()).then(|| (Secret::new(text), found.origin)),
            Err(complaint) => {
                self.wrong(key, &found, complaint, false);
                None
            }
        }
    }

    /// A file or a folder, or "off"; a relative path starts beside the settings file.
    pub(super) fn path_or_off(&mut self, key: &str, folder: &std::path::Path) -> Option<PathBuf> {
        let read = |input: &Input<'d>| {
            if off(input) {
                Ok(None)
            } else {
                Ok(Some(folder.join(filled(input.text()?)?)))
            }
        };
        self.or_default(key, None, read, |path: &Option<PathBuf>| {
            path.as_ref()
                .map_or_else(|| "off".to_owned(), |path| path.display().to_string())
        })
    }
}
