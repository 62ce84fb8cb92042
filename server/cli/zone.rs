//! `rackstrap zone`: the addresses of hosts as a zone file (RFC 1035 section 5).

use std::fmt::Write;
use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use crate::cli::context::{Context, print};
use crate::model::{Zone as ZoneOfHosts, absolute_name};

/// `rackstrap zone`.
#[derive(Debug, Args)]
pub(crate) struct Zone {
    /// Zone, such as example.net, 77.10.in-addr.arpa or 8.b.d.0.1.0.0.2.ip6.arpa
    origin: String,
    /// Name server of the zone (can be repeated)
    #[arg(long, value_name = "NAME", required_unless_present = "records")]
    ns: Vec<String>,
    /// Domain of the hosts, for a reverse zone
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Seconds for which others may keep a record
    #[arg(long, value_name = "SECONDS", default_value = "300")]
    ttl: u32,
    /// Leave out SOA and NS records: for $INCLUDE in a zone file of yours
    #[arg(long)]
    records: bool,
}

impl Zone {
    /// Prints the zone file.
    pub(crate) async fn run(self, context: Context) -> anyhow::Result<ExitCode> {
        let snapshot = context.read_inventory().await?.snapshot();
        let zone = ZoneOfHosts::new(&self.origin);
        let origin = zone.name();
        if zone.is_reverse() && self.domain.is_none() {
            bail!("a reverse zone needs the domain of the hosts: --domain NAME");
        }
        let mut text = format!("$ORIGIN {origin}\n$TTL {}\n", self.ttl);
        if !self.records {
            let first = absolute_name(&self.ns[0]);
            // A serial number has 32 bits; others compare it by RFC 1982.
            let serial = snapshot.revision.cast_unsigned() as u32;
            let ttl = self.ttl;
            writeln!(text, "@ SOA {first} hostmaster.{origin} {serial} 3600 900 1209600 {ttl}")?;
            for name in &self.ns {
                writeln!(text, "@ NS {}", absolute_name(name))?;
            }
        }
        for record in zone.records(&snapshot.site, self.domain.as_deref().unwrap_or_default()) {
            writeln!(text, "{record}")?;
        }
        print(&text)?;
        Ok(ExitCode::SUCCESS)
    }
}
