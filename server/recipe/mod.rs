//! Fills in recipes: the answers of an installer, with the values of a host. Pure.
//!
//! No value can add a line, an argument or a key. Each value is written as the format of the
//! recipe needs it, a value that it has no way to write is refused, and where the format has a
//! structure, the result has the one that the recipe has with other values.

mod escape;
mod shape;
mod shipped;
mod values;

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use crate::model::{Recipe, RecipeFormat};
use crate::profile::ResolvedSite;
use escape::Writing;
pub use shipped::SHIPPED;
pub use values::{Booting, RecipeValues};

/// How many steps a recipe may take: a loop without end is an error.
const FUEL: u64 = 200_000;

const MISSING: &str = "the host has no such value; give another one with default(...)";

/// Why a recipe is not filled in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// Nothing has this name.
    #[error("recipe \"{0}\" does not exist (known: {known})", known = SHIPPED.map(|it| it.name).join(", "))]
    Unknown(String),
    /// It names no recipe, or two.
    #[error("a recipe has either use, or format and text")]
    Ambiguous,
    /// A key of `values` that the recipe does not read.
    #[error("recipe {recipe} does not read the value \"{key}\" (it reads: {reads})", reads = .reads.join(", "))]
    UnknownValue {
        /// The recipe's name.
        recipe: &'static str,
        /// The key.
        key: String,
        /// The keys that it reads.
        reads: &'static [&'static str],
    },
    /// The host has no image with a recipe.
    #[error("host {0} has no image with a recipe")]
    Missing(String),
    /// It cannot be filled in for this host.
    #[error("the recipe cannot be filled in{}: {detail}", .line.map(|line| format!(" (line {line})")).unwrap_or_default())]
    Filling {
        /// The line of the recipe, from 1.
        line: Option<usize>,
        /// What is wrong.
        detail: String,
    },
}

/// A recipe that was filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled {
    /// What it is.
    pub format: RecipeFormat,
    /// The file for the installer.
    pub text: String,
}

/// The format and the text of a recipe.
fn source(recipe: &Recipe) -> Result<(RecipeFormat, &str), RecipeError> {
    match (&recipe.shipped, recipe.format, &recipe.text) {
        (Some(name), None, None) => {
            let shipped = SHIPPED.iter().find(|shipped| shipped.name == name);
            let shipped = shipped.ok_or_else(|| RecipeError::Unknown(name.clone()))?;
            let is_read = |key: &&String| shipped.values.contains(&key.as_str());
            if let Some(key) = recipe.values.keys().find(|key| !is_read(key)) {
                let (recipe, key, reads) = (shipped.name, key.clone(), shipped.values);
                return Err(RecipeError::UnknownValue { recipe, key, reads });
            }
            Ok((shipped.format, shipped.text))
        }
        (None, Some(format), Some(text)) => Ok((format, text)),
        _ => Err(RecipeError::Ambiguous),
    }
}

/// Fills in the recipe of a host's image.
pub fn of_host(site: &ResolvedSite, name: &str, booting: &Booting) -> Result<Filled, RecipeError> {
    let missing = || RecipeError::Missing(name.to_owned());
    let host = site.hosts.get(name).ok_or_else(missing)?;
    let image = host.image.as_ref().and_then(|image| site.images.get(image));
    let recipe = image.and_then(|image| image.recipe.as_ref()).ok_or_else(missing)?;
    fill(recipe, &RecipeValues::of(site, name, booting).ok_or_else(missing)?)
}

/// Why the recipe of a host's image cannot be filled in; none for a host that asks for no recipe.
pub fn fault(site: &ResolvedSite, name: &str) -> Option<RecipeError> {
    let host = site.hosts.get(name)?;
    site.images.get(host.image.as_ref()?)?.recipe.as_ref()?;
    let mac = Some(host.nics.values().next()?.address);
    let (server_url, token) = ("http://SERVER".to_owned(), "TOKEN".to_owned());
    of_host(site, name, &Booting { mac, server_url, token }).err()
}

/// [`fault`] for the checks, which report by themselves that a recipe is none.
pub fn fault_text(site: &ResolvedSite, name: &str) -> Option<String> {
    let fault = fault(site, name).filter(|fault| *fault != RecipeError::Ambiguous)?;
    Some(fault.to_string())
}

