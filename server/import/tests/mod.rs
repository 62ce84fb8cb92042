use super::*;

/// Files in memory.
#[derive(Default)]
pub(super) struct Shelf(BTreeMap<&'static str, &'static str>);

impl Library for Shelf {
    fn open(&self, include: &Include) -> Result<Vec<Source>, Unopened> {
        let directory = format!("{}/", include.path);
        let inside = self.0.iter().filter(|(name, _)| {
            **name == include.path || (include.is_directory && name.starts_with(&directory))
        });
        let found: Vec<Source> = inside.map(|(name, text)| Source::new(name, *text)).collect();
        if found.is_empty() {
            Err(Unopened { message: "No such file or directory".into() })
        } else {
            Ok(found)
        }
    }
}

/// What a file comes to: the site as YAML, and the report.
pub(super) fn imported(name: &str, text: &str) -> (String, Vec<String>) {
    imported_with(name, text, Shelf::default(), Choices::default())
}

pub(super) fn imported_with(
    name: &str,
    text: &str,
    shelf: Shelf,
    choices: Choices,
) -> (String, Vec<String>) {
    let imported = import(&[Source::new(name, text)], &shelf, &choices).unwrap();
    let report = imported.not_taken.iter().map(ToString::to_string).collect();
    (crate::site_file::render(&imported.site), report)
}

/// The site that is written, to compare with what was made.
pub(super) fn site(text: &str) -> String {
    crate::site_file::render(&crate::site_file::parse(text, "expected").unwrap())
}

mod networks;
mod servers;
mod tables;
