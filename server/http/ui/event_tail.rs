//! The rows that the open page of events has not shown yet.

use serde::Serialize;

use super::error::Error;
use super::events::{EventTable, PAGE};
use super::state::Ui;
use crate::inventory::EventPageQuery;

/// A query, and the newest event that its page has shown.
pub(super) struct EventTail {
    query: EventPageQuery,
}

/// New rows of a page.
#[derive(Serialize)]
pub(super) struct NewRows {
    /// The rows as HTML, newest first.
    pub rows: String,
    /// The number of the newest; later rows have greater ones.
    pub after: i64,
}

impl EventTail {
    /// Follows what `query` finds behind the event `after`.
    pub(super) fn new(query: EventPageQuery, after: i64) -> Self {
        let query = EventPageQuery { after: Some(after), before: None, limit: PAGE, ..query };
        Self { query }
    }

    /// What has come since the last time; of more than a page the newest.
    pub(super) async fn next(&mut self, ui: &Ui) -> Result<Option<NewRows>, Error> {
        let found = ui.app.inventory.database.page_events(&self.query).await?;
        let Some(newest) = found.first().map(|event| event.number) else { return Ok(None) };
        self.query.after = Some(newest);
        Ok(Some(NewRows { rows: EventTable::of_page(ui, found).rows(), after: newest }))
    }
}
