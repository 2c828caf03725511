//! The numbered files of `sql/`, in their order: what each version of the schema `tandem` adds to the one before.

use std::borrow::Cow;

use crate::fault::Side;

type Files = &'static [(&'static str, &'static str)];

const DESKTOP: Files = &[("001_state", include_str!("../../sql/desktop/001_state.sql"))];
const CLOUD: Files = &[("001_state", include_str!("../../sql/cloud/001_state.sql"))];

/// A step from one version of a side's schema to the next.
#[derive(Clone, Debug)]
pub struct Migration {
    /// The version that it makes.
    pub version: i32,
    /// Its file's name, without the ending.
    pub name: Cow<'static, str>,
    /// Its statements. The first one of all steps but the first is `tandem.begin_migration`, the last one
    /// `tandem.end_migration`.
    pub sql: Cow<'static, str>,
}

/// All steps that a program knows, and which program that is.
#[derive(Clone, Debug)]
pub struct Migrations {
    desktop: Vec<Migration>,
    cloud: Vec<Migration>,
    program: String,
}

impl Migrations {
    /// This program's.
    pub fn embedded() -> Migrations {
        let none = Migrations {
            desktop: Vec::new(),
            cloud: Vec::new(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let desktop = DESKTOP.iter().map(|file| (Side::Desktop, file));
        let files = desktop.chain(CLOUD.iter().map(|file| (Side::Cloud, file)));
        files.fold(none, |all, (side, (name, sql))| all.then(side, *name, *sql))
    }

    /// With one more step on a side.
    #[must_use]
    pub fn then(
        mut self,
        side: Side,
        name: impl Into<Cow<'static, str>>,
        sql: impl Into<Cow<'static, str>>,
    ) -> Migrations {
        let version = self.newest(side) + 1;
        let steps = match side {
            Side::Desktop => &mut self.desktop,
            Side::Cloud => &mut self.cloud,
        };
        steps.push(Migration {
            version,
            name: name.into(),
            sql: sql.into(),
        });
        self
    }

    /// As a program of another version has them.
    #[must_use]
    pub fn of_program(self, version: impl Into<String>) -> Migrations {
        let program = version.into();
        Migrations { program, ..self }
    }

    /// The program's version.
    pub fn program(&self) -> &str {
        &self.program
    }

    /// The version to which a side's schema is brought.
    pub fn newest(&self, side: Side) -> i32 {
        self.of(side).last().map_or(0, |step| step.version)
    }

    /// What a schema of this version lacks; all where there is none (0).
    pub fn since(&self, side: Side, version: i32) -> impl Iterator<Item = &Migration> {
        let steps = self.of(side).iter();
        steps.filter(move |step| step.version > version)
    }

    fn of(&self, side: Side) -> &[Migration] {
        match side {
            Side::Desktop => &self.desktop,
            Side::Cloud => &self.cloud,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A file that nobody has listed would never run.
    #[test]
    fn every_numbered_file_is_a_step_and_begins_and_ends_as_one() {
        let all = Migrations::embedded();
        for (side, folder) in [(Side::Desktop, "sql/desktop"), (Side::Cloud, "sql/cloud")] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
            let entries = std::fs::read_dir(folder).unwrap();
            let mut files: Vec<_> = entries
                .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
                .filter(|name| name.starts_with(|letter: char| letter.is_ascii_digit()))
                .collect();
            files.sort();
            let steps: Vec<_> = { all.since(side, 0) }
                .map(|step| format!("{}.sql", step.name))
                .collect();
            assert_eq!(files, steps, "{side}");
            for step in all.since(side, 0) {
                assert!(
                    step.name.starts_with(&format!("{:03}_", step.version)),
                    "{}",
                    step.name
                );
                let statements: Vec<_> = step.sql.lines().map(str::trim).collect();
                let own: Vec<_> = { statements.iter() }
                    .filter(|line| !line.is_empty() && !line.starts_with("--"))
                    .collect();
                let begins = format!("select tandem.begin_migration({}", step.version);
                let (first, last) = (own.first().unwrap(), own.last().unwrap());
                assert!(
                    step.version == 1
                        || first.starts_with(&begins) && **last == "select tandem.end_migration();",
                    "{side} {}: {first} ... {last}",
                    step.name
                );
            }
        }
    }
}
