# Both ends of a way for bytes.
#
#   pour SIZE          writes so many
#   count              reads all; prints their number, and the microseconds from the first to the end
#   sink PORT          counts what each connection brings
#   source PORT SIZE   pours into each connection
use strict;
use Socket;

$| = 1;
$SIG{PIPE} = "IGNORE";

# clock_gettime is 228 on x86_64; Time::HiRes is no part of perl-base.
sub now {
    my $time = "\0" x 16;
    syscall(228, 1, $time);
    my ($seconds, $nanos) = unpack("qq", $time);
    return $seconds * 1e6 + $nanos / 1e3;
}

sub pour {
    my ($out, $left) = @_;
    my $part = 1 << 17;
    my $bytes = "x" x $part;
    while ($left > 0) {
        $left -= syswrite($out, $bytes, $left < $part ? $left : $part) || return;
    }
}

sub count {
    my ($in) = @_;
    my ($sum, $begin) = (0);
    while (1) {
        my $count = sysread($in, my $bytes, 1 << 20);
        $begin //= now();
        last if !$count;
        $sum += $count;
    }
    printf("%d %d\n", $sum, now() - $begin);
}

my ($what, @rest) = @ARGV;
if ($what eq "pour") { pour(\*STDOUT, @rest); exit }
if ($what eq "count") { count(\*STDIN); exit }
my ($port, $size) = @rest;
socket(my $server, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
setsockopt($server, SOL_SOCKET, SO_REUSEADDR, 1);
bind($server, sockaddr_in($port, INADDR_ANY)) or die "bind: $!";
listen($server, 9) or die "listen: $!";
print "listens\n";
while (accept(my $client, $server)) {
    if ($what eq "sink") {
        count($client);
    } else {
        pour($client, $size);
        shutdown($client, 1);
        sysread($client, my $end, 1);
    }
    close($client);
}
