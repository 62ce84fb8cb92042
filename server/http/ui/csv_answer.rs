//! Tables as CSV (RFC 4180), for spreadsheets.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::error::Error;

/// A table with its name; the first row has the headings.
pub(crate) struct CsvAnswer {
    pub name: &'static str,
    pub rows: Vec<Vec<String>>,
}

impl IntoResponse for CsvAnswer {
    fn into_response(self) -> Response {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        for row in &self.rows {
            if let Err(error) = writer.write_record(row.iter().map(|cell| harmless(cell))) {
                return Error::Internal(error.to_string()).into_response();
            }
        }
        let Ok(bytes) = writer.into_inner() else {
            return Error::Internal("the table was not written".into()).into_response();
        };
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{}.csv\"", self.name)),
        ];
        (headers, bytes).into_response()
    }
}

/// A cell that no spreadsheet takes for a formula: clients choose their host names, and texts of
/// reports are theirs.
fn harmless(cell: &str) -> String {
    match cell.chars().next() {
        Some('=' | '+' | '@' | '\t' | '\r') => format!("'{cell}"),
        Some('-') if cell.len() > 1 => format!("'{cell}"),
        _ => cell.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, written) in
            [("=1+1", "'=1+1"), ("@a", "'@a"), ("-1", "'-1"), ("-", "-"), ("r1", "r1"), ("", "")]
        {
            assert_eq!(harmless(cell), written);
        }
    }
}
