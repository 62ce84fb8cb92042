//! Starts every service and stops them all together.
