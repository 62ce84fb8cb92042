//! The domain core: profile and host become links, checks and files. Pure.
