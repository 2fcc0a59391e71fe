# Whether the module may be taken away. `cargo xtask package` puts this into the scripts of all packages.

# The lines that name the module in files that libpam reads below $1: FILE:NUMBER:LINE.
lines() {
    for file in "$1"/etc/pam.conf "$1"/etc/pam.d/* "$1"/usr/lib/pam.d/* "$1"/usr/etc/pam.d/*; do
        case $file in
        *.rpmsave | *.rpmnew | *.rpmorig | *.dpkg-* | *.bak | *.orig | *~) continue ;;
        esac
        grep -EHns '^[^#]*pam_slurm_adopt\.so' "$file" || :
    done
}

# A line of lines() with the name of a service out of its way, which the lines of pam.conf begin with.
typed() {
    case $1 in
    */etc/pam.conf:*) printf '%s\n' "$1" | sed 's,^\(.*/etc/pam\.conf:[0-9]*:\)[[:space:]]*[^[:space:]]*[[:space:]]*,\1,' ;;
    *) printf '%s\n' "$1" ;;
    esac
}

# The lines below $1 that SchedMD's module at $2 would not serve: other lines than account lines, and other paths.
unserved() {
    lines "$1" | while IFS= read -r line; do
        if ! typed "$line" | grep -Eiq ':[0-9]+:[[:space:]]*-?account[[:space:]]'; then
            printf '%s\n' "$line"
            continue
        fi
        path=$(printf '%s\n' "$line" | sed -n 's,.*[[:space:]]\(/[^[:space:]]*/pam_slurm_adopt\.so\).*,\1,p')
        # With a merged /usr both names are the same.
        [ -z "$path" ] || [ "${path#/usr}" = "${2#/usr}" ] || printf '%s\n' "$line"
    done
}

# Fails, and says why, if the module may not be taken away below $1. $2: SchedMD's module, which would come back; $3: the
# path where it would be.
check_stacks() {
    # The records of a setup that undo has not taken back.
    for record in "$1"/var/lib/slurm-adopt/[0-9]* "$1"/var/lib/slurm-adopt/undo; do
        if [ -e "$record" ]; then
            cat >&2 <<END
slurm-adopt is not removed, because this host is set up with it: run "slurm-adopt undo" first. Where that has left a
file that others changed: put the file right and run it again, or remove $1/var/lib/slurm-adopt to forget the set-up.
END
            return 1
        fi
    done
    if [ -n "$2" ]; then
        found=$(unserved "$1" "$3")
        why="SchedMD's module, which would come back, serves account lines alone, and those only that name it without a path or as $3"
    else
        found=$(lines "$1")
        why="there is no other module of that name"
    fi
    [ -n "$found" ] || return 0
    cat >&2 <<END
slurm-adopt is not removed. PAM stacks name its module, and $why:
logins would fail, root's too.
$found
"slurm-adopt undo" takes back what "slurm-adopt setup" wrote. Take other lines out by hand.
END
    return 1
}
