//! `rackstrap rules`: the rules of the checks.

use std::process::ExitCode;

use clap::Args;

use crate::cli::context::Context;
use crate::network::{RULES, Rule};

/// `rackstrap rules`.
#[derive(Debug, Args)]
pub(super) struct Rules {
    /// Only this rule, such as N150, with its reason and its fix
    id: Option<String>,
}

impl Rules {
    /// Prints the rules.
    pub(super) fn run(&self, context: &Context) -> anyhow::Result<ExitCode> {
        let Some(id) = &self.id else {
            context.print(&RULES, || RULES.iter().map(line).collect())?;
            return Ok(ExitCode::SUCCESS);
        };
        let Some(rule) = Rule::find(&id.to_ascii_uppercase()) else {
            anyhow::bail!("rule \"{id}\" does not exist; rackstrap rules lists all");
        };
        context.print(rule, || format!("{}Why: {}\nFix: {}\n", line(rule), rule.why, rule.fix))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn line(rule: &Rule) -> String {
    format!("{}  {:16}  {}\n", rule.id, rule.severity_text(), rule.title)
}
