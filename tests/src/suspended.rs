//! Suspended jobs: shell scripts for a node or a machine, with cgroup v1 or v2.

/// Sets variables for the extern step of job `$1`: `stepd`, the PID of its slurmstepd; `sleeper`, the
/// process that holds the step, in some releases; `own`, the slurmstepd's cgroup.procs; `state`, the file
/// of the step's freezer, and its words `frozen` and `thawed`.
const STEP: &str = r#"
stepd=
for one in $(pgrep -f "^slurmstepd: \[$1\.extern\]"); do
    [ "$(cut -d ' ' -f 4 /proc/$one/stat)" = 1 ] && stepd=$one
done
sleeper=$(cut -d ' ' -f 1 /proc/$stepd/task/$stepd/children)
path=$(sed -n 's,^0::\(.*/step_extern\)/.*,\1,p' /proc/$stepd/cgroup)
if [ -n "$path" ]; then
    dir=/sys/fs/cgroup$path; own=$dir/slurm/cgroup.procs
    state=$dir/user/cgroup.freeze; frozen=1; thawed=0
else
    dir=/sys/fs/cgroup/freezer$(sed -n 's/.*:freezer://p' /proc/$stepd/cgroup); own=$dir/cgroup.procs
    state=$dir/step_extern/freezer.state; frozen=FROZEN; thawed=THAWED
fi
"#;

/// Relays between a login and the slurmstepd, in the latter's cgroup, and freezes the step at the moment
/// when it passes on the request to adopt. Arguments: the socket, the slurmstepd's own socket, the
/// freezer's file, the word to write.
const RELAY: &str = r#"
use strict; use Socket;
my ($socket, $real, $state, $word) = @ARGV;
$SIG{CHLD} = "IGNORE";
socket(my $listener, AF_UNIX, SOCK_STREAM, 0) or die $!;
bind($listener, sockaddr_un($socket)) or die $!;
chmod 0777, $socket; listen($listener, 32) or die $!;
while (accept(my $client, $listener)) {
    next if fork;
    close $listener;
    socket(my $stepd, AF_UNIX, SOCK_STREAM, 0) or die $!;
    connect($stepd, sockaddr_un($real)) or die $!;
    while (1) {
        my $ready = "";
        vec($ready, fileno $_, 1) = 1 for $client, $stepd;
        select($ready, undef, undef, undef);
        for my $pair ([$client, $stepd], [$stepd, $client]) {
            my ($from, $to) = @$pair;
            next unless vec($ready, fileno $from, 1);
            sysread($from, my $bytes, 4096) or exit;
            if ($from == $client and unpack("l", $bytes) == 22) {
                open(my $file, ">", $state) or die $!;
                syswrite($file, $word);
            }
            syswrite($to, $bytes);
        }
    }
}
"#;

/// Starts to suspend a job, and waits until its processes are stopped, if any of them shows that; two
/// seconds later it is frozen.
#[must_use]
pub fn begin(job: u32) -> String {
    format!(
        "set -- {job}; {STEP}
         scontrol suspend $1 >/dev/null 2>&1 &
         [ -z \"$sleeper\" ] || until grep -q ') T' /proc/$sleeper/stat; do sleep 0.01; done"
    )
}

/// Prints the path of the file with the state of its freezer.
#[must_use]
pub fn freezer(job: u32) -> String {
    format!("set -- {job}; {STEP} echo $state")
}

/// Waits until the job is frozen.
#[must_use]
pub fn frozen(job: u32) -> String {
    format!("set -- {job}; {STEP} until grep -q $frozen $state; do sleep 0.02; done")
}

/// Resumes the job.
#[must_use]
pub fn resume(job: u32) -> String {
    format!(
        "set -- {job}; {STEP} scontrol resume $1
         while grep -q $frozen $state; do sleep 0.02; done"
    )
}

/// Makes each request to adopt freeze the step.
#[must_use]
pub fn freeze_when_asked(job: u32) -> String {
    format!(
        "set -- {job}; {STEP}
         cd /var/spool/slurmd; socket=$(echo *_$1.4294967292)
         mv $socket real; printf %s '{RELAY}' >/run/relay.pl
         (echo $BASHPID >$own; exec perl /run/relay.pl $PWD/$socket $PWD/real $state $frozen) \
             </dev/null >/run/relay.out 2>&1 &
         echo $! >/run/relay.pid
         until [ -S $socket ]; do sleep 0.02; done"
    )
}

/// Thaws a step that was frozen by hand.
#[must_use]
pub fn thaw(job: u32) -> String {
    format!("set -- {job}; {STEP} echo $thawed >$state")
}

/// Undoes [`freeze_when_asked`].
#[must_use]
pub fn as_before(job: u32) -> String {
    format!(
        "kill $(cat /run/relay.pid); set -- {job}; {STEP}
         echo $thawed >$state
         cd /var/spool/slurmd; mv real *_$1.4294967292"
    )
}
