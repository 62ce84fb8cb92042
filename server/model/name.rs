//! Which names may be given to hosts, links and everything else.

/// A name that cannot be used, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} \"{name}\" {why}")]
pub struct InvalidName {
    /// The kind of thing that was to be named.
    pub what: &'static str,
    /// The refused name, as given.
    pub name: String,
    /// What is wrong with it, and what would be right.
    pub why: String,
}

/// Checks a host name: one or more RFC 1123 labels, 253 bytes at most.
pub fn check_host_name(name: &str) -> Result<(), InvalidName> {
    let refuse = |why: &str| {
        Err(InvalidName { what: "host name", name: name.to_owned(), why: why.to_owned() })
    };
    if name.is_empty() || name.len() > 253 {
        return refuse("must be 1 to 253 characters long");
    }
    for label in name.split('.') {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        if label.is_empty() || label.len() > 63 {
            return refuse("has a part that is empty or longer than 63 characters");
        }
        if !label.chars().all(inner) || label.starts_with('-') || label.ends_with('-') {
            let why = "may have letters, digits and inner hyphens only (RFC 1123)";
            return match suggested_host_name(name) {
                Some(other) => refuse(&format!("{why}; rename it to \"{other}\"")),
                None => refuse(why),
            };
        }
    }
    Ok(())
}

/// A valid host name that looks like `name`: with hyphens for what is not allowed.
pub(crate) fn suggested_host_name(name: &str) -> Option<String> {
    let label = |label: &str| {
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
        label.chars().map(allowed).collect::<String>().trim_matches('-').to_owned()
    };
    let other: String = name.split('.').map(label).collect::<Vec<_>>().join(".");
    check_host_name(&other).is_ok().then_some(other)
}

/// Checks the name of a network link: what Linux accepts and networkd can match
/// (1 to 15 bytes, no `/`, `:`, `%` or white space, not all digits).
pub fn check_link_name(name: &str) -> Result<(), InvalidName> {
    let refuse = |why: String| Err(InvalidName { what: "link name", name: name.to_owned(), why });
    if name.is_empty() {
        return refuse("is empty: expected 1 to 15 characters, such as eth0".into());
    }
    if name.len() > 15 {
        return refuse(format!("has {} bytes: expected at most 15", name.len()));
    }
    let allowed = |c: char| {
        c.is_ascii_graphic()
            && !matches!(
                c,
                '/' | ':'
                    | '%'
                    | '*'
                    | '?'
                    | '['
                    | ']'
                    | '!'
                    | '"'
                    | '\''
                    | '\\'
                    | '#'
                    | ';'
                    | '='
                    | '$'
                    | '`'
                    | '&'
                    | '<'
                    | '>'
                    | '|'
                    | '('
                    | ')'
                    | '{'
                    | '}'
                    | ','
            )
    };
    if !name.chars().all(allowed) {
        return refuse("may have letters, digits, '.', '_', '-', '@', '+' and '~' only".into());
    }
    if matches!(name, "." | ".." | "all" | "default" | "bonding_masters") {
        return refuse("is reserved by the kernel".into());
    }
    if name.chars().all(|c| c.is_ascii_digit()) {
        return refuse("has digits only; networkd would read it as an index".into());
    }
    Ok(())
}

/// Checks the name of a rack, subnet, profile, image or tenant:
/// 1 to 63 letters, digits, `.`, `_` and `-`, beginning with a letter or digit.
pub fn check_noun_name(what: &'static str, name: &str) -> Result<(), InvalidName> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begins_well = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if name.len() <= 63 && begins_well && name.chars().all(allowed) {
        return Ok(());
    }
    let why = "must be 1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit";
    Err(InvalidName { what, name: name.to_owned(), why: why.into() })
}

/// Checks the name of a user of an OpenID Connect provider: that of a noun, or an address of mail.
pub fn check_user_name(name: &str) -> Result<(), InvalidName> {
    let is_good = |part: &str| check_noun_name("user name", part).is_ok();
    let fits = match name.split_once('@') {
        Some((before, domain)) => is_good(before) && is_good(domain) && name.len() <= 63,
        None => is_good(name),
    };
    if fits {
        return Ok(());
    }
    let why = "must be 1 to 63 letters, digits, '.', '_', '-' or one '@', beginning with a letter \
               or digit";
    Err(InvalidName { what: "user name", name: name.to_owned(), why: why.into() })
}

/// The first eight names, and how many more there are.
pub fn some_names(names: &[String]) -> String {
    const NAMED: usize = 8;
    let named = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_name_must_fit_linux() {
        for good in ["eth0", "bond0", "vlan500", "enp65s0f1np1", "br-prod", "bond0.500"] {
            assert_eq!(check_link_name(good), Ok(()), "{good}");
        }
        for bad in ["", "virbr-production0", "a/b", "a b", "12", "..", "all", "é", "a:b", "x\n"] {
            assert!(check_link_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_user_of_a_provider_may_be_called_by_an_address() {
        for good in ["ann", "ann.b@example.net", "A-1", "x@y"] {
            assert_eq!(check_user_name(good), Ok(()), "{good}");
        }
        let long = format!("{}@example.net", "a".repeat(60));
        for bad in ["", "@", "a@", "@b", "a@b@c", "a b", "token x", "a:b", "é", "a/b", &long] {
            assert!(check_user_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_host_name_must_be_a_dns_name() {
        for good in ["r1-n01", "n7.rack3.example.net", "A1"] {
            assert_eq!(check_host_name(good), Ok(()), "{good}");
        }
        for bad in ["", "-a", "a-", "a..b", "a_b", "é", "a b", "<b>"] {
            assert!(check_host_name(bad).is_err(), "{bad}");
        }
    }
}
