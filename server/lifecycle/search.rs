//! How events are found: the terms that an event is indexed by, and which of them a search asks
//! for. Pure, so that both databases find the same.
//!
//! A term is a value of a field (host, kind, MAC, address) or a word of the event: of its
//! sentence, host, MAC and kind. A search for a text finds the events that have, for each word of
//! the text, a word that begins with it.

use std::collections::BTreeSet;

use super::Event;
use crate::model::Mac;

/// The most words by which one event is found: a host's report may have any number.
const MOST_WORDS: usize = 64;
/// How many characters of a word are indexed.
const WORD_CHARACTERS: usize = 48;

/// What a search asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Term {
    /// A field has exactly this value.
    Field(Field, String),
    /// A word begins with this.
    Word(String),
}

/// A field that events are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Field {
    /// The host's name.
    Host,
    /// The kind of event.
    Kind,
    /// The MAC.
    Mac,
    /// The address.
    Address,
}

impl Term {
    /// The term as it is stored: decimal digits, which every database and collation sorts alike.
    /// What begins alike is stored with the same beginning.
    pub fn key(&self) -> String {
        match self {
            Self::Field(field, value) => {
                let field = match field {
                    Field::Host => 1,
                    Field::Kind => 2,
                    Field::Mac => 3,
                    Field::Address => 4,
                };
                format!("0{field}{}", digits(value))
            }
            Self::Word(word) => format!("1{}", digits(word)),
        }
    }

    /// What sorts behind every key that begins with this term's.
    pub fn end(&self) -> String {
        self.key() + "99"
    }
}

/// The letters and signs that have two digits of their own, 00 to 97.
const ALPHABET: &str = "0123456789abcdefghijklmnopqrstuvwxyz.:-_/=+@#%&*()[]{}<>,;!?'\"$|\\~^`";

/// Each character as two digits; one outside the alphabet as 98 and seven digits.
fn digits(text: &str) -> String {
    let mut digits = String::with_capacity(text.len() * 2);
    for character in text.chars() {
        match ALPHABET.find(character) {
            Some(at) => digits.push_str(&format!("{at:02}")),
            None => digits.push_str(&format!("98{:07}", u32::from(character))),
        }
    }
    digits
}

/// Every term that an event is found by.
pub fn terms(event: &Event) -> BTreeSet<Term> {
    let field = |field, value: Option<String>| Some(Term::Field(field, value?));
    let mac = event.mac.map(|mac| mac.to_string());
    let fields = [
        field(Field::Host, event.host.clone()),
        field(Field::Kind, Some(event.kind().label().to_owned())),
        field(Field::Mac, mac),
        field(Field::Address, event.data.address().map(|address| address.to_string())),
    ];
    let mut terms: BTreeSet<Term> = fields.into_iter().flatten().collect();
    terms.extend(words(event).into_iter().map(Term::Word));
    terms
}

/// The words of an event.
fn words(event: &Event) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut add = |text: &str| {
        for piece in text.to_lowercase().split_whitespace() {
            add_word(&mut words, trimmed(piece));
        }
    };
    add(event.kind().label());
    add(event.host.as_deref().unwrap_or_default());
    if let Some(mac) = event.mac {
        add(&mac.to_string());
        // The half that tells NICs of one vendor apart.
        add(mac.to_string().get(9..).unwrap_or_default());
    }
    add(&event.text());
    words
}

/// Adds a word, and the parts of it that people search for: `vmlinuz` of `live/vmlinuz`, the
/// address of a URL.
fn add_word(words: &mut BTreeSet<String>, word: &str) {
    let mut add = |part: &str| {
        let part: String = part.chars().take(WORD_CHARACTERS).collect();
        if !part.is_empty() && words.len() < MOST_WORDS {
            words.insert(part);
        }
    };
    add(word);
    if word.parse::<Mac>().is_ok() || word.parse::<std::net::IpAddr>().is_ok() {
        return;
    }
    for part in word.split(['/', '=', ',', '(', ')', '"', '\'', '[', ']']).map(trimmed) {
        add(part);
        if part.parse::<Mac>().is_ok() || part.parse::<std::net::IpAddr>().is_ok() {
            continue;
        }
        part.split(|c: char| !c.is_alphanumeric()).for_each(&mut add);
    }
}

