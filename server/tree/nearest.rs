//! Says what there is when somebody names what there is not. Pure.

/// How many names a sentence lists before it stops.
const LISTED: usize = 20;
/// How many of more than that stand for all.
const EXAMPLES: usize = 8;

/// The end of a sentence that says a name is unknown: the nearest name, else all
/// that there are if they are few.
pub(crate) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    match nearest(name, known.iter().copied()) {
        _ if known.is_empty() => "; none are defined".into(),
        Some(nearest) => format!("; did you mean \"{nearest}\"?"),
        None if known.len() <= LISTED => format!("; expected one of: {}", known.join(", ")),
        None => {
            format!("; expected one of {}, such as {}", known.len(), known[..EXAMPLES].join(", "))
        }
    }
}

/// The name that was meant, if one is near enough to a wrong one.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let distance = |other: &&str| strsim::damerau_levenshtein(name, other);
    known.min_by_key(distance).filter(|other| distance(other) <= (name.len() / 3).max(1))
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn a_wrong_name_is_answered_with_what_there_is() {
        let known = ["internal", "provisioning"];
        let cases = [
            ("internel", "; did you mean \"internal\"?"),
            ("x", "; expected one of: internal, provisioning"),
        ];
        for (name, expected) in cases {
            assert_eq!(hint(name, known.into_iter()), expected);
        }
        assert_eq!(hint("x", [].into_iter()), "; none are defined");
    }
}
