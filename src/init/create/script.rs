//! The whole of it as one text that can be piped into psql. Pure.

use super::draft::Draft;
use super::write::remark;
use crate::limits;

/// What holds for every table.
const ALWAYS: [&str; 4] = [
    "Structure only, once: what the desktop changes later is not made here; tandem says what no longer fits.",
    "Row security is on and there is no policy: through the API nobody but the service role sees or writes a row until a policy \
     and a GRANT say so. tandem's user owns the tables and is not bound by it.",
    "Triggers, rules, functions, views, policies and grants are not made; what the desktop's triggers write arrives as rows.",
    "One transaction: all of it or nothing. Nothing that exists is changed.",
];

/// The first message of the transaction. Names in definitions are whole, so no search path can lead them elsewhere.
pub(super) fn opening() -> String {
    format!(
        "BEGIN;\nSET LOCAL lock_timeout = '{}ms';\nSET LOCAL search_path = '';\nSET LOCAL standard_conforming_strings = on;\n\
         SET LOCAL datestyle = iso;\nSET LOCAL intervalstyle = postgres;\nSET LOCAL timezone = 'UTC'",
        limits::CLOUD_LOCK_TIMEOUT.as_millis()
    )
}

/// The statements with their remarks as comments.
pub(super) fn script(draft: &Draft) -> String {
    let statements = draft.parts.iter().map(|part| part.statements.len());
    if statements.sum::<usize>() == 0 {
        let mut text = remark(match draft.left {
            0 => "The cloud lacks no table of the desktop.",
            _ => "Nothing that the cloud lacks can be made.",
        });
        for said in remarks(draft) {
            text.push_str(&remark(&said));
        }
        return text;
    }
    let mut text = remark(&format!(
        "{} tables that the cloud lacks, as the desktop has them; proposed by tandem init --create-cloud.",
        draft.made.len()
    ));
    for always in ALWAYS {
        text.push_str(&remark(always));
    }
    text.push_str(&format!("\n{};\n", opening()));
    for part in &draft.parts {
        text.push('\n');
        for said in &part.remarks {
            text.push_str(&remark(said));
        }
        for statement in &part.statements {
            text.push_str(statement);
            text.push_str(";\n");
        }
    }
    text.push_str("\nCOMMIT;\n");
    text
}

/// What is to be known, for people.
pub(super) fn remarks(draft: &Draft) -> Vec<String> {
    let remarks = draft.parts.iter().flat_map(|part| &part.remarks);
    let mut all: Vec<_> = remarks.cloned().collect();
    if !draft.made.is_empty() {
        all.extend(ALWAYS[..3].iter().map(|always| (*always).to_owned()));
    }
    all
}
