//! SELinux, AppArmor, the state directory, the kill switch.
