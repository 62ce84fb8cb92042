//! Says what there is when somebody names what there is not. Pure.

/// How many names a sentence lists before it stops.
const LISTED: usize = 8;

/// The end of a sentence that says a name is unknown: the nearest name, else all
/// that there are if they are few.
pub(crate) fn hint<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let distance = |other: &&&str| strsim::damerau_levenshtein(name, other);
    let nearest = known.iter().min_by_key(distance);
    match nearest {
        None => "; there are none".into(),
        Some(nearest) if distance(&nearest) <= (name.len() / 3).max(1) => {
            format!("; did you mean \"{nearest}\"?")
        }
        Some(_) if known.len() <= LISTED => format!("; there are: {}", known.join(", ")),
        Some(_) => format!("; there are {}, such as {}", known.len(), known[..LISTED].join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn a_wrong_name_is_answered_with_what_there_is() {
        let known = ["internal", "provisioning"];
        let cases = [
            ("internel", "; did you mean \"internal\"?"),
            ("x", "; there are: internal, provisioning"),
        ];
        for (name, expected) in cases {
            assert_eq!(hint(name, known.into_iter()), expected);
        }
        assert_eq!(hint("x", [].into_iter()), "; there are none");
    }
}
