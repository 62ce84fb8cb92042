//! Two texts side by side as lines that are kept, gone and new. Pure.

use serde::Serialize;
use similar::{ChangeTag, TextDiff};

/// One line of a difference.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
pub struct Line {
    /// The style sheet's class: `same`, `removed`, `added`, `gap` or `file`.
    pub class: &'static str,
    /// The line with its mark.
    pub text: String,
}

/// The lines that differ, each with `around` lines before and after it.
pub fn lines(before: &str, after: &str, around: usize) -> Vec<Line> {
    let diff = TextDiff::from_lines(before, after);
    let mut lines = Vec::new();
    for (index, group) in diff.grouped_ops(around).iter().enumerate() {
        if index > 0 {
            lines.push(Line { class: "gap", text: "  ...".into() });
        }
        for change in group.iter().flat_map(|operation| diff.iter_changes(operation)) {
            let (class, mark) = match change.tag() {
                ChangeTag::Equal => ("same", ' '),
                ChangeTag::Delete => ("removed", '-'),
                ChangeTag::Insert => ("added", '+'),
            };
            let text = format!("{mark} {}", change.value().trim_end_matches('\n'));
            lines.push(Line { class, text });
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_shown_with_its_neighbours() {
        let before: String = (0..30).map(|n| format!("line {n}\n")).collect();
        let after = before.replace("line 5\n", "line five\n").replace("line 25\n", "");
        let lines = lines(&before, &after, 3);
        let marked: Vec<&str> =
            lines.iter().filter(|l| l.class != "same").map(|l| l.text.as_str()).collect();
        assert_eq!(marked, ["- line 5", "+ line five", "  ...", "- line 25"]);
        assert_eq!(lines.iter().filter(|l| l.class == "same").count(), 12);
        assert!(super::lines("a\n", "a\n", 3).is_empty());
    }
}
