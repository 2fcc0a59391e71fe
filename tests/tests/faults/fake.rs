//! A fake peer: a Perl script that plays a stepd, munged, slurmd or slurmd's SACK socket from a list
//! of moves. For bytes that the real ones never send, at the moment that a case is about.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::{Background, Node};
use tests::rpc::hex;

/// Plays one script a connection, in a process of its own.
///
/// An argument is a listener: where (a socket's path or a TCP port), who listens, how it is with
/// connecting, what is read before the script is chosen (by the message's type), and the scripts.
/// (With `owner` there is no script, but the one answer of a stepd that is asked whose it is.) Moves: `rN` reads N bytes, `p` a request to
/// adopt, `m` moves that process into a control group as of the job's extern step, `wHEX` writes, `dHEX` writes byte by byte, `h` says no more and keeps the
/// connection, `c` closes it, `x` resets it, `k` kills the process, `sN` stops it for N ms.
const PERL: &str = r#"
use strict; use Socket; setpgrp; $| = 1; $SIG{PIPE} = 'IGNORE'; $SIG{CHLD} = 'IGNORE'; my (@kept, %by); my $all = '';
my $v1 = '/sys/fs/cgroup/freezer'; my $v2 = '/sys/fs/cgroup/fake/job_7/step_extern';
sub put { my ($pid, $to) = @_; my $made = '';
  for (split m{/}, $to) { $made .= "$_/"; mkdir $made, 0755 }
  open(my $f, '>', "$to/cgroup.procs") or return; syswrite($f, $pid) }
put($$, "$v2/slurm") unless -d $v1;
sub take { my ($c, $n) = @_; my $b = '';
  while (length $b < $n) { sysread($c, $b, $n - length $b, length $b) or exit } $b }
sub play { my ($c, $at, $read, @scripts) = @_; my ($turn, $pid) = 0;
  if ($read eq 'munge') { my $h = take($c, 11); $turn = unpack('x5C', $h) == 2 ? 0 : 1; take($c, unpack('x7N', $h)) }
  if ($read eq 'sack') { my $h = take($c, 10); $turn = unpack('x6N', $h) == 64001 ? 0 : 1; take($c, unpack('x2N', $h) - 8) }
  if ($read eq 'slurm') { take($c, unpack('N', take($c, 4))) }
  for (split / /, $scripts[$turn]) {
    my ($move, $what) = /^(.)(.*)/;
    take($c, $what) if $move eq 'r';
    $pid = unpack('x4l', take($c, 8)) if $move eq 'p';
    if ($move eq 'm') { my ($job) = $at =~ /_(\d+)\./; put($pid, -d $v1 ? "$v1/fake/job_$job/step_extern" : "$v2/user") }
    syswrite($c, pack('H*', $what)) if $move eq 'w';
    if ($move eq 'd') { for (split //, pack('H*', $what)) { select undef, undef, undef, 0.002; syswrite($c, $_) } }
    if ($move eq 'h') { 1 while sysread($c, my $b, 4096); exit }
    exit if $move eq 'c';
    if ($move eq 'x') { setsockopt($c, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)); exit }
    kill 'KILL', $$ if $move eq 'k';
    if ($move eq 's') { my $me = $$; unless (fork) { select undef, undef, undef, $what / 1000; kill 'CONT', $me; exit } kill 'STOP', $$ }
  }
  1 while sysread($c, my $b, 4096);
}
for (@ARGV) {
  my ($at, $uid, $how, $read, @scripts) = split /:/;
  my $unix = $at =~ m{^/}; my $to = $unix ? sockaddr_un($at) : sockaddr_in($at, INADDR_ANY);
  if ($unix) { my $dir = $at =~ s{/[^/]*$}{}r; my $made = '';
    for (split m{/}, $dir) { $made .= "$_/"; mkdir $made, 0755 } }
  socket(my $l, $unix ? PF_UNIX : PF_INET, SOCK_STREAM, 0) or die $!;
  setsockopt($l, SOL_SOCKET, SO_REUSEADDR, 1) unless $unix;
  bind($l, $to) or die "$at: $!"; push @kept, $l;
  next if $how eq 'refuse';
  $> = $uid; listen($l, $how eq 'full' ? 0 : 128) or die $!; $> = 0;
  if ($how eq 'full') { for (1 .. 2) {
    socket(my $c, $unix ? PF_UNIX : PF_INET, SOCK_STREAM, 0) or die $!; push @kept, $c;
    local $SIG{ALRM} = sub {}; unless (my $pid = fork) { connect($c, $to); sleep 1000; exit } else { push @kept, $pid } } next }
  vec($all, fileno $l, 1) = 1; $by{fileno $l} = [$l, $at, $read, @scripts];
}
print "ready\n";
while (1) {
  select(my $ready = $all, undef, undef, undef);
  for my $fd (keys %by) {
    next unless vec($ready, $fd, 1); my ($l, @how) = @{$by{$fd}};
    accept(my $c, $l) or next;
    if ($how[1] eq 'owner') { sysread($c, my $b, 12); syswrite($c, pack('H*', substr $how[2], 1)); close $c; next }
    unless (fork) { play($c, @how); exit } close $c;
  }
}
"#;

/// How it is with connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Every connection is taken.
    Open,
    /// Nobody listens.
    Shut,
    /// The backlog is full, and nobody accepts.
    Full,
}

