//! `rackstrap formats`: the network features that each output format supports.

use std::process::ExitCode;

use serde_json::{Map, Value, json};

use crate::cli::context::{Context, table};
use crate::network::{Ability, Reader, abilities};

/// Prints a table of features and formats.
pub(crate) fn run(context: &Context) -> anyhow::Result<ExitCode> {
    let labels: Vec<String> = Reader::all().iter().map(Reader::label).collect();
    let value = |row: &Ability| {
        let cells = labels.iter().zip(&row.refusals);
        let cells: Map<String, Value> =
            cells.map(|(label, refusal)| (label.clone(), json!(refusal))).collect();
        json!({"feature": row.feature, "refusals": cells})
    };
    let values: Vec<Value> = abilities().iter().map(value).collect();
    context.print(&values, || text(&labels))?;
    Ok(ExitCode::SUCCESS)
}

fn text(labels: &[String]) -> String {
    let head: Vec<&str> =
        ["FEATURE"].into_iter().chain(labels.iter().map(String::as_str)).collect();
    let cell = |refusal: &Option<String>| if refusal.is_none() { "yes" } else { "-" }.to_owned();
    let row = |row: &Ability| {
        let cells = row.refusals.iter().map(cell);
        [row.feature.to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = abilities().iter().map(row).collect();
    let mut text = table(&head, &rows);
    text.push_str(
        "\nA host that needs a feature marked - gets an error in that format, never an incomplete file.\n",
    );
    text
}
