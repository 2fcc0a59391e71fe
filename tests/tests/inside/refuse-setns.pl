#!/usr/bin/perl
# refuse-setns.pl KIND PROGRAM [ARGUMENT...]
#
# Runs a program whose setns(2) into a namespace of that kind, or of a kind it does not name, fails
# with EPERM: seccomp(2) with a filter of its own. The numbers are those of x86-64.
use strict;
use warnings;

my %kinds = (mnt => 0x00020000, user => 0x10000000, pid => 0x20000000);
my $kind = $kinds{shift @ARGV} or die "kinds are: @{[sort keys %kinds]}\n";
my ($load, $equals, $return) = (0x20, 0x15, 0x06);
my ($setns, $number, $second_argument) = (308, 0, 24);
my ($allow, $eperm) = (0x7fff0000, 0x00050001);
my $filter = join '', map { pack 'S C C L', @$_ } (
    [$load, 0, 0, $number],
    [$equals, 0, 3, $setns],
    [$load, 0, 0, $second_argument],
    [$equals, 2, 0, $kind],
    [$equals, 1, 0, 0],
    [$return, 0, 0, $allow],
    [$return, 0, 0, $eperm],
);
my $program = pack 'S x6 P', length($filter) / 8, $filter;
my ($prctl, $set_seccomp, $with_filter) = (157, 22, 2);
syscall($prctl, $set_seccomp, $with_filter, $program) == 0 or die "seccomp: $!\n";
exec @ARGV or die "$ARGV[0]: $!\n";
