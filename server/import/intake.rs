//! What files are to the inventory: rows of hosts in its own columns, or what other systems know. The
//! command line and the UI take in the same. Pure.

use std::sync::Arc;

use super::{
    Choices, ImportError, Imported, Kind, Library, NotTaken, Place, Reason, Source, import,
};
use crate::model::{Noun, NounVisitor, Site, visit_nouns};
use crate::network::Finding;
use crate::site_file::{LayError, RowError, Rows, lay_over};

/// A table with the inventory's own columns.
#[derive(Clone, Debug)]
pub(crate) struct HostTable {
    pub(crate) file: Arc<str>,
    pub(crate) rows: Rows,
}

/// Why a table with the inventory's own columns is refused: all that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TableErrors {
    pub(crate) file: Arc<str>,
    pub(crate) errors: Vec<RowError>,
}

impl TableErrors {
    /// Each with its file and row.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.errors.iter().map(|error| format!("{}: {error}", self.file)).collect()
    }
}

impl HostTable {
    /// The table that files are; none where they are anything else.
    pub(crate) fn of(files: &[Source]) -> Option<Result<Self, TableErrors>> {
        let [one] = files else { return None };
        if Kind::of(&one.name, &one.text).is_some() {
            return None;
        }
        let file = one.name.clone();
        match Rows::parse(&one.text) {
            Ok(rows) => Some(Ok(Self { file, rows })),
            Err(errors) if is_foreign(one, &errors) => None,
            Err(errors) => Some(Err(TableErrors { file, errors })),
        }
    }

    /// Columns that only show something.
    pub(crate) fn not_taken(&self) -> Vec<NotTaken> {
        let place = Place { file: self.file.clone(), line: 1 };
        let one = |name: &str| NotTaken {
            place: place.clone(),
            text: format!("column \"{name}\""),
            reason: Reason::ShownColumn,
        };
        self.rows.shown_columns().map(one).collect()
    }

    /// A finding with the row of its host, or with its path in the site.
    pub(crate) fn placed(&self, finding: &Finding) -> String {
        match self.rows.error_about(finding.host(), finding.to_string()) {
            Some(error) => format!("{}: {error}", self.file),
            None => finding.to_string(),
        }
    }
}

/// Whether a table is to become a site file: its columns, and not its rows, are other than ours.
fn is_foreign(source: &Source, errors: &[RowError]) -> bool {
    let is_table = Kind::or_table(&source.name, &source.text) == Some(Kind::Table);
    is_table && errors.iter().all(|error| error.line == 1)
}

impl Imported {
    /// A finding with the line that the entry comes from.
    pub(crate) fn placed(&self, finding: &Finding) -> String {
        match self.place(&finding.path()) {
            Some(place) => format!("{place}: {finding}"),
            None => finding.to_string(),
        }
    }
}

/// What files come to.
#[derive(Clone, Debug)]
pub(crate) enum Intake {
    Hosts(HostTable),
    Site(Box<Imported>),
}

/// Why nothing is taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IntakeError {
    Table(TableErrors),
    Import(ImportError),
}

/// Something that is wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The file and the line; none for what comes from no line.
    pub(crate) place: Option<Place>,
    /// The column of a table, as the file names it; empty where it is a whole row.
    pub(crate) column: String,
    pub(crate) text: String,
}

impl Intake {
    /// Reads files.
    ///
    /// # Errors
    /// What is wrong, or has to be asked: nothing is half done.
    pub(crate) fn read(
        files: &[Source],
        library: &dyn Library,
        choices: &Choices,
    ) -> Result<Self, IntakeError> {
        match HostTable::of(files) {
            Some(Ok(table)) => Ok(Self::Hosts(table)),
            Some(Err(errors)) => Err(IntakeError::Table(errors)),
            None => import(files, library, choices)
                .map(|imported| Self::Site(Box::new(imported)))
                .map_err(IntakeError::Import),
        }
    }

