//! What a file of the house imports: read from its `use`, with braces, `self`, `super` and `crate`, and from paths that stand in its
//! code (`super::lease::term(..)`).
//!
//! A name that a file only hands on is followed to the file that has it: a `mod.rs` with `pub use` is a signpost, and no import
//! unless the file needs the name itself. What is for tests alone doesn't count, and a glob counts as the file that it names.

use std::collections::{BTreeMap, BTreeSet};

/// A module: the names on the way from the crate to it.
type Module = Vec<String>;

/// Which files a file imports, and the names for which it does.
pub(super) type Imports = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Code as words: names, `::`, and other letters one by one. Without comments, strings, and what is for tests alone.
fn words(source: &str) -> Vec<String> {
    let code = blanked(source);
    let mut words: Vec<String> = Vec::new();
    let mut rest = code.as_str();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if is_of_name(first) => rest
                .find(|letter| !is_of_name(letter))
                .unwrap_or(rest.len()),
            ':' if rest.starts_with("::") => 2,
            _ => first.len_utf8(),
        };
        if !first.is_whitespace() {
            words.push(rest[..length].to_owned());
        }
        rest = &rest[length..];
    }
    without_tests(&words)
}

fn is_of_name(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

/// Source with spaces in the place of comments, strings and characters.
fn blanked(source: &str) -> String {
    let mut code = String::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let raw = match first {
            'b' | 'r' if !code.ends_with(is_of_name) => {
                rest.trim_start_matches('b').strip_prefix('r')
            }
            _ => None,
        };
        let raw = raw.map(|raw| (raw, raw.len() - raw.trim_start_matches('#').len()));
        let length = match (first, raw) {
            ('/', _) if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            ('/', _) if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |at| at + 2),
            ('"', _) => string_length(rest),
            ('\'', _) => character_length(rest),
            (_, Some((raw, hashes))) if raw[hashes..].starts_with('"') => {
                let before = rest.len() - raw.len() + hashes + 1;
                let end = format!("\"{}", "#".repeat(hashes));
                let inside = rest[before..].find(&end);
                inside.map_or(rest.len(), |at| before + at + end.len())
            }
            _ => {
                code.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
        };
        code.push(' ');
        rest = &rest[length..];
    }
    code
}

fn string_length(rest: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in rest.char_indices().skip(1) {
        match letter {
            '"' if !escaped => return at + 1,
            _ => escaped = letter == '\\' && !escaped,
        }
    }
    rest.len()
}

/// How long a character is; one for a lifetime's mark.
fn character_length(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match letters.next() {
        Some((_, '\\')) => {
            let end = rest
                .char_indices()
                .skip(3)
                .find(|(_, letter)| *letter == '\'');
            end.map_or(rest.len(), |(at, _)| at + 1)
        }
        Some(_) => match letters.next() {
            Some((at, '\'')) => at + 1,
            _ => 1,
        },
        None => 1,
    }
}

/// Without items behind `#[cfg(test)]` and its like.
fn without_tests(words: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let head = words[at..].iter().take(7).map(String::as_str);
        let head: Vec<_> = head.collect();
        let tests = matches!(
            head[..],
            ["#", "[", "cfg", "(", "test", ..] | ["#", "[", "cfg", "(", "all", "(", "test"]
        );
        if !tests {
            kept.push(words[at].clone());
            at += 1;
            continue;
        }
        // The item ends with a semicolon, or with its last brace.
        let mut depth = 0;
        for word in &words[at..] {
            at += 1;
            match word.as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && [";", "}"].contains(&word.as_str()) {
                break;
            }
        }
    }
    kept
}

/// A name that a file has from elsewhere.
#[derive(Debug, PartialEq)]
struct Used {
    path: Vec<String>,
    /// What it is called in the file; none for a path in the code.
    name: Option<String>,
    /// The file hands it on.
    handed_on: bool,
}

/// All that a file names of others, and the names that stand alone in its code.
fn used(words: &[String]) -> (Vec<Used>, BTreeSet<String>) {
    let (mut found, mut alone) = (Vec::new(), BTreeSet::new());
    let is_name = |word: &String| word.starts_with(is_of_name);
    let mut at = 0;
    while at < words.len() {
        let before = at.checked_sub(1).map(|at| words[at].as_str());
        if words[at] == "use" && before != Some(".") {
            let end = words[at..].iter().position(|word| word == ";");
            let end = at + end.unwrap_or(words.len() - at);
            // `pub use`, `pub(super) use`, `pub(in crate::room) use`.
            let start = words[..at]
                .iter()
                .rposition(|word| [";", "}", "]", "{"].contains(&word.as_str()));
            let first = start.map_or(0, |start| start + 1);
            let handed_on = words[first..at].first().is_some_and(|word| word == "pub");
            tree(&[], &words[at + 1..end], handed_on, &mut found);
            at = end;
        } else if is_name(&words[at]) && before != Some("::") && before != Some(".") {
            let mut path = vec![words[at].clone()];
            while words.get(at + 1).is_some_and(|word| word == "::")
                && words.get(at + 2).is_some_and(is_name)
            {
                path.push(words[at + 2].clone());
                at += 2;
            }
            if before != Some("mod") {
                alone.insert(path[0].clone());
            }
            // `pub(in crate::room)` says who may use it.
            if path.len() > 1 && before != Some("in") {
                found.push(Used {
                    path,
                    name: None,
                    handed_on: false,
                });
            }
        }
        at += 1;
    }
    (found, alone)
}

