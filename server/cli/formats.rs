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
        let left_out = labels.iter().zip(&row.left_out);
        let left_out: Map<String, Value> = left_out
            .filter_map(|(label, left_out)| Some((label.clone(), json!(left_out.as_ref()?))))
            .collect();
        json!({"feature": row.feature, "refusals": cells, "left_out": left_out})
    };
    let values: Vec<Value> = abilities().iter().map(value).collect();
    context.print(&values, || text(&labels))?;
    Ok(ExitCode::SUCCESS)
}

fn text(labels: &[String]) -> String {
    let head: Vec<&str> =
        ["FEATURE"].into_iter().chain(labels.iter().map(String::as_str)).collect();
    let cell = |(refusal, left_out): (&Option<String>, &Option<String>)| match (refusal, left_out) {
        (Some(_), _) => "-".to_owned(),
        (None, Some(_)) => "part".to_owned(),
        (None, None) => "yes".to_owned(),
    };
    let row = |row: &Ability| {
        let cells = row.refusals.iter().zip(&row.left_out).map(cell);
        [row.feature.to_owned()].into_iter().chain(cells).collect::<Vec<_>>()
    };
    let rows: Vec<Vec<String>> = abilities().iter().map(row).collect();
    let mut text = table(&head, &rows);
    text.push_str(
        "\nA host that needs a feature marked - gets an error in that format, never an incomplete file. Of one marked part, \
         what is left out is a warning, and the link does its work without it.\n",
    );
    text
}