    /// Adds what was read to a site: keys of entries with the same name are replaced, and nothing is
    /// removed.
    ///
    /// # Errors
    /// Rows that are not those of hosts, or values that do not go together; the site stays as it is.
    pub(crate) fn put_into(&self, site: &mut Site) -> Result<(), LayError> {
        match self {
            Self::Hosts(table) => table.rows.put_into(site).map_err(LayError::Rows),
            Self::Site(imported) => {
                *site = lay_over(site, &imported.site)?;
                Ok(())
            }
        }
    }

    /// What is not taken over.
    pub(crate) fn not_taken(&self) -> Vec<NotTaken> {
        match self {
            Self::Hosts(table) => table.not_taken(),
            Self::Site(imported) => imported.not_taken.clone(),
        }
    }

    /// The entries that it changes or adds, as a site has them.
    pub(crate) fn touched(&self, site: &Site) -> Site {
        let mut touched = Touched { site, part: None, touched: Site::default() };
        match self {
            Self::Hosts(table) => {
                let hosts = table.rows.hosts();
                let known = hosts.filter_map(|name| Some((name.to_owned(), site.hosts.get(name)?)));
                touched.touched.hosts = known.map(|(name, host)| (name, host.clone())).collect();
            }
            Self::Site(imported) => {
                touched.part = Some(&imported.site);
                visit_nouns(&mut touched);
            }
        }
        touched.touched
    }

    /// A row that is wrong.
    pub(crate) fn fault_of_row(&self, error: &RowError) -> Fault {
        let Self::Hosts(table) = self else {
            return Fault { place: None, column: String::new(), text: error.to_string() };
        };
        let column = table.rows.column_of(&error.path).unwrap_or_default().to_owned();
        // A value that no column of its own brought is named by its path.
        let text = match column.is_empty() && !error.path.is_empty() {
            true => format!("{}: {}", error.path, error.message),
            false => error.message.clone(),
        };
        Fault { place: Some(row_place(&table.file, error.line)), column, text }
    }

    /// A finding, by the row and column that its value comes from.
    pub(crate) fn fault_of_finding(&self, finding: &Finding) -> Fault {
        let path = finding.path();
        match self {
            Self::Hosts(table) => {
                let host = finding.host();
                let row = table.rows.error_about(host, String::new());
                let within = host.and_then(|host| path.strip_prefix(&format!("hosts.{host}.")));
                let column = row.as_ref().and(within).and_then(|path| table.rows.column_of(path));
                Fault {
                    place: row.map(|row| row_place(&table.file, row.line)),
                    column: column.unwrap_or_default().to_owned(),
                    text: finding.to_string(),
                }
            }
            Self::Site(imported) => Fault {
                place: imported.place(&path).cloned(),
                column: String::new(),
                text: finding.to_string(),
            },
        }
    }
}

impl TableErrors {
    /// Each with its row.
    pub(crate) fn faults(&self) -> Vec<Fault> {
        let one = |error: &RowError| Fault {
            place: Some(row_place(&self.file, error.line)),
            column: String::new(),
            text: error.message.clone(),
        };
        self.errors.iter().map(one).collect()
    }
}

fn row_place(file: &Arc<str>, line: u64) -> Place {
    Place { file: file.clone(), line: usize::try_from(line).unwrap_or(usize::MAX) }
}

/// Copies the entries of a site that a part of it has, too.
struct Touched<'a> {
    site: &'a Site,
    part: Option<&'a Site>,
    touched: Site,
}

impl NounVisitor for Touched<'_> {
    fn visit<T: Noun>(&mut self) {
        let names = self.part.map(T::all).into_iter().flat_map(|part| part.keys());
        for name in names {
            if let Some(entry) = T::all(self.site).get(name) {
                T::all_mut(&mut self.touched).insert(name.clone(), entry.clone());
            }
        }
    }
}
