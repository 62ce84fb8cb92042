//! The frame of every page, and the response of a template.

use std::sync::Arc;

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::clock::zone_name;
use super::error::Error;
use super::session::Notice;
use super::theme::Theme;
use crate::model::{Limits, NounKind, OutsideLimits, Role, limits_text};

/// A section of the UI: a list, and the pages of what is in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Section {
    /// The entries of a noun.
    Noun(NounKind),
    /// A page of its own, by its path.
    Page(&'static str),
}

impl Section {
    /// The first segment of the path of its pages.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Noun(kind) => kind.section(),
            Self::Page(path) => path,
        }
    }

    /// The path as a word: `Hosts`.
    pub(crate) fn label(self) -> String {
        let (first, rest) = self.path().split_at(1);
        first.to_ascii_uppercase() + rest
    }
}

/// An entry of the menu: sections that are used together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Area {
    /// What the menu calls it.
    pub label: &'static str,
    sections: &'static [Section],
}

impl Area {
    /// Its sections that somebody sees.
    pub(crate) fn sections(&self, frame: &Frame) -> impl Iterator<Item = Section> {
        self.sections.iter().copied().filter(|section| frame.shows(section.path()))
    }

    /// Where its entry of the menu leads.
    pub(crate) fn path(&self) -> &'static str {
        self.sections.first().map_or("", |section| section.path())
    }

    /// Whether a section belongs to it.
    pub(crate) fn has(&self, section: &str) -> bool {
        self.sections.iter().any(|own| own.path() == section)
    }
}

/// The menu beside *Fleet*.
pub(crate) const AREAS: [Area; 5] = {
    use NounKind::{Host, Image, ProfileTree, Rack, Subnet, Switch, Tenant};
    use Section::{Noun, Page};
    [
        Area { label: "Hosts", sections: &[Noun(Host), Noun(Rack), Page("discovered")] },
        Area {
            label: "Network",
            sections: &[Noun(Subnet), Page("leases"), Noun(Switch), Noun(Tenant)],
        },
        Area { label: "Boot", sections: &[Noun(ProfileTree), Noun(Image)] },
        Area { label: "Changes", sections: &[Page("roll-out"), Page("revisions")] },
        Area { label: "Activity", sections: &[Page("events"), Page("checks"), Page("audit")] },
    ]
};

/// What belongs to the user rather than to the site; its entry has the user's name.
pub(crate) const ACCOUNT: Area =
    Area { label: "Account", sections: &[Section::Page("access"), Section::Page("users")] };

/// The whole menu, except *Fleet*.
pub(crate) fn menu() -> impl Iterator<Item = Area> {
    AREAS.into_iter().chain([ACCOUNT])
}

/// Every section, in the order of the menu.
pub(crate) fn sections() -> impl Iterator<Item = Section> {
    menu().flat_map(|area| area.sections).copied()
}

/// The frame around the content of a page.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    /// The section of the page.
    pub section: &'static str,
    /// Name of the logged-in user.
    pub user: String,
    /// What the user may do.
    pub role: Role,
    /// Which hosts the user may change; all of these hold.
    pub limits: Arc<[Limits]>,
    /// Why the user cannot change the host that the page is about.
    pub outside: Option<OutsideLimits>,
    /// CSRF token of the session, for every form.
    pub csrf: String,
    /// The colours that the browser has chosen.
    pub theme: Theme,
    /// Result of the last action, shown once.
    pub notice: Option<Notice>,
}

impl Frame {
    /// The class of the page: what a viewer cannot do is not offered to somebody either whose limits
    /// do not allow it.
    pub(crate) fn class(&self) -> Role {
        const SHARED: [&str; 6] = ["racks", "switches", "subnets", "tenants", "profiles", "images"];
        let is_shared = !self.limits.is_empty() && SHARED.contains(&self.section);
        if is_shared || self.outside.is_some() { Role::Viewer } else { self.role }
    }

    /// The zone of the times on the page.
    pub(crate) fn zone(&self) -> String {
        zone_name(Timestamp::now().as_millisecond(), &TimeZone::system())
    }

    /// The user's limits in words.
    pub(crate) fn limits_text(&self) -> String {
        limits_text(&self.limits)
    }

    /// The area of the page; none of *Fleet* and of what is found by its name.
    pub(crate) fn area(&self) -> Option<Area> {
        menu().find(|area| area.has(self.section))
    }

    /// Whether the menu has a section.
    pub(crate) fn shows(&self, section: &str) -> bool {
        section != "users" || self.role == Role::Admin
    }

    /// Whether the page belongs to a section.
    pub(crate) fn is_in(&self, section: &str) -> bool {
        self.section == section
    }
}

/// A template as an HTML answer.
pub(crate) struct Page<T>(pub T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(html) => Html(html).into_response(),
            Err(error) => Error::from(error).into_response(),
        }
    }
}

/// One page of a long list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Which page, from 1.
    pub number: usize,
    /// How many pages there are, at least 1.
    pub pages: usize,
    /// How many rows there are in all.
    pub total: usize,
    size: usize,
}

impl Slice {
    /// The page `wanted` (the nearest one that exists) of `total` rows, `size` a page.
    pub(crate) fn new(wanted: usize, total: usize, size: usize) -> Self {
        let pages = total.div_ceil(size).max(1);
        Self { number: wanted.clamp(1, pages), pages, total, size }
    }

    /// The rows of this page.
    pub(crate) fn of<T>(self, rows: &[T]) -> &[T] {
        let from = (self.number - 1) * self.size;
        rows.get(from..rows.len().min(from + self.size)).unwrap_or_default()
    }

    /// The page before, if there is one.
    pub(crate) fn previous(&self) -> Option<usize> {
        (self.number > 1).then(|| self.number - 1)
    }

    /// The page after, if there is one.
    pub(crate) fn next(&self) -> Option<usize> {
        (self.number < self.pages).then(|| self.number + 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_noun_is_in_the_menu_and_every_section_is_in_it_once() {
        let all: Vec<&str> = sections().map(Section::path).collect();
        for kind in NounKind::ALL {
            assert!(all.contains(&kind.section()), "{} has no entry in the menu", kind.section());
        }
        let once: BTreeSet<&&str> = all.iter().collect();
        assert_eq!(once.len(), all.len(), "{all:?}");
    }

    #[test]
    fn a_slice_is_never_outside_the_list() {
        let rows: Vec<u32> = (0..250).collect();
        let cases = [(0, 1, 100), (1, 1, 100), (3, 3, 50), (99, 3, 50), (usize::MAX, 3, 50)];
        for (wanted, number, length) in cases {
            let slice = Slice::new(wanted, rows.len(), 100);
            assert_eq!((slice.number, slice.of(&rows).len()), (number, length), "page {wanted}");
        }
        let empty = Slice::new(1, 0, 100);
        assert_eq!((empty.pages, empty.previous(), empty.next()), (1, None, None));
        assert!(empty.of::<u32>(&[]).is_empty());
    }
}
