//! How full the pools of the networks are. Pure.

use ipnet::Ipv4Net;

use super::{SubnetPool, Table};
use crate::leases::fill::{Level, Usage};

impl SubnetPool {
    /// Takes what is not free of a pool in which nothing is leased yet as owned. An address of
    /// this server that comes later counts as in use.
    pub(super) fn count_owned(&mut self) {
        let (all, free) = self.pool.count();
        self.owned = all - free;
    }

    fn usage(&self) -> Usage {
        let (all, free) = self.pool.count();
        let of = all.saturating_sub(self.owned);
        Usage { used: of.saturating_sub(free), of }
    }
}

impl Table {
    /// How many of a network's dynamic addresses are in use.
    pub fn usage(&self, net: Ipv4Net) -> Usage {
        self.networks.get(&net.network()).map(SubnetPool::usage).unwrap_or_default()
    }

    /// How full a network's pool has become, if that is news: ask whenever an address was given
    /// or none was left. Costs the same however many addresses there are.
    pub fn fill_news(&mut self, net: Ipv4Net) -> Option<(Level, Usage)> {
        let usage = self.usage(net);
        let told = self.told.entry(net.network()).or_default();
        let before = std::mem::replace(told, told.after(usage));
        (*told > before).then_some((*told, usage))
    }
}
