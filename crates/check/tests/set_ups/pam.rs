//! PAM stacks.
