//! NetBox, the inventory that many sites have already: its objects as types, and the connection to its
//! API. Pure, but for the connection (`service`). What its objects become here says `import::netbox`; what
//! is written there, `push`.

pub(crate) mod push;
pub(crate) mod records;
pub(crate) mod service;
