//! What is true of many things is said once, with their names.

/// Names as they are said: as many as are `shown`, and how many more there are.
pub fn listed(names: impl IntoIterator<Item = impl AsRef<str>>, shown: usize) -> String {
    let mut names = names.into_iter();
    let first: Vec<String> = { names.by_ref() }
        .take(shown)
        .map(|name| name.as_ref().to_owned())
        .collect();
    let list = first.join(", ");
    match names.count() {
        0 => list,
        more => format!("{list} and {more} more"),
    }
}

/// Brings together those of which the same is said, each group where its first one stood.
pub fn alike<Words: PartialEq, Of>(
    said: impl IntoIterator<Item = (Words, Of)>,
) -> Vec<(Words, Vec<Of>)> {
    let mut groups: Vec<(Words, Vec<Of>)> = Vec::new();
    for (words, of) in said {
        match groups.iter_mut().find(|(known, _)| *known == words) {
            Some((_, all)) => all.push(of),
            None => groups.push((words, vec![of])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_stand_for_all() {
        assert_eq!(listed(["a", "b"], 10), "a, b");
        let many: Vec<_> = (1..=30).map(|n| format!("t{n}")).collect();
        let text = listed(&many, 10);
        assert!(
            text.starts_with("t1, t2, ") && text.ends_with("t9, t10 and 20 more"),
            "{text}"
        );
        assert_eq!(listed(Vec::<String>::new(), 10), "");
    }

    #[test]
    fn equal_words_are_said_once_and_in_their_order() {
        let said = [("x", 1), ("y", 2), ("x", 3)];
        assert_eq!(alike(said), [("x", vec![1, 3]), ("y", vec![2])]);
    }
}
