//! sshd's configuration.
