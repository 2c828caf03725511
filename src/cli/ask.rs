//! Questions that a command asks where somebody sits before it.

use std::io::{BufRead, IsTerminal};

use super::show;
use crate::fault::{Fault, Kind};
use crate::init::Question;
use crate::model::listed;

/// Tables that a question names; it may be about hundreds.
const PLACES_SHOWN: usize = 8;

/// Whether somebody can be asked, and sees it.
pub(super) fn is_possible() -> bool {
    std::io::stdin().is_terminal() && show::progress_is_seen()
}

/// The number of the choice; Enter takes the best one.
pub(super) fn ask(question: &Question) -> Result<usize, Fault> {
    let places = listed(&question.places, PLACES_SHOWN);
    show::progress(&format!("\n{places}: {}", question.asks));
    for (at, choice) in question.choices.iter().enumerate() {
        let best = if at == question.best { "   (best)" } else { "" };
        show::progress(&format!("  {}  {choice}{best}", at + 1));
    }
    loop {
        show::prompt(&format!(
            "1 to {}, or Enter for {}: ",
            question.choices.len(),
            question.best + 1
        ));
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        match read {
            Ok(0) | Err(_) => {
                return Err(Fault::new(Kind::Input, "no answer was given").hint(
                    "nothing was written; --yes takes the best answers, which stand in the file with their choices",
                ));
            }
            Ok(_) if line.trim().is_empty() => return Ok(question.best),
            Ok(_) => {}
        }
        let number = line.trim().parse::<usize>().ok();
        match number.and_then(|number| number.checked_sub(1)) {
            Some(at) if at < question.choices.len() => return Ok(at),
            _ => show::progress("that is none of the numbers"),
        }
    }
}