/// The leaves of what stands behind `use`.
fn tree(base: &[String], words: &[String], handed_on: bool, found: &mut Vec<Used>) {
    let Some(brace) = words.iter().position(|word| word == "{") else {
        let (path, name) = match words.iter().position(|word| word == "as") {
            Some(at) => (&words[..at], words.get(at + 1).cloned()),
            None => (words, None),
        };
        let path = path.iter().filter(|word| *word != "::").cloned();
        let mut path: Vec<_> = base.iter().cloned().chain(path).collect();
        let last = path.last().cloned();
        let is_self = path.len() > 1 && last.as_deref() == Some("self");
        if is_self || last.as_deref() == Some("*") {
            path.pop();
        }
        let name = name.or_else(|| path.last().cloned());
        if !path.is_empty() {
            found.push(Used {
                path,
                name,
                handed_on,
            });
        }
        return;
    };
    let within = words[..brace].iter().filter(|word| *word != "::").cloned();
    let base: Vec<_> = base.iter().cloned().chain(within).collect();
    let inside = &words[brace + 1..words.len() - 1];
    let (mut depth, mut start) = (0, 0);
    for (at, word) in inside.iter().enumerate() {
        match word.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            "," if depth == 0 => {
                tree(&base, &inside[start..at], handed_on, found);
                start = at + 1;
            }
            _ => {}
        }
    }
    if start < inside.len() {
        tree(&base, &inside[start..], handed_on, found);
    }
}

/// A file of the house.
struct File {
    path: String,
    used: Vec<Used>,
    alone: BTreeSet<String>,
}

/// Files by the module that each is, and what leads from one to another.
pub(super) struct House {
    files: BTreeMap<Module, File>,
}

impl House {
    /// Of files below `src`, each with its text.
    pub(super) fn of<'t>(files: impl Iterator<Item = (String, &'t str)>) -> House {
        let files = files.map(|(path, text)| {
            let (used, alone) = used(&words(text));
            (module(&path), File { path, used, alone })
        });
        House {
            files: files.collect(),
        }
    }

    /// The way from the crate to what a file calls so; none for other crates, and for what is its own.
    fn absolute(&self, from: &Module, path: &[String], depth: usize) -> Option<Vec<String>> {
        let ups = path.iter().take_while(|word| *word == "super").count();
        let (base, rest) = match path.first()?.as_str() {
            "crate" => (&[][..], &path[1..]),
            "self" => (&from[..], &path[1..]),
            "super" => (&from[..from.len().checked_sub(ups)?], &path[ups..]),
            first => {
                let child: Module = from.iter().chain([&path[0]]).cloned().collect();
                if !self.files.contains_key(&child) {
                    let imported = self.imported(from, first, depth)?;
                    return Some(
                        imported
                            .into_iter()
                            .chain(path[1..].iter().cloned())
                            .collect(),
                    );
                }
                (&from[..], path)
            }
        };
        Some(base.iter().chain(rest).cloned().collect())
    }

    /// What a file has imported under a name.
    fn imported(&self, from: &Module, name: &str, depth: usize) -> Option<Vec<String>> {
        // An import of another crate's `x::x` leads to itself.
        let depth = depth.checked_sub(1)?;
        let mut used = self.files.get(from)?.used.iter();
        let used = used.find(|used| used.name.as_deref() == Some(name))?;
        self.absolute(from, &used.path, depth)
    }

    /// The file that has it, behind all that only hand it on.
    fn owner(&self, path: &[String], depth: usize) -> Option<&Module> {
        let length = (0..=path.len())
            .rev()
            .find(|length| self.files.contains_key(&path[..*length]))?;
        let (module, _) = self.files.get_key_value(&path[..length])?;
        let further = path.get(length).zip(depth.checked_sub(1));
        let further = further.and_then(|(name, depth)| {
            let imported = self.imported(module, name, STEPS_MAX)?;
            let rest = path[length + 1..].iter().cloned();
            self.owner(&imported.into_iter().chain(rest).collect::<Vec<_>>(), depth)
        });
        Some(further.unwrap_or(module))
    }

    pub(super) fn imports(&self) -> Imports {
        let mut imports = Imports::new();
        for (module, file) in &self.files {
            for used in &file.used {
                let needed = used
                    .name
                    .as_ref()
                    .is_none_or(|name| file.alone.contains(name));
                if used.handed_on && !needed {
                    continue;
                }
                let path = self.absolute(module, &used.path, STEPS_MAX);
                let owner = path.and_then(|path| self.owner(&path, STEPS_MAX));
                if let Some(owner) = owner.filter(|owner| *owner != module) {
                    let of = imports.entry(file.path.clone()).or_default();
                    let of = of.entry(self.files[owner].path.clone()).or_default();
                    of.insert(used.path.join("::"));
                }
            }
        }
        imports
    }
}

/// So many names that are only handed on are followed.
const STEPS_MAX: usize = 16;

/// `service/mod.rs` is `service`, `service/lease.rs` is `service::lease`.
fn module(path: &str) -> Module {
    let path = path.trim_end_matches(".rs");
    let parts: Vec<_> = path.split('/').map(str::to_owned).collect();
    match parts.split_last() {
        Some((last, folders)) if last == "mod" => folders.to_vec(),
        Some((last, [])) if ["lib", "main"].contains(&last.as_str()) => Module::new(),
        _ => parts,
    }
}
