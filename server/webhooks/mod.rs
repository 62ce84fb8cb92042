//! Webhooks: receivers outside learn by HTTP that a host is up, stuck, failed or installed, and of
//! warnings. Messages wait in the database until a receiver has taken them.

mod deliver;
mod message;

pub(crate) use deliver::{Attempt, Deliverer, run, shown_receiver};
pub(crate) use message::Message;
