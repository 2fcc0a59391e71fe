//! systemd and users' service managers.
