//! Tests of the network room as a whole.

mod sweep;
