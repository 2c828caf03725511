//! Every link leads somewhere, and nothing needs what is outside this repository.

use std::fs;
use std::path::Path;

use super::page::{anchor, must_be_empty, pages, read, root, sections};

#[test]
fn each_link_leads_somewhere_inside_this_repository() {
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        let folder = root().join(Path::new(&path).parent().unwrap());
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|after| after.split(')').next())
        {
            if target.starts_with("https://") {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let to = match file {
                "" => root().join(&path),
                file => folder.join(file),
            };
            let Ok(to) = to.canonicalize() else {
                wrong.push(format!("{path}: {target} leads nowhere"));
                continue;
            };
            if !to.starts_with(root().canonicalize().unwrap()) {
                wrong.push(format!("{path}: {target} leads out of the repository"));
            }
            let has = || {
                sections(&fs::read_to_string(&to).unwrap())
                    .iter()
                    .any(|(title, _)| anchor(title) == heading)
            };
            if !heading.is_empty() && !has() {
                wrong.push(format!("{path}: {target}: no such heading"));
            }
        }
        for outside in ["/work/", "../shared", "/home/", "file://"] {
            if text.contains(outside) {
                wrong.push(format!(
                    "{path} names {outside}, which isn't part of the repository"
                ));
            }
        }
    }
    for (page, links) in [
        (
            "README.md",
            [
                "docs/promises.md",
                "docs/words.md",
                "docs/contract.md",
                "docs/errors.md",
                "docs/supabase.md",
                "docs/moving.md",
                "docs/operations.md",
                "docs/sizing.md",
                "docs/security.md",
                "docs/comparison.md",
            ]
            .as_slice(),
        ),
        (
            "src/lib.rs",
            &["docs/promises.md", "docs/words.md", "docs/architecture.md"],
        ),
    ] {
        let text = read(page);
        wrong.extend(
            links
                .iter()
                .filter(|link| !text.contains(**link))
                .map(|link| format!("{page} doesn't lead to {link}")),
        );
    }
    must_be_empty(&wrong);
}
