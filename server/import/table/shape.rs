//! The cells of a table, whatever separates them and whatever stands above its head. Pure.

use crate::import::draft::{Draft, place};
use crate::import::{ImportError, Place, Reason, Source, columns};
use crate::model::NicAddress;
use crate::site_file::{UNCLOSED, unclosed_quote};

/// A line of cells.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) place: Place,
    pub(super) cells: Vec<String>,
}

impl Row {
    /// A cell; an empty one where the line is shorter.
    pub(super) fn cell(&self, index: usize) -> &str {
        self.cells.get(index).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn text(&self) -> String {
        let filled = self.cells.iter().filter(|cell| !cell.is_empty());
        filled.cloned().collect::<Vec<_>>().join(", ")
    }
}

/// A head and the rows below it.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) head: Row,
    pub(super) rows: Vec<Row>,
}

impl Table {
    /// What all cells of a column look like, where that is worth a question.
    pub(super) fn looks(&self, index: usize) -> Option<&'static str> {
        let cells = || self.rows.iter().map(|row| row.cell(index)).filter(|cell| !cell.is_empty());
        let all = |is: fn(&str) -> bool| cells().next().is_some() && cells().all(is);
        let is_mac =
            |cell: &str| cell.parse::<NicAddress>().is_ok() && cell.contains([':', '-', '.']);
        match () {
            () if all(is_mac) => Some("MAC addresses"),
            () if all(|cell| cell.parse::<std::net::IpAddr>().is_ok()) => Some("IP addresses"),
            () => None,
        }
    }
}

/// Finds the separator, the head and the rows.
pub(super) fn read(draft: &mut Draft, source: &Source) -> Result<Table, ImportError> {
    let text = source.text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let (separator, skipped) = separator(&text);
    if let Some(line) = unclosed_quote(&text, separator) {
        let line = usize::try_from(line).unwrap_or_default();
        let place = place(&source.name, line);
        return Err(ImportError::Syntax { place, message: UNCLOSED.to_owned() });
    }
    let mut rows = Vec::new();
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .delimiter(separator)
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    for record in reader.records() {
        let record = record.map_err(|error| {
            let line = error.position().map_or(1, |at| at.line() as usize);
            ImportError::Syntax { place: place(&source.name, line), message: error.to_string() }
        })?;
        let line = record.position().map_or(1, |at| at.line() as usize);
        let cells: Vec<String> = record.iter().map(str::to_owned).collect();
        let is_comment = cells.first().is_some_and(|cell| cell.starts_with('#'))
            && !cells
                .iter()
                .any(|cell| columns::fact(cell.trim_start_matches('#').trim()).is_some());
        if line > skipped && !is_comment && cells.iter().any(|cell| !cell.is_empty()) {
            rows.push(Row { place: place(&source.name, line), cells });
        }
    }
    let head = rows.iter().position(|row| is_head(draft, row)).unwrap_or(0);
    for row in rows.iter().take(head) {
        draft.report(&row.place, row.text(), Reason::AboveTable);
    }
    let mut rows = rows.into_iter().skip(head);
    let Some(mut head) = rows.next() else {
        let message = "the table has no row".to_owned();
        return Err(ImportError::Syntax { place: place(&source.name, 1), message });
    };
    for cell in &mut head.cells {
        *cell = cell.trim_start_matches('#').trim().to_owned();
    }
    let repeats = |row: &Row| row.cells == head.cells;
    let rows = rows.filter(|row| !repeats(row)).collect();
    Ok(Table { head, rows })
}

/// Whether a row names columns: one is the host or the prefix, or two are known.
fn is_head(draft: &Draft, row: &Row) -> bool {
    let answered = |cell: &String| draft.choices.columns.iter().any(|(name, _)| name == cell);
    let is_known = |cell: &&String| {
        answered(cell) || columns::fact(cell.trim_start_matches('#').trim()).is_some()
    };
    let known = row.cells.iter().filter(is_known).count();
    known >= 2 || (known == 1 && row.cells.len() <= 2)
}

/// What separates the cells, and how many lines only say so (Excel's `sep=;`).
fn separator(text: &str) -> (u8, usize) {
    let first = text.lines().next().unwrap_or_default();
    if let Some(named) = first.to_ascii_lowercase().strip_prefix("sep=") {
        return (named.bytes().next().unwrap_or(b','), 1);
    }
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .take(50)
        .collect();
    // The separator that gives most lines the same number of cells, and then the most cells.
    let score = |separator: &u8| {
        let counts: Vec<usize> = lines
            .iter()
            .map(|line| line.bytes().filter(|byte| byte == separator).count())
            .collect();
        let most = counts.iter().copied().max().unwrap_or(0);
        let typical = counts.iter().filter(|count| **count == most).count();
        let with = counts.iter().filter(|count| **count > 0).count();
        (with, typical.min(with), most)
    };
    (b"|\t;,".iter().copied().max_by_key(score).unwrap_or(b','), 0)
}
