//! The structure of a filled-in file: its keys, and of which kind each value is. Pure.

use serde_json::{Value, json};

use crate::model::RecipeFormat;
use crate::tree::{self, Refusal};

/// Why a text is not a file of its format.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOfFormat {
    #[error(transparent)]
    Yaml(#[from] Refusal),
    #[error(transparent)]
    Toml(#[from] toml::de::Error),
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Xml(#[from] roxmltree::Error),
}

/// Whether files of this format have a structure that is compared.
pub(super) fn has_shape(format: RecipeFormat) -> bool {
    !matches!(format, RecipeFormat::Preseed | RecipeFormat::Kickstart)
}

/// The structure of a file: its document with every value in place of which another one could
/// stand replaced by its kind.
pub(super) fn of(format: RecipeFormat, text: &str) -> Result<Value, NotOfFormat> {
    Ok(kinds(document(format, text)?))
}

/// The first of the arguments of commands that the texts of a file do not have as often as it was
/// written: what reads the file makes another one of it.
pub(super) fn first_lost<'a>(
    format: RecipeFormat,
    text: &str,
    arguments: &'a [String],
) -> Option<&'a String> {
    let mut texts = Vec::new();
    collect(document(format, text).ok()?, &mut texts);
    let is_lost = |argument: &&String| {
        let written = arguments.iter().filter(|other| other == argument).count();
        let read: usize = texts.iter().map(|text| text.matches(argument.as_str()).count()).sum();
        read < written
    };
    arguments.iter().find(is_lost)
}

fn collect(value: Value, texts: &mut Vec<String>) {
    match value {
        Value::Object(entries) => {
            entries.into_iter().for_each(|(_, value)| collect(value, texts));
        }
        Value::Array(items) => items.into_iter().for_each(|item| collect(item, texts)),
        Value::String(text) => texts.push(text),
        Value::Number(_) | Value::Bool(_) | Value::Null => {}
    }
}

fn document(format: RecipeFormat, text: &str) -> Result<Value, NotOfFormat> {
    Ok(match format {
        RecipeFormat::Yaml => tree::read(&*tree::parse(text)?)?,
        RecipeFormat::Toml => toml::from_str(text)?,
        RecipeFormat::Xml => {
            // AutoYaST's profiles begin with a DOCTYPE.
            let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
            elements(roxmltree::Document::parse_with_options(text, options)?.root())
        }
        _ => serde_json::from_str(text)?,
    })
}

/// An element with its attributes, and what is in it; a text; or a comment.
fn elements(node: roxmltree::Node<'_, '_>) -> Value {
    let text = || Value::from(node.text().unwrap_or_default());
    if node.is_text() {
        return text();
    }
    if node.is_comment() {
        return json!({"": [text()]});
    }
    let mut attributes = serde_json::Map::new();
    for attribute in node.attributes() {
        attributes.insert(attribute.name().to_owned(), Value::from(attribute.value()));
    }
    let children: Vec<Value> = node.children().map(elements).collect();
    json!({node.tag_name().name(): [attributes, children]})
}

fn kinds(value: Value) -> Value {
    match value {
        Value::Object(entries) => {
            Value::Object(entries.into_iter().map(|(key, value)| (key, kinds(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(kinds).collect()),
        Value::String(text) => {
            Value::from(format!("text of {} lines", text.lines().count().max(1)))
        }
        Value::Number(_) => Value::from("number"),
        Value::Bool(_) => Value::from("boolean"),
        Value::Null => Value::Null,
    }
}
