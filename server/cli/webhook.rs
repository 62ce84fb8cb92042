//! `rackstrap webhook`.

use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use serde::Serialize;

use crate::cli::context::Context;
use crate::inventory::now_ms;
use crate::webhooks::{Attempt, Deliverer, Message, shown_receiver};

/// `rackstrap webhook`.
#[derive(Debug, Subcommand)]
pub(crate) enum WebhookCommand {
    /// Send a test message to every receiver and print what it answers
    Test,
}

/// What a receiver made of the test message.
#[derive(Debug, Serialize)]
struct Tested {
    /// Its scheme, host and port.
    receiver: String,
    /// Whether it took the message.
    accepted: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl WebhookCommand {
    /// Sends a test message to each receiver, from here: what a firewall between the server and the
    /// receiver does is seen only on the server.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let Self::Test = self;
        let config = &context.config;
        if config.webhook_urls.is_empty() {
            bail!("no receiver is configured: set webhook_urls in the configuration");
        }
        let deliverer = Deliverer::new()?;
        let message = Message::test(now_ms());
        let mut tested = Vec::new();
        for url in &config.webhook_urls {
            let url = url.to_string();
            let secret = config.webhook_secret.as_ref();
            let reason = match deliverer.send(&url, &message.id, &message.body, secret).await {
                Attempt::Delivered => None,
                Attempt::Gone => Some("it answers 410 Gone".to_owned()),
                Attempt::Failed { reason, .. } => Some(reason),
            };
            let (receiver, accepted) = (shown_receiver(&url), reason.is_none());
            tested.push(Tested { receiver, accepted, reason });
        }
        context.print(&tested, || {
            let line = |Tested { receiver, reason, .. }: &Tested| match reason {
                None => format!("{receiver}: accepted\n"),
                Some(reason) => format!("{receiver}: not accepted: {reason}\n"),
            };
            let mut text: String = tested.iter().map(line).collect();
            if config.webhook_secret.is_none() {
                text.push_str("The message is not signed: set webhook_secret.\n");
            }
            text
        })?;
        let all = tested.iter().all(|tested| tested.accepted);
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
