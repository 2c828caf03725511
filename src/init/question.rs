//! What only a person can know, with the answers that there are: asked once for all tables that it is about, and written where
//! it matters. Pure.

use std::collections::BTreeMap;

use crate::fault::Fault;

/// A decision that a person may know better than what both databases hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Questions with one id are one question.
    id: String,
    /// The question itself.
    pub asks: String,
    /// What it is about: tables, or columns of them.
    pub places: Vec<String>,
    /// The answers.
    pub choices: Vec<String>,
    /// The best of them, as far as can be seen; it counts until somebody answers.
    pub best: usize,
}

impl Question {
    /// A question about one place; the first answer is the best.
    pub(super) fn new(id: String, place: String, asks: String, choices: &[&str]) -> Question {
        Question {
            id,
            asks,
            places: vec![place],
            choices: choices.iter().map(|choice| (*choice).to_owned()).collect(),
            best: 0,
        }
    }

    /// Another answer is the best.
    pub(super) fn best(mut self, best: usize) -> Question {
        self.best = best;
        self
    }
}

/// Who answers: the number of a choice, or why there is no answer.
pub type Asker<'a> = dyn FnMut(&Question) -> Result<usize, Fault> + 'a;

/// All questions of a proposal, and the answers that were given.
#[derive(Default)]
pub(super) struct Decisions {
    questions: Vec<Question>,
    answers: BTreeMap<String, usize>,
}

impl Decisions {
    /// The answer that counts, and what the file says about it. `about` is the column, or what else is meant, at this place.
    pub(super) fn choose(&mut self, about: &str, question: Question) -> (usize, Vec<String>) {
        let given = self.answers.get(&question.id).copied();
        let chosen = given.unwrap_or(question.best);
        let head = format!("# {about}: {}", question.asks);
        let known = self
            .questions
            .iter_mut()
            .find(|known| known.id == question.id);
        if let Some(known) = known {
            let lines = vec![remark(&format!(
                "{head} Decided as for {}",
                known.places[0]
            ))];
            known.places.extend(question.places);
            return (chosen, lines);
        }
        let mut lines = vec![remark(&head)];
        lines.extend(question.choices.iter().enumerate().map(|(at, choice)| {
            let mark = if at == chosen { "->" } else { "  " };
            let best = if at == question.best { " (best)" } else { "" };
            remark(&format!("#   {mark} {choice}{best}"))
        }));
        self.questions.push(question);
        (chosen, lines)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.questions.len()
    }

    /// Asks for what has no answer yet. Whether an answer is another than the best, so that everything is to be looked at again
    /// with it.
    ///
    /// # Errors
    /// When there is no answer.
    pub(super) fn ask(&mut self, ask: &mut Asker<'_>) -> Result<bool, Fault> {
        let mut other = false;
        let open = { self.questions.iter() }.filter(|one| !self.answers.contains_key(&one.id));
        let mut given = Vec::new();
        for question in open {
            let answer = ask(question)?;
            other |= answer != question.best;
            given.push((question.id.clone(), answer));
        }
        self.answers.extend(given);
        if other {
            self.questions.clear();
        }
        Ok(other)
    }
}

/// A name may have anything in it; a remark is one line.
pub(super) fn remark(line: &str) -> String {
    let letter = |letter: char| {
        if letter.is_control() {
            '\u{fffd}'
        } else {
            letter
        }
    };
    line.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(place: &str) -> Question {
        let asks = "who does it?".to_owned();
        Question::new("who".to_owned(), place.to_owned(), asks, &["you", "me"])
    }

    #[test]
    fn a_name_does_not_break_out_of_its_remark() {
        let mut all = Decisions::default();
        let (_, lines) = all.choose("a\nskip = []\r", question("t"));
        assert!(
            lines
                .iter()
                .all(|line| line.starts_with('#') && line.lines().count() == 1)
        );
    }

    #[test]
    fn what_is_asked_of_several_tables_is_asked_once_and_marked_in_the_file() {
        let mut all = Decisions::default();
        let (chosen, lines) = all.choose("id", question("a (id)"));
        assert_eq!(chosen, 0);
        assert_eq!(
            lines,
            ["# id: who does it?", "#   -> you (best)", "#      me"]
        );
        let (_, lines) = all.choose("no", question("b (no)"));
        assert_eq!(lines, ["# no: who does it? Decided as for a (id)"]);
        let mut asked = Vec::new();
        let again = all.ask(&mut |question: &Question| {
            asked.push(question.places.clone());
            Ok(1)
        });
        assert!(again.unwrap());
        assert_eq!(asked, [["a (id)", "b (no)"]]);
        let (chosen, lines) = all.choose("id", question("a (id)"));
        assert_eq!((chosen, lines[2].as_str()), (1, "#   -> me"));
        assert!(!all.ask(&mut |_: &Question| panic!("asked twice")).unwrap());
    }
}
