//! `rackstrap ca ...`: the CA that firmware trusts to boot by HTTPS.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _, stdout};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde_json::json;
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::authority;
use crate::cli::context::{Context, audit, print};
use crate::cli::tls_files;
use crate::config::Config;
use crate::lifecycle::audit::AuditAction;

/// `rackstrap ca`.
#[derive(Debug, Subcommand)]
pub(crate) enum CaCommand {
    /// Create the CA below the data directory
    Create(Create),
    /// Show the CA: its files, its fingerprint, and how long it is valid
    Show,
    /// Write the certificate of the CA to standard output, in the form that firmware takes
    Export(Export),
}

/// `rackstrap ca create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// Replace the CA that is there. Firmware that trusts it boots by HTTPS no longer, until it has
    /// the new one
    #[arg(long)]
    replace: bool,
}

/// `rackstrap ca export`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// Form of the certificate
    #[arg(long, value_enum, default_value = "pem")]
    format: Form,
}

/// How a certificate is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Text, for curl, Redfish and most setup screens
    Pem,
    /// Binary X.509, for setup screens that read .cer or .der files
    Der,
    /// EFI_SIGNATURE_LIST, for QEMU (-fw_cfg name=etc/edk2/https/cacerts,file=FILE) and the variable
    /// TlsCaCertificate
    Esl,
}

impl CaCommand {
    /// Does it.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        match self {
            Self::Create(Create { replace }) => create(&context, replace).await,
            Self::Show => show(&context),
            Self::Export(Export { format }) => export(&context, format),
        }
    }
}

async fn create(context: &Context, replace: bool) -> anyhow::Result<ExitCode> {
    let data_dir = &context.config.data_dir;
    let [certificate, key] = &authority::files(data_dir);
    if let Some(path) = [certificate, key].into_iter().find(|path| path.exists() && !replace) {
        bail!(
            "{} already exists; rackstrap ca show shows the CA, --replace makes another one, which \
             all firmware must be given",
            path.display()
        );
    }
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let [pem, key_pem] = &authority::create(name.trim())?;
    let replaced = certificate.exists();
    tls_files::write(data_dir, [certificate, key], [pem, key_pem])?;
    let sha256 = fingerprint(&read(certificate)?);
    match context.read_inventory().await {
        Ok(inventory) => {
            audit(&inventory, AuditAction::AuthorityCreated { sha256, replaced }).await;
            inventory.database.close().await;
        }
        Err(error) => eprintln!("warning: the audit log does not have the new CA: {error:#}"),
    }
    show(context)
}

fn show(context: &Context) -> anyhow::Result<ExitCode> {
    let [path, key] = authority::files(&context.config.data_dir);
    let der = read(&path)?;
    let failed = |_| anyhow!("{} has no certificate (X.509)", path.display());
    let (_, parsed) = X509Certificate::from_der(&der).map_err(failed)?;
    let fingerprint = fingerprint(&der);
    let expires = jiff::Timestamp::from_second(parsed.validity().not_after.timestamp())?;
    let Config { machine_tls_listen, https_boot, .. } = &context.config;
    let value = json!({
        "certificate": path,
        "key": key,
        "subject": parsed.subject().to_string(),
        "sha256": fingerprint,
        "expires": expires.to_string(),
        "machine_tls_listen": machine_tls_listen,
        "https_boot": https_boot,
    });
    context.print(&value, || {
        let mut text = format!(
            "{}\n  certificate  {}\n  key          {}\n  sha256       {fingerprint}\n  expires      {expires}\n",
            parsed.subject(),
            path.display(),
            key.display(),
        );
        let next = match (machine_tls_listen, https_boot.is_empty()) {
            (None, _) => "set machine_tls_listen = \"[::]:443\" and https_boot = [\"NETWORK\"], give this CA to the firmware there (rackstrap ca export), and restart the server",
            (_, true) => "set https_boot = [\"NETWORK\"], to boot by HTTPS there; its firmware must trust this CA (rackstrap ca export)",
            _ => return text,
        };
        let _ = writeln!(text, "next: {next}");
        text
    })?;
    Ok(ExitCode::SUCCESS)
}

fn export(context: &Context, format: Form) -> anyhow::Result<ExitCode> {
    let [path, _] = authority::files(&context.config.data_dir);
    let der = read(&path)?;
    let binary = match format {
        Form::Pem => {
            print(&std::fs::read_to_string(&path)?)?;
            return Ok(ExitCode::SUCCESS);
        }
        Form::Der => der.to_vec(),
        Form::Esl => authority::signature_list(&der),
    };
    if stdout().is_terminal() {
        bail!("not written to a terminal, as it is binary: add > FILE");
    }
    stdout().write_all(&binary)?;
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> anyhow::Result<CertificateDer<'static>> {
    let pem = std::fs::read(path).with_context(|| {
        format!("cannot read {}; rackstrap ca create makes the CA", path.display())
    })?;
    CertificateDer::from_pem_slice(&pem)
        .map_err(|_| anyhow!("{} has no CERTIFICATE in PEM", path.display()))
}

/// As `openssl x509 -fingerprint -sha256` prints it.
fn fingerprint(der: &[u8]) -> String {
    let bytes: Vec<String> = Sha256::digest(der).iter().map(|byte| format!("{byte:02X}")).collect();
    bytes.join(":")
}
