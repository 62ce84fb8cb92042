//! Tables as CSV (RFC 4180), for spreadsheets.

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, BoxStream, Stream, StreamExt};

use super::error::Error;

/// How many rows are written at once: a long table is never in memory as a whole.
const PART: usize = 500;

/// Rows of a table.
pub(crate) type CsvRows = Vec<Vec<String>>;

/// A table with its name.
pub(crate) struct CsvAnswer {
    name: &'static str,
    headings: Vec<String>,
    parts: BoxStream<'static, Result<CsvRows, Error>>,
}

impl CsvAnswer {
    /// A table whose rows are made while they are sent.
    pub(crate) fn new(
        name: &'static str,
        headings: impl IntoIterator<Item = impl Into<String>>,
        rows: impl IntoIterator<Item = Vec<String>, IntoIter: Send + 'static>,
    ) -> Self {
        let mut rows = rows.into_iter();
        let parts = std::iter::from_fn(move || {
            let part: CsvRows = rows.by_ref().take(PART).collect();
            (!part.is_empty()).then_some(Ok(part))
        });
        Self::read(name, headings, stream::iter(parts))
    }

    /// A table that is read part by part while it is sent. With an error the download fails in the
    /// browser, rather than be a shorter table.
    pub(crate) fn read(
        name: &'static str,
        headings: impl IntoIterator<Item = impl Into<String>>,
        parts: impl Stream<Item = Result<CsvRows, Error>> + Send + 'static,
    ) -> Self {
        let headings = headings.into_iter().map(Into::into).collect();
        Self { name, headings, parts: parts.boxed() }
    }
}

impl IntoResponse for CsvAnswer {
    fn into_response(self) -> Response {
        let Self { name, headings, parts } = self;
        let first = stream::once(async { Ok(vec![headings]) });
        let text = first.chain(parts).map(|part| part.and_then(|rows| written(&rows)));
        let headers = [
            (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
            (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.csv\"")),
        ];
        (headers, Body::from_stream(text)).into_response()
    }
}

fn written(rows: &[Vec<String>]) -> Result<Bytes, Error> {
    let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    for row in rows {
        let cells = row.iter().map(|cell| harmless(cell));
        writer.write_record(cells).map_err(|error| Error::Internal(error.to_string()))?;
    }
    let bytes = writer.into_inner();
    Ok(bytes.map_err(|error| Error::Internal(error.to_string()))?.into())
}

/// What is given of a cell that may be empty.
pub(crate) fn cell(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
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