/// What is read before the script is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// Nothing: there is one script.
    Nothing,
    /// The question to a stepd whose it is; the one move is the answer. Without a process of its own.
    Owner,
    /// A message to munged; the first script is for one that is to be encoded, the second for decoding.
    Munge,
    /// A message to a SACK socket; the first script makes a token, the second verifies one.
    Sack,
    /// A message to slurmd.
    Slurm,
}

/// One who listens.
#[derive(Debug, Clone)]
pub struct Peer {
    /// A socket's path or a TCP port.
    pub at: String,
    /// As whom.
    pub uid: u32,
    /// How it is with connecting.
    pub door: Door,
    /// What is read first.
    pub reads: Reads,
    /// The moves.
    pub scripts: Vec<String>,
}

impl Peer {
    /// As root, with an open door.
    pub fn new(at: impl Into<String>, reads: Reads, scripts: Vec<String>) -> Self {
        Self {
            at: at.into(),
            uid: 0,
            door: Door::Open,
            reads,
            scripts,
        }
    }
}

/// Peers that run until this is dropped.
pub struct Fake {
    node: Node,
    running: Background,
}

impl Fake {
    /// Starts them as root.
    pub fn start(node: &Node, peers: &[Peer]) -> Result<Self> {
        let shell = ["/bin/sh", "-c", "ulimit -n 8192; exec \"$@\"", "sh"];
        let perl = ["perl", "-e", PERL];
        let mut argv: Vec<_> = [&shell[..], &perl].concat();
        let mut arguments = Vec::new();
        for it in peers {
            let door = match it.door {
                Door::Open => "open",
                Door::Shut => "refuse",
                Door::Full => "full",
            };
            let reads = match it.reads {
                Reads::Nothing => "",
                Reads::Owner => "owner",
                Reads::Munge => "munge",
                Reads::Sack => "sack",
                Reads::Slurm => "slurm",
            };
            let scripts = it.scripts.join(":");
            arguments.push(format!("{}:{}:{door}:{reads}:{scripts}", it.at, it.uid));
        }
        argv.extend(arguments.iter().map(String::as_str));
        let mut running = node.command(&argv).spawn()?;
        lab::poll::until_true("the fake peers", Duration::from_secs(10), || {
            ensure!(running.is_running()?, "they ended: {}", running.stderr()?);
            Ok(running.stdout()?.contains("ready"))
        })?;
        Ok(Self {
            node: node.clone(),
            running,
        })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        // All of its processes; what is left ends with the node.
        let group = format!("-{}", self.running.pid());
        let _ = self.node.run(&["kill", "-s", "KILL", "--", &group]);
    }
}

/// Writes these numbers as a stepd does.
pub fn ints(values: &[i32]) -> String {
    let bytes: Vec<u8> = values.iter().flat_map(|it| it.to_ne_bytes()).collect();
    format!("w{}", hex(&bytes))
}
