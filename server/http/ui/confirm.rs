//! The page before what deletes or takes back: what it would change, and only then the button.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::error::Error;
use super::form::CheckedForm;
use super::overview::Messages;
use super::page::{Frame, Page};
use super::proposal::{ChangePreview, ProposalResult};
use super::session::Operator;

/// A question, with all that the answer depends on.
#[derive(Default)]
pub(super) struct Confirmation {
    /// The section of the navigation.
    pub section: &'static str,
    /// The pages above, outermost first.
    pub crumbs: Vec<Crumb>,
    /// The question, such as `Remove r1-n01?`.
    pub question: String,
    /// What happens, and whether it can be taken back.
    pub explanation: String,
    /// What the button says.
    pub action: &'static str,
    /// Where who does not want it goes.
    pub cancel: String,
    /// The fields that the form sends along, by name.
    pub hidden: Vec<(&'static str, String)>,
    /// A name that must be typed.
    pub typed: Option<TypedName>,
    /// Why it cannot be done.
    pub form_errors: Messages,
    /// What it would change.
    pub review: Option<ChangePreview>,
}

/// A link to a page above.
pub(super) struct Crumb {
    pub href: String,
    pub text: String,
}

/// A name that must be typed, and what is wrong with what was.
pub(super) struct TypedName {
    pub name: String,
    pub wrong: Option<String>,
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    frame: Frame,
    crumbs: Vec<Crumb>,
    question: String,
    explanation: String,
    action: &'static str,
    cancel: String,
    hidden: Vec<(&'static str, String)>,
    typed: Option<TypedName>,
    form_errors: Messages,
    review: Option<ChangePreview>,
}

impl ConfirmPage {
    /// Nothing to change, and nothing that may be changed, needs no button.
    fn can_go_on(&self) -> bool {
        match &self.review {
            Some(review) => !review.is_empty(),
            None => self.form_errors.is_empty(),
        }
    }
}

impl Confirmation {
    /// Takes the result of a dry run.
    pub(super) fn add(&mut self, result: ProposalResult) {
        match result {
            ProposalResult::Reviewed(review) => self.review = Some(review),
            ProposalResult::Refused(error) => self.form_errors.extend(Messages::of_refusal(&error)),
            ProposalResult::Saved(_) => {}
        }
    }

    /// The page.
    pub(super) async fn page(self, operator: &Operator) -> Result<Response, Error> {
        let is_typed_wrong = self.typed.as_ref().is_some_and(|typed| typed.wrong.is_some());
        let status = match (self.form_errors.is_empty(), is_typed_wrong) {
            (false, _) => StatusCode::CONFLICT,
            (true, true) => StatusCode::UNPROCESSABLE_ENTITY,
            (true, false) => StatusCode::OK,
        };
        let frame = operator.frame(self.section).await?;
        let Self { crumbs, question, explanation, action, cancel, hidden, typed, .. } = self;
        let Self { form_errors, review, .. } = self;
        let page = ConfirmPage {
            frame,
            crumbs,
            question,
            explanation,
            action,
            cancel,
            hidden,
            typed,
            form_errors,
            review,
        };
        Ok((status, Page(page)).into_response())
    }
}

impl Crumb {
    pub(super) fn new(href: impl Into<String>, text: impl Into<String>) -> Self {
        Self { href: href.into(), text: text.into() }
    }
}

/// Whether the form is that of the page with the question: a button elsewhere only asks it.
pub(super) fn is_confirmed(sent: &CheckedForm) -> bool {
    sent.fields.text("do") == "save"
}

/// The revision that was reviewed.
pub(super) fn reviewed_revision(sent: &CheckedForm) -> Option<i64> {
    sent.fields.text("base").parse().ok()
}
