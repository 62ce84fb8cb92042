//! A kernel's command line as an image has it: words that stand for the host, and what iPXE
//! passes on. Pure.
//!
//! iPXE has no quoting. It expands `${...}` first, again and again, then splits the line at white
//! space, drops what follows a word that begins with `#`, and ends a command at a word `||`, `&&`
//! or `;` (iPXE `src/core/exec.c`). Every other printable ASCII character reaches the kernel.

use std::fmt;

use super::DRACUT_WORD;

/// Something that a word in braces stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostWord {
    /// The MAC of the NIC that boots, such as `52:54:00:aa:00:01`.
    Mac,
    /// The host's name.
    Host,
    /// The server as the host reaches it: an address, and a port that is not 80.
    Server,
    /// The address that the host boots with.
    Address,
    /// The URL of the host's configuration, such as `http://10.77.0.1/config/52-54-00-aa-00-01`.
    ConfigUrl,
    /// The URL of the host's filled-in recipe, such as
    /// `http://10.77.0.1/recipe/52-54-00-aa-00-01/TOKEN`; a name of the installer's own follows.
    RecipeUrl,
    /// The host's labels with commas between them.
    Labels,
}

impl HostWord {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Mac,
        Self::Host,
        Self::Server,
        Self::Address,
        Self::ConfigUrl,
        Self::RecipeUrl,
        Self::Labels,
    ];

    /// The word with its braces.
    pub fn word(self) -> &'static str {
        match self {
            Self::Mac => "{mac}",
            Self::Host => "{host}",
            Self::Server => "{server}",
            Self::Address => "{address}",
            Self::ConfigUrl => "{config-url}",
            Self::RecipeUrl => "{recipe-url}",
            Self::Labels => "{labels}",
        }
    }
}

impl fmt::Display for HostWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Why a kernel argument cannot be delivered, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArgumentError {
    /// A brace that begins or ends no word for the host.
    #[error(
        "unknown placeholder in \"{0}\"; expected one of: {words}; or {DRACUT_WORD} as an argument of its own",
        words = HostWord::ALL.map(HostWord::word).join(", ")
    )]
    Placeholder(String),
    /// iPXE would expand it.
    #[error(
        "kernel argument \"{0}\" has \"${{\", which iPXE expands; to name the host, use one of: {words}",
        words = HostWord::ALL.map(HostWord::word).join(", ")
    )]
    Expansion(String),
    /// iPXE would take the rest of the line for a comment.
    #[error(
        "kernel argument \"{0}\" begins with #, where iPXE drops the rest of the line; put it after another character"
    )]
    Comment(String),
    /// iPXE would end the command.
    #[error("kernel argument \"{0}\" ends the command for iPXE; || && and ; cannot be arguments")]
    Separator(String),
    /// Nothing, or a character that is not printable ASCII.
    #[error(
        "kernel argument \"{0}\" cannot be passed on by iPXE: expected printable ASCII characters"
    )]
    Character(String),
    /// The host has no value for a word.
    #[error("{0} is on the command line, and the host has none")]
    NoValue(HostWord),
}

/// Checks that iPXE passes one word on as it is.
///
/// # Errors
/// The word means something to iPXE.
pub(crate) fn check_argument(word: &str) -> Result<(), ArgumentError> {
    let shown = || -> String {
        word.chars().take(80).map(|c| if c.is_control() { '?' } else { c }).collect()
    };
    if word.is_empty() || !word.chars().all(|c| c.is_ascii_graphic()) {
        return Err(ArgumentError::Character(shown()));
    }
    if word.contains("${") {
        return Err(ArgumentError::Expansion(shown()));
    }
    if word.starts_with('#') {
        return Err(ArgumentError::Comment(shown()));
    }
    match word {
        "||" | "&&" | ";" => Err(ArgumentError::Separator(shown())),
        _ => Ok(()),
    }
}

