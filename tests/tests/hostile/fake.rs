//! A fake slurmstepd: a Perl script of any user's, that says what it is told to. For what a real one
//! never says, and for what a user can run in its place.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use lab::{Background, Node, Suite};

/// One process a connection. Writes "asked" for each question whose job it is, and "adopt PID" for
/// each request to adopt.
const PERL: &str = r#"
use strict; use Socket; $| = 1; $SIG{PIPE} = $SIG{CHLD} = 'IGNORE'; umask 0;
my ($path, $version, $uid, $then) = @ARGV;
socket(my $l, PF_UNIX, SOCK_STREAM, 0) or die $!;
unlink $path; bind($l, sockaddr_un($path)) or die "$path: $!"; listen($l, 64) or die $!;
print "ready\n";
while (1) {
  accept(my $c, $l) or next;
  next if fork;
  my $hold = sub { 1 while sysread($c, my $x, 512); exit };
  $hold->() if $then eq 'silent';
  my $take = sub { my $b = ''; sysread($c, $b, 4) == 4 or exit; unpack('l', $b) };
  my $say = sub { syswrite($c, pack('l*', @_)) };
  $take->(); $say->($version);
  while (1) {
    my $request = $take->();
    if ($request == 20) { print "asked\n"; exit if $then eq 'close'; syswrite($c, pack('L', $uid)) }
    elsif ($request == 5) { $say->(2) }
    elsif ($request == 22) {
      print 'adopt ', $take->(), "\n"; $hold->() if $then eq 'swallow'; $say->(0);
    }
    elsif ($request == 23) { $say->(0, 0) }
    elsif ($request == 26 or $request == 28) { $say->(0) }
    else { exit }
  }
}
"#;

/// What it does after the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// Answers all questions, and says to have adopted.
    Adopt,
    /// Answers the questions, and never says what became of the request to adopt.
    Swallow,
    /// Ends the connection when asked whose job it is.
    Close,
    /// Not even the handshake: accepts, and says nothing.
    Silent,
}

/// A fake stepd that runs.
pub struct Stepd(Background);

impl Stepd {
    /// Listens at that path as that user of the node's; it says to be of `suite`, with a job of `uid`.
    pub fn start(
        node: &Node,
        suite: Suite,
        user: &str,
        path: &str,
        uid: u32,
        then: Then,
    ) -> Result<Self> {
        let then = match then {
            Then::Adopt => "adopt",
            Then::Swallow => "swallow",
            Then::Close => "close",
            Then::Silent => "silent",
        };
        let (version, uid) = (suite.protocol().to_string(), uid.to_string());
        let argv = ["perl", "-e", PERL, path, &version, &uid, then];
        let mut stepd = node.command(&argv).user(user).spawn()?;
        lab::poll::until_true("the fake stepd", Duration::from_secs(10), || {
            ensure!(stepd.is_running()?, "it ended: {}", stepd.stderr()?);
            Ok(stepd.stdout()?.contains("ready"))
        })?;
        Ok(Self(stepd))
    }

    /// How often it was asked whose job it is.
    pub fn asked(&self) -> Result<usize> {
        Ok(self.0.stdout()?.matches("asked").count())
    }

    /// The processes that it was to adopt.
    pub fn adopted(&self) -> Result<Vec<u32>> {
        let text = self.0.stdout()?;
        let pids = text.lines().filter_map(|line| line.strip_prefix("adopt "));
        pids.map(|pid| pid.parse().with_context(|| format!("adopt {pid}")))
            .collect()
    }

    /// Ends it; what it has accepted ends with its processes.
    pub fn stop(mut self) -> Result<()> {
        self.0.signal(rustix::process::Signal::KILL)?;
        self.0
            .wait(Duration::from_secs(5))?
            .context("the fake stepd does not end")?;
        Ok(())
    }
}
