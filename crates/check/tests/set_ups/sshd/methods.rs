use super::{MAIN, debian_and, debian_without_session};
use crate::tree::{Case, Tree, expect};

/// Debian's base with the account line alone, keyboard-interactive and these lines.
fn with_keyboard(lines: &str) -> Tree {
    let tree = debian_without_session();
    tree.replace(
        MAIN,
        "KbdInteractiveAuthentication no",
        "KbdInteractiveAuthentication yes",
    );
    tree.append(MAIN, lines);
    tree
}

#[test]
fn keyboard_interactive_beside_other_methods() {
    expect(&[
        Case {
            name: "it is on",
            make: || with_keyboard(""),
            found: &[
                "SA250 failure /etc/pam.d/common-session:6",
                "SA310 warning /etc/ssh/sshd_config:2",
            ],
        },
        Case {
            name: "it is on by default",
            make: || {
                let tree = debian_without_session();
                tree.replace(MAIN, "KbdInteractiveAuthentication no\n", "");
                tree
            },
            found: &[
                "SA250 failure /etc/pam.d/common-session:6",
                "SA310 warning /etc/ssh/sshd_config",
            ],
        },
        Case {
            name: "one of two lists has it",
            make: || {
                with_keyboard("AuthenticationMethods publickey password,keyboard-interactive\n")
            },
            found: &[
                "SA250 failure /etc/pam.d/common-session:6",
                "SA310 warning /etc/ssh/sshd_config:2",
            ],
        },
        Case {
            name: "for one network",
            make: || {
                let tree = debian_without_session();
                tree.append(
                    MAIN,
                    "Match Address 192.0.2.0/24\n  KbdInteractiveAuthentication yes\n",
                );
                tree
            },
            found: &[
                "SA250 failure /etc/pam.d/common-session:6",
                "SA310 warning /etc/ssh/sshd_config:9",
            ],
        },
    ]);
}

#[test]
fn keyboard_interactive_as_the_way_in() {
    expect(&[
        Case {
            name: "a key and a second factor",
            make: || with_keyboard("AuthenticationMethods publickey,keyboard-interactive:pam\n"),
            found: &[
                "SA250 failure /etc/pam.d/common-session:6",
                "SA310 failure /etc/ssh/sshd_config:8",
            ],
        },
        Case {
            name: "the same for all but one network",
            make: || {
                let line = "AuthenticationMethods publickey,keyboard-interactive";
                with_keyboard(&format!(
                    "AuthenticationMethods publickey\nMatch Address *,!192.0.2.0/24\n  {line}\n"
                ))
            },
            found: &[
                "SA250 failure /etc/pam.d/common-session:6",
                "SA310 failure /etc/ssh/sshd_config:10",
            ],
        },
        Case {
            name: "Duo without passwords",
            make: || {
                let tree = with_keyboard("PasswordAuthentication no\n");
                tree.replace(
                    "/etc/pam.d/sshd",
                    "@include common-auth",
                    "auth required pam_duo.so",
                );
                tree.write("/usr/lib/x86_64-linux-gnu/security/pam_duo.so", "\x7fELF");
                tree
            },
            found: &[
                "SA250 failure /etc/pam.d/common-session:6",
                "SA310 failure /etc/ssh/sshd_config:2",
            ],
        },
        Case {
            name: "neither passwords nor keys",
            make: || with_keyboard("PasswordAuthentication no\nPubkeyAuthentication no\n"),
            found: &[
                "SA250 failure /etc/pam.d/common-session:6",
                "SA310 failure /etc/ssh/sshd_config:2",
            ],
        },
    ]);
}

/// A second factor, with a session line that has this control and comes after another line.
fn with_session(control: &str, before: &str) -> Tree {
    let tree = debian_and("AuthenticationMethods publickey,keyboard-interactive\n");
    tree.replace(
        MAIN,
        "KbdInteractiveAuthentication no",
        "KbdInteractiveAuthentication yes",
    );
    let line = "session    required     pam_slurm_adopt.so";
    let new = format!("{before}session    {control}     pam_slurm_adopt.so");
    tree.replace("/etc/pam.d/sshd", line, &new);
    tree
}

#[test]
fn a_session_line_that_the_module_cannot_rely_on() {
    expect(&[
        Case {
            name: "a sufficient line before it",
            make: || with_session("required", "session sufficient pam_permit.so\n"),
            found: &[
                "SA254 failure /etc/pam.d/sshd:16",
                "SA310 failure /etc/ssh/sshd_config:8",
            ],
        },
        Case {
            name: "an optional session line",
            make: || with_session("optional", ""),
            found: &[
                "SA255 warning /etc/pam.d/sshd:16",
                "SA310 failure /etc/ssh/sshd_config:8",
            ],
        },
        Case {
            name: "a required one behind a required line",
            make: || with_session("required", "session required pam_permit.so\n"),
            found: &[],
        },
    ]);
}

#[test]
fn a_method_is_asked_for_and_off() {
    expect(&[
        Case {
            name: "keyboard-interactive",
            make: || debian_and("AuthenticationMethods publickey,keyboard-interactive\n"),
            found: &["SA311 failure /etc/ssh/sshd_config:8"],
        },
        Case {
            name: "password, in a Match block",
            make: || {
                debian_and(
                    "PasswordAuthentication no\nMatch User alice\nAuthenticationMethods publickey,password\n",
                )
            },
            found: &["SA311 failure /etc/ssh/sshd_config:10"],
        },
    ]);
}
