//! The store of files that images boot or write to disks: what arrives is copied to a temporary
//! file, told by its bytes, and moved to a path made of its digest. An image names that path.
//!
//! The bytes are below the files directory of each server; what is recorded of them is in the
//! database.

mod convert;
mod detect;
mod download;
mod examine;
mod facts;
mod names;
mod receive;
mod record;
mod store;

pub use convert::ConvertError;
pub use download::{Download, DownloadError, is_url, shown_url};
pub use examine::{Depth, ExamineError, Examined, examine_file, examine_url};
pub use names::{FileRole, RoleRefusal};
pub use receive::{Expected, Progress, ReceiveError, receive_file, receive_stream};
pub use record::{
    AddError, FileState, Provenance, UnusedFile, discard, file_fault, keep, remove_unused, unused,
    verify,
};
pub use store::{ArrivedFile, ImageStore, ReceivedFile, StoreError};
