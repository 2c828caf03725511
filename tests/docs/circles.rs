//! Files import one another in one direction: whoever reads a file needs those below it, and never comes back to where he began.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::imports::{House, Imports};
use super::page::root;
use super::tidy::sources;

/// Circles that stay, with all their files and the reason.
const EXCEPTIONS: &[(&[&str], &str)] = &[];

/// Files each of which leads to all others.
fn circles(imports: &Imports) -> BTreeSet<BTreeSet<&str>> {
    let reached = imports.keys().map(|from| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![from.as_str()]);
        while let Some(file) = open.pop() {
            let next = imports.get(file).into_iter().flat_map(BTreeMap::keys);
            open.extend(next.map(String::as_str).filter(|next| seen.insert(*next)));
        }
        (from.as_str(), seen)
    });
    let reached: BTreeMap<&str, BTreeSet<&str>> = reached.collect();
    let leads = |from: &str, to: &str| reached.get(from).is_some_and(|seen| seen.contains(to));
    let round = reached.keys().filter(|file| leads(file, file));
    round
        .map(|file| {
            reached[file]
                .iter()
                .copied()
                .filter(|other| leads(other, file))
                .collect()
        })
        .collect()
}

/// What is wrong with the circles that there are: those that nobody excused, and those that are no more.
fn wrong(imports: &Imports, excused: &[(&[&str], &str)]) -> Vec<String> {
    let circles = circles(imports);
    let mut wrong = Vec::new();
    for circle in &circles {
        if excused
            .iter()
            .any(|(files, _)| files.iter().copied().collect::<BTreeSet<_>>() == *circle)
        {
            continue;
        }
        wrong.push("a circle of imports:".to_owned());
        for from in circle {
            for (to, names) in imports[*from]
                .iter()
                .filter(|(to, _)| circle.contains(to.as_str()))
            {
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                wrong.push(format!("  {from} imports {to} ({})", names.join(", ")));
            }
        }
    }
    for (files, reason) in excused {
        if !circles.contains(&files.iter().copied().collect()) {
            wrong.push(format!(
                "{} is no circle any more: {reason}",
                files.join(", ")
            ));
        }
    }
    wrong
}

#[test]
fn no_file_imports_one_that_leads_back_to_it() {
    let sources = sources();
    let src = root().join("src");
    let below = |path: &Path| {
        let parts = path.strip_prefix(&src).unwrap().components();
        let parts: Vec<_> = parts
            .map(|part| part.as_os_str().to_str().unwrap())
            .collect();
        parts.join("/")
    };
    let house = House::of(
        sources
            .iter()
            .map(|(path, text)| (below(path), text.as_str())),
    );
    let imports = house.imports();
    // A finder that sees nothing finds no circle either.
    let all: usize = imports.values().map(BTreeMap::len).sum();
    assert!(
        all > 3 * sources.len(),
        "{all} imports in {} files",
        sources.len()
    );
    let wrong = wrong(&imports, EXCEPTIONS);
    assert!(
        wrong.is_empty(),
        "move what both need into a file of its own:\n{}",
        wrong.join("\n")
    );
}

/// Imports of a made-up house.
fn made(files: &[(&str, &str)]) -> Imports {
    House::of(files.iter().map(|(path, text)| ((*path).to_owned(), *text))).imports()
}

fn found(files: &[(&str, &str)]) -> Vec<Vec<String>> {
    let imports = made(files);
    let circles = circles(&imports).into_iter();
    circles
        .map(|circle| circle.into_iter().map(str::to_owned).collect())
        .collect()
}

#[test]
fn circles_are_found_on_every_way_that_an_import_is_written() {
    // Each of these files of `room` leads to `room/b.rs`, which leads back.
    let ways = [
        "use super::b::B;",
        "use crate::room::b::B as Other;",
        "use super::{c, b::{B, self}};",
        "use crate::{room::{b, c::C}, other};",
        "pub use super::b::B; struct A(B);",
        "fn a() { super::b::b(); }",
        "use super::b; fn a() -> b::B {}",
        "use super::B;",
        "use super::b::*;",
        "use self::within::deeper;\n#[cfg(test)]\nmod tests { use super::c; }\nuse super::b::B;",
        "const A: char = '\"'; use super::b::B; const C: &str = r#\"\"use\"#;",
        "fn a<'a>(b: &'a str) -> super::b::B<'a> {}",
    ];
    for way in ways {
        let house = [
            ("lib.rs", "pub mod room;"),
            ("room/mod.rs", "mod a; mod b; mod c; pub(crate) use b::B;"),
            ("room/a.rs", way),
            ("room/b.rs", "use super::c::C;"),
            ("room/c.rs", "use crate::room::a;"),
        ];
        let circle = ["room/a.rs", "room/b.rs", "room/c.rs"];
        assert_eq!(found(&house), [circle], "{way}");
    }
}

#[test]
fn what_is_no_import_makes_no_circle() {
    let ways = [
        "// use super::b::B;",
        "/// See [`super::b::B`].",
        "const A: &str = \"use super::b::B;\";",
        "const A: &str = r#\"use \"super::b::B;\"#;",
        "#[cfg(test)]\nmod tests {\n    use super::super::b::B;\n}",
        "#[cfg(all(test, unix))]\nuse super::b::B;",
        "pub(in crate::room::b) fn a() {}",
        // It only hands the name on.
        "pub use super::b::B;",
        "use other::b::B; use b::B as Foreign;",
    ];
    for way in ways {
        let house = [
            ("lib.rs", "mod room;"),
            ("room/mod.rs", "mod a; mod b; pub use a::A;"),
            ("room/a.rs", way),
            ("room/b.rs", "use super::A;"),
        ];
        assert_eq!(found(&house), Vec::<Vec<String>>::new(), "{way}");
    }
}

#[test]
fn a_parent_that_needs_its_child_makes_a_circle_with_a_child_that_needs_it() {
    let house = |parent| {
        [
            ("room/mod.rs", parent),
            ("room/child.rs", "use super::Parent;"),
        ]
    };
    let uses = "mod child; pub use child::Child; pub struct Parent(Child);";
    assert_eq!(found(&house(uses)), [["room/child.rs", "room/mod.rs"]]);
    let hands_on = "mod child; pub use child::Child; pub struct Parent;";
    assert_eq!(found(&house(hands_on)).len(), 0);
}

#[test]
fn a_new_circle_is_told_and_so_is_an_exception_that_is_none_any_more() {
    let imports = made(&[("a.rs", "use crate::b::B;"), ("b.rs", "use crate::a::A;")]);
    let both: &[&str] = &["a.rs", "b.rs"];
    assert_eq!(wrong(&imports, &[(both, "so it is")]), Vec::<String>::new());
    let told = wrong(&imports, &[]).join("\n");
    assert!(told.contains("a.rs imports b.rs (crate::b::B)"), "{told}");
    let gone: &[&str] = &["c.rs", "d.rs"];
    let told = wrong(&imports, &[(both, "so it is"), (gone, "it was")]);
    assert_eq!(told, ["c.rs, d.rs is no circle any more: it was"]);
    // One that has grown is another one.
    let grown: &[&str] = &["a.rs", "b.rs", "c.rs"];
    assert_eq!(wrong(&imports, &[(grown, "it was larger")]).len(), 4);
}
