//! What a format cannot say of a host, by name: it is refused, never dropped. Pure.

/// Features that would be lost, each once, as `LINK: FEATURE`.
#[derive(Debug, Default)]
pub(super) struct Losses(Vec<String>);

impl Losses {
    /// Notes that the format has no words for `feature` of `link`, if it is used.
    pub(super) fn add_if(&mut self, used: bool, link: &str, feature: &str) {
        let text = format!("{link}: {feature}");
        if used && !self.0.contains(&text) {
            self.0.push(text);
        }
    }

    /// The features, if any would be lost.
    pub(super) fn into_result(self) -> Result<(), Vec<String>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
