//! How the shared object is linked.

#![allow(
    clippy::print_stdout,
    reason = "it is how a build script talks to cargo"
)]

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=order.ld");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    // nodelete: libpam unloads a module with every pam_end(3), but Rust's std may have registered
    // thread-local destructors and a panic hook in the host. relro, now: no table of function
    // pointers is writable while sshd runs; dlopen(3) with RTLD_NOW binds them at once anyway.
    for flag in ["nodelete", "relro", "now"] {
        println!("cargo::rustc-link-arg-cdylib=-Wl,-z,{flag}");
    }
    // zig's linker, LLVM's, takes a script for what the script names; another might take it for all.
    let linker = env::var("RUSTC_LINKER").unwrap_or_default();
    if linker.contains("zigcc") {
        let dir = env::var("CARGO_MANIFEST_DIR").expect("cargo sets it");
        println!("cargo::rustc-link-arg-cdylib=-T{dir}/order.ld");
    }
}
