//! What an image needs to get onto a disk, as decisions: which disk, what is refused, what the
//! partitions are, in which order the firmware boots. Pure; `agent` carries it out on the host,
//! `http` hands out the plan.

pub(crate) mod boot_order;
pub(crate) mod disk;
pub(crate) mod erase;
pub(crate) mod image_format;
pub(crate) mod mirror;
pub(crate) mod network_format;
pub(crate) mod partitions;
mod plan;
pub(crate) mod removable;
pub(crate) mod write;

pub(crate) use crate::lifecycle::event::StepReport;
pub(crate) use plan::{ImageSource, NOCLOUD_SEED, Plan, PlanFile, PlanNetwork};
