#!/usr/bin/perl
# hand-over.pl WHAT SOCKET
#
# Stands between logins and the slurmstepd of an extern step: announces its namespace and sends its own end of the
# connection instead (WHAT own), or nothing (WHAT silent), as one of 26.11 does; passes on all else. The numbers of
# system calls are those of x86-64.
use strict;
use warnings;
use Socket;
use IO::Socket::UNIX;
use IO::Select;

my ($what, $path) = @ARGV;
my ($sendmsg, $newns, $rights) = (46, 0x00020000, 1);
my ($claimed, $fd_of_one, $fds) = (0x7f00, 26, 28);

rename $path, "$path.real" or die "rename: $!\n";
sub stepd { IO::Socket::UNIX->new(Peer => "$path.real") or die "connect: $!\n" }

my $listener = IO::Socket::UNIX->new(Local => $path, Listen => 10) or die "listen: $!\n";
$SIG{CHLD} = 'IGNORE';
while (my $client = $listener->accept) {
    next if fork;
    my $socket = stepd();
    my $both = IO::Select->new($client, $socket);
    while (my @ready = $both->can_read) {
        for my $from (@ready) {
            my $to = $from == $client ? $socket : $client;
            sysread($from, my $bytes, 4096) or exit;
            my ($first, @rest) = unpack 'i*', $bytes;
            my $last = @rest ? $rest[-1] : $first;
            my $may_ask = $from == $client && (@rest == 0 || @rest == 3 && $first == $claimed);
            my $is_question = $may_ask && ($last == $fds || $last == $fd_of_one);
            substr($bytes, -4) = '' if $is_question;
            syswrite $to, $bytes if length $bytes;
            next if !$is_question;
            # What was asked first is answered first.
            if (length $bytes) { sysread $socket, my $answer, 12; syswrite $client, $answer }
            syswrite $client, $last == $fds ? pack 'i2', 1, $newns : pack 'i', 7;
            send_own($client) if $what eq 'own';
        }
    }
    exit;
}

sub send_own {
    my ($client) = @_;
    my $byte = "\0";
    my $data = pack 'P Q', $byte, 1;
    my $control = pack 'Q i i i x4', 20, SOL_SOCKET, $rights, fileno $client;
    my $message = pack 'Q L x4 P Q P Q L x4', 0, 0, $data, 1, $control, length $control, 0;
    syscall($sendmsg, fileno $client, $message, 0) == 1 or die "sendmsg: $!\n";
}
