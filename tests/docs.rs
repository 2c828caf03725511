//! `docs/` says what is: every number that is cited is defined, every setting, command, field, metric and code stands in the
//! contract, and every link leads somewhere. `TANDEM_TEST_BLESS=1` writes the lists of tests anew.
#![allow(clippy::unwrap_used, unreachable_pub)]

#[path = "docs/citations.rs"]
mod citations;
#[path = "docs/documents.rs"]
mod documents;
#[path = "docs/links.rs"]
mod links;
#[path = "docs/page.rs"]
mod page;
#[path = "docs/settings.rs"]
mod settings;
