//! The module's options.
