//! Every route: `machine` for booting hosts, `ui` for people.
