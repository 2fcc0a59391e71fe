//! Who is kept out besides users without a job.

use crate::pam::{ACCOUNT, SSHD, account};
use crate::tree::{Case, Tree, expect};

#[test]
fn root_kept_out_is_found() {
    expect(&[
        Case {
            name: "nothing but ours and pam_nologin",
            make: || {
                let tree = Tree::debian();
                tree.replace(SSHD, "@include common-account\n", "\n");
                tree
            },
            found: &["SA235 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "brackets without ignore=ignore: the module ignores root",
            make: || {
                account(
                    Tree::debian(),
                    &ACCOUNT
                        .trim_end()
                        .replace("required", "[success=ok default=bad]"),
                )
            },
            found: &["SA235 failure /etc/pam.d/sshd:3"],
        },
        Case {
            name: "the same, behind a list that does not name root",
            make: || {
                let list =
                    "account sufficient pam_listfile.so item=user sense=allow file=/etc/admins";
                let tree = account(Tree::debian(), &format!("{list}\n{}", ACCOUNT.trim_end()));
                tree.write("/etc/admins", "alice\n");
                tree.replace(SSHD, "@include common-account\n", "\n");
                tree
            },
            found: &[
                "SA226 note /etc/pam.d/sshd:3",
                "SA235 failure /etc/pam.d/sshd:4",
            ],
        },
        Case {
            name: "pam_access without root",
            make: || {
                let tree = account(
                    Tree::debian(),
                    &format!("{ACCOUNT}account required pam_access.so"),
                );
                tree.write("/etc/security/access.conf", "-:root:ALL\n");
                tree
            },
            found: &["SA236 note /etc/pam.d/sshd:4"],
        },
    ]);
}

#[test]
fn a_line_that_keeps_out_all_but_some_is_found() {
    let with = |lines: &str, rules: &str| {
        let tree = account(Tree::debian(), lines);
        tree.write("/etc/security/access.conf", rules);
        tree.found()
    };
    let required = format!("{ACCOUNT}account required pam_access.so");
    // Everybody, also who has a job.
    assert_eq!(
        with(&required, "+:root:ALL\n-:ALL:ALL\n"),
        ["SA203 failure /etc/pam.d/sshd:4"]
    );
    assert_eq!(
        with(&required, "+:root (slurmusers):ALL\n-:ALL:ALL\n"),
        ["SA238 note /etc/pam.d/sshd:4"]
    );
    // No user of the cluster.
    assert_eq!(
        with(&required, "+:root wheel:ALL\n+:(sudo):ALL\n-:ALL:ALL\n"),
        ["SA238 warning /etc/pam.d/sshd:4"]
    );
    let bypassed = format!(
        "account required pam_access.so\naccount sufficient pam_unix.so\n{}",
        ACCOUNT.trim_end()
    );
    assert_eq!(
        with(&bypassed, "+:root (slurmusers):ALL\n-:ALL:ALL\n"),
        [
            "SA223 failure /etc/pam.d/sshd:4",
            "SA238 note /etc/pam.d/sshd:3"
        ]
    );
}