/// Fills in a recipe.
pub(crate) fn fill(recipe: &Recipe, values: &RecipeValues) -> Result<Filled, RecipeError> {
    let (format, source) = source(recipe)?;
    let failed = |line, detail: String| RecipeError::Filling { line, detail };
    let told = |error: Error| {
        let detail = match (error.detail(), error.kind()) {
            (Some(detail), _) => detail.to_owned(),
            (None, ErrorKind::UndefinedError) => MISSING.to_owned(),
            (None, kind) => kind.to_string(),
        };
        failed(error.line(), detail)
    };
    let values = Value::from_serialize(values);
    let arguments = Arc::new(Mutex::new(Vec::new()));
    let render =
        |writing| environment(format, writing, arguments.clone()).render_str(source, &values);
    let text = render(Writing::Values).map_err(told)?;
    if shape::has_shape(format) {
        let probe = render(Writing::Probes).map_err(told)?;
        let shape = shape::of(format, &text)
            .map_err(|error| failed(None, format!("the result is not {format}: {error}")))?;
        if shape::of(format, &probe).ok().as_ref() != Some(&shape) {
            let detail = "a value of the host changes the structure of the file; write {{ ... }} \
                          in place of a whole value, without quotes around it";
            return Err(failed(None, detail.to_owned()));
        }
        let arguments = arguments.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lost) = shape::first_lost(format, &text, &arguments) {
            let detail = format!(
                "the argument {lost} of a command is not read as it was written: \
                 {format} has another meaning for one of its signs at this place"
            );
            return Err(failed(None, detail));
        }
    }
    Ok(Filled { format, text })
}

/// The template engine for a format. What stands in the file as an argument of a shell's command
/// is added to `arguments`.
fn environment(
    format: RecipeFormat,
    writing: Writing,
    arguments: Arc<Mutex<Vec<String>>>,
) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_fuel(Some(FUEL));
    // A captured block is marked safe: what is in it was written by the formatter already.
    environment.set_auto_escape_callback(|_| AutoEscape::Custom("recipe"));
    environment.set_keep_trailing_newline(true);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    // These would let a value through as it is.
    environment.remove_filter("safe");
    environment.remove_filter("tojson");
    environment.remove_filter("escape");
    environment.remove_filter("e");
    environment.add_filter("shell", move |value: Value| {
        let argument = escape::shell(format, &plain(&value, writing)?)?;
        if writing == Writing::Values {
            arguments.lock().unwrap_or_else(PoisonError::into_inner).push(argument.quoted);
        }
        Ok::<_, Error>(argument.written)
    });
    environment
        .add_filter("word", move |value: Value| escape::inner_word(&plain(&value, writing)?));
    environment
        .add_filter("text", move |value: Value| escape::text(format, &plain(&value, writing)?));
    environment.add_filter("require", require);
    environment.set_formatter(move |out, _, value| {
        let text = written(format, writing, value)?;
        out.write_str(&text).map_err(Error::from)
    });
    environment
}

/// `{{ image.values.x | require("set recipe-values.x on the image") }}`: the value, or the advice.
fn require(value: Value, advice: String) -> Result<Value, Error> {
    match value.is_undefined() || value.is_none() {
        true => Err(Error::new(ErrorKind::UndefinedError, advice)),
        false => Ok(value),
    }
}

/// A single value as text.
fn plain(value: &Value, writing: Writing) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Err(missing()),
        ValueKind::String | ValueKind::Number | ValueKind::Bool => Ok(match writing {
            Writing::Probes if value.kind() == ValueKind::String => escape::PROBE.to_owned(),
            _ => value.to_string(),
        }),
        kind => Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("expected one value, found a {kind}"),
        )),
    }
}

fn missing() -> Error {
    Error::new(ErrorKind::UndefinedError, MISSING)
}

/// What stands in the file for a value.
fn written(format: RecipeFormat, writing: Writing, value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Err(missing()),
        // By a filter of ours, or a block whose values were written one by one.
        _ if value.is_safe() => Ok(value.to_string()),
        _ => escape::value(format, writing, value),
    }
}

#[cfg(test)]
mod tests;
