#!/usr/bin/perl
# A fake display server: it answers the X11 connection setup and nothing else.
#
#   fake-display.pl DISPLAY COOKIE    listens as :DISPLAY, on its unix socket
#
# Who brings the cookie is told a vendor with an empty list of screens, any other is refused.
# First a line on standard output for each of them. Layouts: X Window System Protocol, X11R7, chapter 8.
use strict;
use warnings;
use Socket;

my ($display, $cookie) = @ARGV;
my $dir = '/tmp/.X11-unix';
mkdir $dir;
chmod 01777, $dir;
unlink "$dir/X$display";
socket(my $listener, AF_UNIX, SOCK_STREAM, 0) or die "socket: $!";
bind($listener, pack_sockaddr_un("$dir/X$display")) or die "bind: $!";
listen($listener, 16) or die "listen: $!";
$| = 1;
print "ready\n";

sub get {
    my ($stream, $length) = @_;
    my $bytes = '';
    while (length $bytes < $length) {
        my $count = sysread $stream, $bytes, $length - length $bytes, length $bytes;
        return undef unless $count;
    }
    return $bytes;
}

sub padded { my ($bytes) = @_; return $bytes . "\0" x (-length($bytes) % 4); }

$SIG{CHLD} = 'IGNORE';
while (accept(my $client, $listener)) {
    # None waits for another.
    my $child = fork;
    if ($child) { close $client; next; }
    close $listener;
    my $head = get($client, 12) or exit;
    my ($order, $name_length, $data_length) = (unpack 'a x v v v v v', $head)[0, 3, 4];
    if ($order ne 'l') { print "a client of the other byte order\n"; exit; }
    my $rest = get($client, length(padded('.' x $name_length)) + length(padded('.' x $data_length)));
    exit unless defined $rest;
    my $name = substr $rest, 0, $name_length;
    my $data = unpack 'H*', substr $rest, length(padded('.' x $name_length)), $data_length;
    if ($name eq 'MIT-MAGIC-COOKIE-1' && $data eq $cookie) {
        my $vendor = 'fake display';
        # release, resource ids, motion buffer, length of the vendor, longest request, no screens,
        # no formats, byte and bit orders, key codes
        my $more = pack('V4 v2 C2 C6 x4', 1, 0, 0xffff, 0, length $vendor, 0xffff, 0, 0, 0, 0, 32, 32, 8, 255)
            . padded($vendor);
        print "welcome\n";
        syswrite $client, pack('C x v v v', 1, 11, 0, length($more) / 4) . $more;
    } else {
        my $reason = "not the cookie of this display: $name $data";
        print "refused: $name $data\n";
        syswrite $client, pack('C C v v v', 0, length $reason, 11, 0, length(padded($reason)) / 4) . padded($reason);
    }
    exit;
}
