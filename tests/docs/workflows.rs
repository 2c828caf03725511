//! `.github/workflows`: actions are pinned, what they run exists, and nothing needs a secret to pass.

use serde_json::Value;

use super::page::{files, read, root};
use super::shipped::{text, yaml};

fn workflows() -> Vec<(String, Value)> {
    let all: Vec<_> = { files(&[".github/workflows"], &["yml"]).into_iter() }
        .map(|(path, _)| (path.clone(), yaml(&path)))
        .collect();
    assert!(all.len() > 4);
    all
}

/// Every step of every job.
fn steps(workflow: &Value) -> Vec<(&String, &Value)> {
    let jobs = workflow["jobs"].as_object().unwrap().iter();
    jobs.flat_map(|(name, job)| {
        assert!(job["timeout-minutes"].is_u64(), "{name} may take for ever");
        let steps = job["steps"].as_array().unwrap().iter();
        steps.map(move |step| (name, step))
    })
    .collect()
}

#[test]
fn actions_are_pinned_and_what_is_run_exists() {
    let makefile = read("Makefile");
    for (path, workflow) in workflows() {
        assert_eq!(text(&workflow, "/permissions/contents"), "read", "{path}");
        let source = read(&path);
        for (job, step) in steps(&workflow) {
            let action = text(step, "/uses");
            if !action.is_empty() {
                let (_, pin) = action.split_once('@').unwrap();
                let is_commit = pin.len() == 40 && pin.bytes().all(|byte| byte.is_ascii_hexdigit());
                assert!(
                    is_commit,
                    "{path}: {action}: a tag can be moved, a commit can't"
                );
                assert!(
                    source.contains(&format!("{action} # v")),
                    "{path}: {action} says which version that is"
                );
                assert!(
                    action.starts_with("actions/"),
                    "{path}: {action}: whose is it?"
                );
            }
            for line in text(step, "/run").lines() {
                for command in line.split(" && ") {
                    let words: Vec<_> = command.split_whitespace().collect();
                    match words.as_slice() {
                        ["make", target, ..] => {
                            assert!(
                                makefile.contains(&format!("\n{target}: ")),
                                "{path}: {job}: {command}"
                            );
                        }
                        ["bash", file] => assert!(root().join(file).is_file(), "{path}: {command}"),
                        ["cargo", "test", .., "--test", room] => {
                            assert!(
                                root().join("tests").join(room).is_dir(),
                                "{path}: {command}"
                            );
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

#[test]
fn no_secret_is_needed_and_tags_alone_publish() {
    for (path, workflow) in workflows() {
        let source = read(&path);
        for secret in source.split("${{ secrets.").skip(1) {
            let name = secret.split(' ').next().unwrap();
            // Where there is none, the step that uses it is passed over.
            assert_eq!(
                (path.as_str(), name),
                (".github/workflows/release.yml", "RELEASE_KEY")
            );
            assert!(source.contains("if: env.KEY != ''"));
        }
        let publishes = |step: &Value| text(step, "/run").contains("gh release create");
        for (_, step) in steps(&workflow)
            .into_iter()
            .filter(|(_, step)| publishes(step))
        {
            assert_eq!(text(step, "/if"), "github.ref_type == 'tag'");
        }
    }
    // The same that is run before a change lands, on Linux; and what the release packs is what is made.
    let ci = read(".github/workflows/ci.yml");
    assert!(ci.contains("run: bash .ci/run\n") && ci.contains("windows-") && ci.contains("macos-"));
    let (release, deb) = (
        read(".github/workflows/release.yml"),
        read("deploy/static.sh"),
    );
    for machine in ["amd64", "arm64"] {
        assert!(release.contains(machine) && deb.contains(&format!("    {machine}) target=")));
    }
    assert!(release.contains("target/static/$machine") && deb.contains("out=target/static\n"));
}
