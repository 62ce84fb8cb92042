//! The pure half of the TFTP server.

#[path = "../../server/tftp/exercise.rs"]
pub mod exercise;
#[path = "../../server/tftp/negotiate.rs"]
pub mod negotiate;
#[path = "../../server/tftp/packet.rs"]
pub mod packet;
#[path = "../../server/tftp/round_trip.rs"]
mod round_trip;
#[path = "../../server/tftp/transfer.rs"]
pub mod transfer;
