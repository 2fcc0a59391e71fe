//! How the shared object is linked.

#![allow(
    clippy::print_stdout,
    reason = "it is how a build script talks to cargo"
)]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // nodelete: libpam unloads a module with every pam_end(3), but Rust's std may have registered
    // thread-local destructors and a panic hook in the host. relro, now: no table of function
    // pointers is writable while sshd runs; dlopen(3) with RTLD_NOW binds them at once anyway.
    for flag in ["nodelete", "relro", "now"] {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,{flag}");
    }
}
