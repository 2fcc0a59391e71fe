//! sshd's configuration. An sshd that was restarted has read it.

use lab::Suite;

use crate::case::{CASE, Case, Proof, WITH_JOB};

/// How a row ends whose sshd has read a file that was changed.
const RESTART: &str = "put_back; restart_sshd";
/// The suites whose sshd penalizes the source of refused logins: OpenSSH 9.8 and later.
const PENALIZING: &[Suite] = &[Suite::Trixie, Suite::Forky];

pub const CASES: &[Case] = &[
    Case {
        name: "UsePAM no",
        breaks: "keep /etc/ssh/sshd_config; sed -i 's/^UsePAM yes/UsePAM no/' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &["SA300 failure /etc/ssh/sshd_config:1"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "UsePAM is commented out",
        breaks: "keep /etc/ssh/sshd_config; sed -i 's/^UsePAM yes/#&/' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &["SA300 failure /etc/ssh/sshd_config"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "an included file turns PAM off",
        breaks: "keep /etc/ssh/sshd_config; mkdir -p /etc/ssh/sshd_config.d
            printf '# Hardening\\nUsePAM no\\n' >/etc/ssh/sshd_config.d/10-hardening.conf
            sed -i '1i Include /etc/ssh/sshd_config.d/*.conf' /etc/ssh/sshd_config; restart_sshd",
        restores: "rm /etc/ssh/sshd_config.d/10-hardening.conf; put_back; restart_sshd",
        found: &["SA300 failure /etc/ssh/sshd_config.d/10-hardening.conf:2"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "UsePAM yes in a file whose name does not end in .conf",
        breaks: "keep /etc/ssh/sshd_config; mkdir -p /etc/ssh/sshd_config.d
            echo 'UsePAM yes' >/etc/ssh/sshd_config.d/10-pam
            sed -i '1s,.*,Include /etc/ssh/sshd_config.d/*.conf,' /etc/ssh/sshd_config; restart_sshd",
        restores: "rm /etc/ssh/sshd_config.d/10-pam; put_back; restart_sshd",
        found: &[
            "SA300 failure /etc/ssh/sshd_config",
            "SA306 warning /etc/ssh/sshd_config.d/10-pam:1",
        ],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "UsePAM yes below a Match line",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config
            printf 'MaxSessions 100\\nMatch User alice\\n  X11Forwarding no\\nUsePAM yes\\n' >/etc/ssh/sshd_config
            sshd_refuses",
        restores: RESTART,
        found: &["SA301 failure /etc/ssh/sshd_config:4"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a keyword that sshd does not know",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config; sed -i '4i X11Forwading no' /etc/ssh/sshd_config; sshd_refuses",
        restores: RESTART,
        found: &["SA302 failure /etc/ssh/sshd_config:4"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a value that sshd does not know",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config; sed -i '1s/yes/true/' /etc/ssh/sshd_config; sshd_refuses",
        restores: RESTART,
        found: &[
            "SA300 failure /etc/ssh/sshd_config",
            "SA303 failure /etc/ssh/sshd_config:1",
        ],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a second sshd whose options turn PAM off",
        breaks: "/usr/sbin/sshd -p 2222 -o UsePAM=no -o PidFile=/run/second.pid; until_true listens 08AE",
        restores: "pid=$(cat /run/second.pid); kill $pid; until_true is_gone $pid",
        found: &["SA300 failure /proc/*"],
        proof: Proof::GetsInAt("bob", 2222),
        ..CASE
    },
    Case {
        name: "a second sshd with a file without UsePAM",
        breaks: "printf 'Port 2222\\nPidFile /run/second.pid\\n' >/etc/ssh/sshd_config.admin
            /usr/sbin/sshd -f /etc/ssh/sshd_config.admin; until_true listens 08AE",
        restores: "pid=$(cat /run/second.pid); kill $pid; until_true is_gone $pid; rm /etc/ssh/sshd_config.admin",
        found: &["SA300 failure /etc/ssh/sshd_config.admin"],
        proof: Proof::GetsInAt("bob", 2222),
        ..CASE
    },
    Case {
        name: "an sshd in a container",
        // It opens its files anew: what stands here for a container shares them.
        breaks: "unshare --pid --fork --kill-child /usr/sbin/sshd -D -p 2222 -o PidFile=none >/dev/null 2>&1 &
            echo $! >/run/container; until_true listens 08AE",
        restores: "pid=$(cat /run/container); kill -KILL $pid; until_true eval '! listens 08AE'",
        found: &["SA361 note"],
        proof: Proof::StillOut("bob"),
        ..CASE
    },
    Case {
        name: "a service without a file",
        suites: &[Suite::Trixie, Suite::Forky],
        breaks: "keep /etc/ssh/sshd_config; sed -i '4i PAMServiceName sshd-compute' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &[
            "SA207 warning /etc/pam.d/sshd-compute",
            "SA220 failure /etc/pam.d/sshd-compute",
            "SA350 failure /etc/ssh/sshd_config:4",
        ],
        // Debian's file for other services knows no jobs.
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "PAMServiceName in the file of an sshd that is too old for it",
        suites: &[Suite::Bullseye, Suite::Bookworm],
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config; sed -i '4i PAMServiceName sshd-compute' /etc/ssh/sshd_config; sshd_refuses",
        restores: RESTART,
        found: &["SA302 failure /etc/ssh/sshd_config:4"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a key and keyboard-interactive, no session line, action_adopt_failure=deny",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config
            sed -i '3s/.*/ChallengeResponseAuthentication yes\\
AuthenticationMethods publickey,keyboard-interactive/' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &["SA310 failure /etc/ssh/sshd_config:4"],
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a key and keyboard-interactive, no session line, action_adopt_failure=allow",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config /etc/pam.d/sshd
            sed -i s/action_adopt_failure=deny/action_adopt_failure=allow/ /etc/pam.d/sshd
            sed -i '3s/.*/ChallengeResponseAuthentication yes\\
AuthenticationMethods publickey,keyboard-interactive/' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &[
            "SA110 warning /etc/pam.d/sshd:4",
            "SA310 failure /etc/ssh/sshd_config:4",
        ],
        proof: Proof::NotInJob("alice"),
        ..CASE
    },
    Case {
        name: "a key and keyboard-interactive, and another line ends the session stack first",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config /etc/pam.d/sshd
            sed -i s/action_adopt_failure=deny/action_adopt_failure=allow/ /etc/pam.d/sshd
            sed -i '8s/required/sufficient/' /etc/pam.d/sshd
            sed -n '4s/account/session/p' /etc/pam.d/sshd >>/etc/pam.d/sshd
            sed -i '3s/.*/ChallengeResponseAuthentication yes\\
AuthenticationMethods publickey,keyboard-interactive/' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &[
            "SA110 warning /etc/pam.d/sshd:4",
            "SA254 warning /etc/pam.d/sshd:8",
            "SA310 failure /etc/ssh/sshd_config:4",
        ],
        proof: Proof::NotInJob("alice"),
        ..CASE
    },
    Case {
        name: "a key and keyboard-interactive, and a session line: sound",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config /etc/pam.d/sshd
            sed -n '4s/account/session/p' /etc/pam.d/sshd >>/etc/pam.d/sshd
            sed -i '3s/.*/ChallengeResponseAuthentication yes\\
AuthenticationMethods publickey,keyboard-interactive/' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "keyboard-interactive beside other methods, no session line, action_adopt_failure=allow",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config /etc/pam.d/sshd
            sed -i s/action_adopt_failure=deny/action_adopt_failure=allow/ /etc/pam.d/sshd
            sed -i '3s/.*/\\n\\nChallengeResponseAuthentication yes/' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &[
            "SA110 warning /etc/pam.d/sshd:4",
            "SA310 warning /etc/ssh/sshd_config:5",
        ],
        proof: Proof::NotInJobByKeyboard("alice"),
        ..CASE
    },
    Case {
        name: "AuthenticationMethods asks for a method that is off",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config
            sed -i '3s/.*/ChallengeResponseAuthentication no\\
AuthenticationMethods publickey,keyboard-interactive/' /etc/ssh/sshd_config; sshd_refuses",
        restores: RESTART,
        found: &["SA311 failure /etc/ssh/sshd_config:4"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "AuthenticationMethods of a Match block asks for a method that is off",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config
            printf 'UsePAM yes\\nPasswordAuthentication no\\nMaxSessions 100\\n' >/etc/ssh/sshd_config
            grep ^PerSource /run/kept/etc/ssh/sshd_config >>/etc/ssh/sshd_config || :
            printf 'ChallengeResponseAuthentication no\\nMatch User *,!root\\n' >>/etc/ssh/sshd_config
            echo 'AuthenticationMethods publickey,password' >>/etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &["SA311 failure /etc/ssh/sshd_config:*"],
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
    Case {
        name: "good: a Match LocalPort line",
        breaks: "keep /etc/ssh/sshd_config
            printf 'Match LocalPort 2222\\nX11Forwarding no\\n' >>/etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        proof: Proof::Works,
        ..WITH_JOB
    },
    Case {
        name: "AcceptEnv SLURM_*",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config; sed -i '4i AcceptEnv SLURM_*' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &["SA320 warning /etc/ssh/sshd_config:4"],
        proof: Proof::SetsVariable("alice"),
        ..CASE
    },
    Case {
        name: "AllowUsers without the users of jobs",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config; sed -i '4i AllowUsers root bob' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &["SA341 note /etc/ssh/sshd_config:4"],
        proof: Proof::KeptOut("alice"),
        ..CASE
    },
    Case {
        name: "PermitRootLogin no",
        breaks: "keep /etc/ssh/sshd_config; sed -i '/^PermitRoot/s/ .*/ no/' /etc/ssh/sshd_config; restart_sshd",
        restores: RESTART,
        found: &["SA340 note /etc/ssh/sshd_config:4"],
        proof: Proof::RootKeptOut,
        ..CASE
    },
    Case {
        name: "UsePAM was no when sshd read the file",
        breaks: "keep /etc/ssh/sshd_config; sed -i 's/^UsePAM yes/UsePAM no/' /etc/ssh/sshd_config; restart_sshd
            sed -i 's/^UsePAM no/UsePAM yes/' /etc/ssh/sshd_config; touch -d '1 minute' /etc/ssh/sshd_config",
        restores: RESTART,
        found: &["SA308 warning /etc/ssh/sshd_config"],
        proof: Proof::GetsIn("bob"),
        ..CASE
    },
    Case {
        name: "others than root can write sshd_config",
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config; chmod 666 /etc/ssh/sshd_config",
        found: &["SA305 failure /etc/ssh/sshd_config"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "four refused logins of one user shut out a user with a job, and root",
        suites: PENALIZING,
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config; sed -i /^PerSourcePenalties/d /etc/ssh/sshd_config; restart_sshd",
        // At once: a penalty of 5 s each counts from 15 s on, and gets less all the time.
        then: "refused carol & first=$!; refused carol & second=$!; refused carol & third=$!; refused carol
            wait $first; wait $second; wait $third",
        restores: RESTART,
        found: &["SA333 warning /etc/ssh/sshd_config"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "one refused login shuts out a user with a job, and root",
        suites: PENALIZING,
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config
            sed -i 's/^PerSourcePenalties .*/PerSourcePenalties authfail:1h/' /etc/ssh/sshd_config; restart_sshd",
        then: "refused carol",
        restores: RESTART,
        found: &["SA333 failure /etc/ssh/sshd_config:*"],
        proof: Proof::EveryoneKeptOut("alice"),
        ..CASE
    },
    Case {
        name: "a login that ends with its job is no refused login",
        suites: PENALIZING,
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config
            sed -i 's/^PerSourcePenalties .*/PerSourcePenalties crash:1h authfail:1h/' /etc/ssh/sshd_config; restart_sshd
            as_user alice ssh node1 exec sleep 1000 >/dev/null 2>&1 &
            until_true pgrep -fx 'sleep 1000'; scancel $JOB; wait $! || :; until_true test ! -e $SOCKET
            job=$(as_user alice sbatch --parsable --chdir=/tmp --output=/dev/null --wrap='exec sleep 100000')
            until_true test -S /var/spool/slurmd/node1_$job.4294967292",
        restores: RESTART,
        found: &["SA333 failure /etc/ssh/sshd_config:*"],
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
    Case {
        name: "refused logins cost nothing, or the address is exempt: sound",
        suites: PENALIZING,
        jobs: &["alice"],
        breaks: "keep /etc/ssh/sshd_config
            sed -i 's/^PerSourcePenalties .*/PerSourcePenalties authfail:0/' /etc/ssh/sshd_config; restart_sshd
            for turn in 1 2 3 4 5; do refused carol; done; as_user alice ssh node1 true
            sed -i 's|^PerSourcePenalties .*|PerSourcePenaltyExemptList 10.88.0.0/16,fd88::/64|' /etc/ssh/sshd_config
            restart_sshd",
        then: "for turn in 1 2 3 4 5; do refused carol; done",
        restores: RESTART,
        proof: Proof::StillInJob("alice"),
        ..CASE
    },
];