/// One argument with the words for the host replaced.
///
/// # Errors
/// The result would not be one argument, or has a word that stands for nothing.
pub(crate) fn fill_argument(
    argument: &str,
    value: impl Fn(HostWord) -> Option<String>,
) -> Result<String, ArgumentError> {
    let unknown = || ArgumentError::Placeholder(argument.chars().take(80).collect());
    let (mut filled, mut rest) = (String::new(), argument);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, tail) = rest.split_at(at);
        // iPXE's own: refused below with its reason.
        if before.ends_with('$') && tail.starts_with('{') {
            break;
        }
        let known = HostWord::ALL.into_iter().find(|known| tail.starts_with(known.word()));
        let known = known.ok_or_else(unknown)?;
        filled.push_str(before);
        filled.push_str(&value(known).ok_or(ArgumentError::NoValue(known))?);
        rest = &tail[known.word().len()..];
    }
    filled.push_str(rest);
    check_argument(&filled)?;
    Ok(filled)
}

/// What is wrong with a command line for every host.
pub(crate) fn check_command_line(text: &str) -> Vec<ArgumentError> {
    let arguments = text.split_whitespace().filter(|word| *word != DRACUT_WORD);
    let example = |_| Some("x".to_owned());
    arguments.filter_map(|argument| fill_argument(argument, example).err()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_nothing_to_ipxe_is_an_argument() {
        for good in [
            "console=ttyS0,115200n8",
            "ds=nocloud;s=http://10.0.0.1/seed/",
            "rootpw=$1$abc$d/e.",
            "a|b",
            "|",
            "a#b",
            "x\\y",
            "\\",
            "$",
            "a{b}",
            "dyndbg=\"file",
            "`id`",
        ] {
            assert_eq!(check_argument(good), Ok(()), "{good}");
        }
        #[rustfmt::skip]
        let bad = [
            ("", "printable"), ("é", "printable"), ("a\u{7f}", "printable"), ("a b", "printable"),
            ("${net0/ip}", "expands"), ("a${", "expands"), ("#c", "begins with #"),
            ("||", "ends the command"), ("&&", "ends the command"), (";", "ends the command"),
        ];
        for (text, reason) in bad {
            let error = check_argument(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{text:?}: {error}");
        }
    }

    #[test]
    fn words_for_the_host_are_replaced_within_an_argument() {
        let value = |word: HostWord| match word {
            HostWord::Labels => None,
            word => Some(format!("<{}>", word.word().trim_matches(['{', '}']))),
        };
        let cases = [
            ("quiet", Ok("quiet")),
            ("u={config-url}/x.ign", Ok("u=<config-url>/x.ign")),
            ("{host}-{mac}", Ok("<host>-<mac>")),
            ("{address}", Ok("<address>")),
            ("l={labels}", Err("{labels} is on the command line, and the host has none")),
            ("{hots}", Err("unknown placeholder in \"{hots}\"; expected one of: {mac}, {host}")),
            ("a}", Err("unknown placeholder")),
            ("{{host}}", Err("unknown placeholder")),
            ("${host}", Err("kernel argument \"${host}\" has \"${\"")),
        ];
        for (argument, expected) in cases {
            let filled = fill_argument(argument, value).map_err(|error| error.to_string());
            match expected {
                Ok(text) => assert_eq!(filled.as_deref(), Ok(text), "{argument}"),
                Err(text) => assert!(filled.clone().unwrap_err().starts_with(text), "{filled:?}"),
            }
        }
    }

    #[test]
    fn no_value_adds_an_argument() {
        for value in ["a b", "a\nchain x", "", "x\u{0}", "${y}"] {
            let filled = fill_argument("{host}", |_| Some(value.to_owned()));
            assert!(filled.is_err(), "{value:?}: {filled:?}");
        }
        let next = fill_argument("x={host}", |_| Some("|| reboot".to_owned()));
        assert!(next.is_err(), "{next:?}");
    }

    #[test]
    fn a_command_line_is_checked_word_by_word() {
        assert_eq!(check_command_line("quiet {dracut} a=$1$b {config-url}"), []);
        assert_eq!(check_command_line("x{dracut} #a é {mac}").len(), 3);
    }
}