fn trimmed(word: &str) -> &str {
    word.trim_matches(|c: char| !c.is_alphanumeric())
}

/// What a search for a text asks for, the longest word first. A MAC is read in any notation.
pub fn asked(text: &str) -> Vec<Term> {
    let text = text.trim().to_lowercase();
    let mut words: Vec<String> = match text.parse::<Mac>() {
        Ok(mac) => vec![mac.to_string()],
        Err(_) => text.split_whitespace().map(asked_word).collect(),
    };
    words.retain(|word| !word.is_empty());
    words.sort_by_key(|word| std::cmp::Reverse(word.len()));
    words.dedup();
    words.truncate(MOST_WORDS);
    words.into_iter().map(Term::Word).collect()
}

fn asked_word(word: &str) -> String {
    match word.parse::<Mac>() {
        Ok(mac) => mac.to_string(),
        Err(_) => trimmed(word).chars().take(WORD_CHARACTERS).collect(),
    }
}

/// Whether an event with these terms is found.
pub fn finds(asked: &[Term], terms: &BTreeSet<Term>) -> bool {
    asked.iter().all(|asked| match asked {
        Term::Field(..) => terms.contains(asked),
        Term::Word(word) => {
            let mut from = terms.range(asked..);
            from.next().is_some_and(|term| matches!(term, Term::Word(own) if own.starts_with(word)))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::event::ReportResult;
    use crate::lifecycle::{EventKind, samples};

    fn event(kind: EventKind) -> Event {
        let mac = Some("52:54:00:aa:00:1f".parse().unwrap());
        Event { at_ms: 0, host: Some("R1-n07".into()), mac, data: samples::data(kind) }
    }

    #[test]
    fn an_event_is_found_by_beginnings_of_its_words() {
        let kernel = event(EventKind::Kernel);
        let report =
            Event { data: samples::report(ReportResult::Failed, "Zürich: é"), ..kernel.clone() };
        let cases = [
            (&kernel, "", true),
            (&kernel, "vmlinuz", true),
            (&kernel, "VMLIN", true),
            (&kernel, "live/vmlinuz", true),
            (&kernel, "mlinuz", false),
            (&kernel, "vmlinuz 10.0.0.5", true),
            (&kernel, "vmlinuz initrd", false),
            (&kernel, "10.0.0", true),
            (&kernel, "10.0.0.", true),
            (&kernel, "10.0.0.6", false),
            (&kernel, "r1-n07", true),
            (&kernel, "n07", true),
            (&kernel, "kernel", true),
            (&kernel, "52:54:00:aa:00:1f", true),
            (&kernel, "5254.00AA.001F", true),
            (&kernel, "52-54-00-aa-00-1f", true),
            (&kernel, "aa:00:1f", true),
            (&kernel, "52:54:00", true),
            (&kernel, "--- !", true),
            (&report, "zürich", true),
            (&report, "é", true),
            (&report, "è", false),
            (&report, "failed", true),
        ];
        for (event, text, found) in cases {
            assert_eq!(finds(&asked(text), &terms(event)), found, "{text}: {:?}", terms(event));
        }
    }

    #[test]
    fn keys_sort_so_that_beginnings_are_ranges() {
        let word = |word: &str| Term::Word(word.to_owned());
        let cases = [
            ("vm", "vmlinuz", true),
            ("vm", "vm", true),
            ("vm", "vn", false),
            ("vm", "v", false),
            ("zz", "zzz", true),
            ("é", "éa", true),
            ("a", "é", false),
            ("10.7", "10.77.0.1", true),
            ("10.7", "10:7", false),
        ];
        for (asked, own, inside) in cases {
            let range = word(asked).key()..word(asked).end();
            assert_eq!(range.contains(&word(own).key()), inside, "{asked} {own}");
        }
        let host = Term::Field(Field::Host, "n1".into());
        assert_ne!(host.key(), Term::Field(Field::Kind, "n1".into()).key());
        assert!(ALPHABET.len() < 98 && ALPHABET.is_ascii());
    }

    #[test]
    fn a_long_report_has_a_bounded_number_of_words() {
        let text: String = (0..5000).map(|n| format!("word{n} ")).collect();
        let event =
            Event { data: samples::report(ReportResult::Up, &text), ..event(EventKind::Report) };
        assert!(terms(&event).len() <= MOST_WORDS + 4);
    }
}
