//! Lines before ours that let people in.

use crate::pam::{ACCOUNT, account};
use crate::tree::{Case, Tree, expect};

/// Debian's tree with a line before ours.
fn before(line: &str) -> Tree {
    account(Tree::debian(), &format!("{line}\n{}", ACCOUNT.trim_end()))
}

/// The same with a file.
fn with_file(line: &str, file: &str, text: &str) -> Tree {
    let tree = before(line);
    tree.write(file, text);
    tree
}

const ACCESS: &str = "/etc/security/access.conf";

#[test]
fn a_sufficient_line_that_accepts_everyone_is_found() {
    expect(&[
        Case {
            name: "pam_unix",
            make: || before("account sufficient pam_unix.so"),
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "pam_sss in brackets",
            make: || before("account [success=done default=ignore] pam_sss.so"),
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a jump over ours",
            make: || before("account [success=1 default=ignore] pam_permit.so"),
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "su's lines, copied: sshd is root itself",
            make: || before("account sufficient pam_rootok.so"),
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "the same with pam_succeed_if",
            make: || before("account sufficient pam_succeed_if.so uid = 0 use_uid quiet"),
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a skip for those who are no administrators",
            make: || {
                before("account [default=1 success=ignore] pam_succeed_if.so user ingroup hpcadmin")
            },
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "ordinary uids",
            make: || before("account sufficient pam_succeed_if.so uid >= 1000 quiet"),
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "some ordinary uids",
            make: || before("account sufficient pam_succeed_if.so uid >= 5000 quiet"),
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "regular users",
            make: || before("account sufficient pam_usertype.so isregular"),
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
    ]);
}

#[test]
fn local_users_that_pass_are_found() {
    const INCLUDE: &str = "account    include      password-auth\n";
    let after_include = || {
        let tree = Tree::redhat();
        tree.replace("/etc/pam.d/sshd", ACCOUNT, "");
        tree.replace("/etc/pam.d/sshd", INCLUDE, &format!("{INCLUDE}{ACCOUNT}"));
        tree
    };
    assert_eq!(
        after_include().found(),
        [
            "SA224 failure /etc/pam.d/password-auth:11",
            "SA226 note /etc/pam.d/password-auth:12"
        ]
    );
    let without_users = after_include();
    without_users.replace(
        "/etc/passwd",
        "alice:x:2001:2001::/home/alice:/bin/bash\n",
        "",
    );
    assert_eq!(
        without_users.found(),
        [
            "SA224 warning /etc/pam.d/password-auth:11",
            "SA226 note /etc/pam.d/password-auth:12"
        ]
    );
    let at_the_end = Tree::redhat();
    at_the_end.replace("/etc/pam.d/sshd", ACCOUNT, "");
    at_the_end.append("/etc/pam.d/password-auth", ACCOUNT);
    assert_eq!(
        at_the_end.found(),
        [
            "SA224 failure /etc/pam.d/password-auth:11",
            "SA226 note /etc/pam.d/password-auth:12"
        ]
    );
    expect(&[Case {
        name: "a jump",
        make: || before("account [success=1 default=ignore] pam_localuser.so"),
        found: &["SA224 failure /etc/pam.d/sshd:3"],
    }]);
}

#[test]
fn pam_access_is_judged_by_its_rules() {
    expect(&[
        Case {
            name: "no file",
            make: || before("account sufficient pam_access.so"),
            found: &["SA225 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "Debian's file, all comments",
            make: || {
                let text = "# -:ALL EXCEPT root:tty1\n#-:ALL:ALL\n";
                with_file("account sufficient pam_access.so", ACCESS, text)
            },
            found: &["SA225 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "no last rule",
            make: || {
                with_file(
                    "account sufficient pam_access.so",
                    ACCESS,
                    "+:(hpcadmin):ALL\n",
                )
            },
            found: &["SA225 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a last rule without a newline, which pam_access skips",
            make: || {
                let text = "+:root (hpcadmin):ALL\n-:ALL:ALL";
                with_file("account sufficient pam_access.so", ACCESS, text)
            },
            found: &["SA225 failure /etc/pam.d/sshd:3"],
        },
    ]);
}

#[test]
fn pam_access_with_rules_for_some_is_judged() {
    expect(&[
        Case {
            name: "everyone before the last rule",
            make: || {
                let text = "+ : ALL : 10.0.0.0/8\n- : ALL : ALL\n";
                with_file("account sufficient pam_access.so", ACCESS, text)
            },
            found: &["SA225 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a file of its own with another separator",
            make: || {
                let line = "account [success=done default=ignore] pam_access.so \
                            accessfile=/etc/security/slurm.conf fieldsep=|";
                with_file(line, "/etc/security/slurm.conf", "+|ALL|ALL\n-|ALL|ALL\n")
            },
            found: &["SA225 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "administrators: a note",
            make: || {
                let text = "+:root (hpcadmin):ALL\n-:ALL:ALL\n";
                with_file("account sufficient pam_access.so", ACCESS, text)
            },
            found: &["SA226 note /etc/pam.d/sshd:3"],
        },
        Case {
            name: "administrators, by an exception",
            make: || {
                let text = "- : ALL EXCEPT root hpcadmin : ALL\n";
                with_file(
                    "account [success=1 default=ignore] pam_access.so",
                    ACCESS,
                    text,
                )
            },
            found: &["SA226 note /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a file that is not there: the module fails",
            make: || before("account sufficient pam_access.so accessfile=/etc/security/gone.conf"),
            found: &["SA239 warning /etc/pam.d/sshd:3"],
        },
    ]);
}

const LIST: &str = "/etc/ssh/allowed_users";
const ALLOW: &str = "account sufficient pam_listfile.so item=user sense=allow \
                     file=/etc/ssh/allowed_users onerr=fail";

#[test]
fn pam_listfile_is_judged_by_its_list() {
    expect(&[
        Case {
            name: "who is not in the list",
            make: || {
                let line = "account sufficient pam_listfile.so item=user sense=deny \
                            file=/etc/ssh/allowed_users onerr=fail";
                with_file(line, LIST, "mallory\n")
            },
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "no list, onerr=succeed",
            make: || {
                before(
                    "account sufficient pam_listfile.so item=user sense=allow file=/etc/gone onerr=succeed",
                )
            },
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "everyone from some hosts",
            make: || {
                let line = "account sufficient pam_listfile.so item=rhost sense=allow \
                            file=/etc/ssh/allowed_users onerr=fail";
                with_file(line, LIST, "login1\n")
            },
            found: &["SA223 failure /etc/pam.d/sshd:3"],
        },
    ]);
}

#[test]
fn administrators_in_a_list_are_a_note() {
    expect(&[
        Case {
            name: "administrators, in a list that a group can write",
            make: || {
                let tree = with_file(ALLOW, LIST, "root\nalice\n");
                tree.chmod(LIST, 0o664);
                tree
            },
            found: &[
                "SA226 note /etc/pam.d/sshd:3",
                "SA231 warning /etc/ssh/allowed_users",
            ],
        },
        Case {
            name: "administrators",
            make: || with_file(ALLOW, LIST, "alice\n"),
            found: &["SA226 note /etc/pam.d/sshd:3"],
        },
        Case {
            name: "root alone",
            make: || with_file(ALLOW, LIST, "root\n"),
            found: &[],
        },
        Case {
            name: "no list, onerr=fail",
            make: || before(ALLOW),
            found: &["SA239 warning /etc/pam.d/sshd:3"],
        },
    ]);
}

#[test]
fn administrators_and_system_accounts_are_a_note() {
    expect(&[
        Case {
            name: "a group",
            make: || {
                before(
                    "account [success=1 default=ignore] pam_succeed_if.so quiet user ingroup hpcadmin",
                )
            },
            found: &["SA226 note /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a group, the other way round",
            make: || {
                before(
                    "account [default=1 success=ignore] pam_succeed_if.so user notingroup hpcadmin",
                )
            },
            found: &["SA226 note /etc/pam.d/sshd:3"],
        },
        Case {
            name: "system accounts",
            make: || before("account sufficient pam_succeed_if.so uid < 1000 quiet"),
            found: &["SA226 note /etc/pam.d/sshd:3"],
        },
        Case {
            name: "pam_permit for system accounts alone",
            make: || {
                let lines = "account [default=1 success=ok ignore=ignore] pam_usertype.so issystem\n\
                             account sufficient pam_permit.so";
                before(lines)
            },
            found: &["SA226 note /etc/pam.d/sshd:4"],
        },
        Case {
            name: "wheel",
            make: || before("account sufficient pam_wheel.so"),
            found: &["SA226 note /etc/pam.d/sshd:3"],
        },
    ]);
}

#[test]
fn a_module_that_nobody_knows_is_a_warning() {
    expect(&[
        Case {
            name: "a script",
            make: || before("account sufficient pam_exec.so quiet /usr/local/sbin/is_admin"),
            found: &["SA227 warning /etc/pam.d/sshd:3"],
        },
        Case {
            name: "a module of the site's",
            make: || before("account [success=1 default=ignore] pam_oursite.so"),
            found: &["SA227 warning /etc/pam.d/sshd:3"],
        },
    ]);
}
