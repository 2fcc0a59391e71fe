# dpkg unpacks the module beside the place where libpam looks for it. These scripts put it there, so that it never is
# missing or short: docs/adr/0013-replacing-schedmds-file.md in the sources.
module=/usr/lib/slurm-adopt/pam_slurm_adopt.so
place=/usr/lib/@MULTIARCH@/security/pam_slurm_adopt.so
# Whatever was at that place, and what SchedMD's packages bring while this package is installed.
theirs=$place.schedmd
# Debian 12's libpam looks here if it finds no file at the place.
older=/usr/lib/security/pam_slurm_adopt.so

is_diverted() {
    [ "$(dpkg-divert --listpackage "$place")" = slurm-adopt ]
}

# Diverts both names of the place: dpkg takes /lib and /usr/lib for different directories.
divert() {
    for name in "$place" "${place#/usr}"; do
        dpkg-divert --quiet --package slurm-adopt --no-rename \
            --divert "$name.schedmd" --add "$name"
    done
}

undivert() {
    for name in "$place" "${place#/usr}"; do
        dpkg-divert --quiet --package slurm-adopt --no-rename --remove "$name"
    done
}

# Puts another link to a file at the place, by rename.
put() {
    [ "$1" -ef "$place" ] && return
    ln -f "$1" "$place.slurm-adopt"
    mv -fT "$place.slurm-adopt" "$place"
}

@STACKS@

# Fails, and says why, if logins would fail without the module.
may_go() {
    is_diverted || return 0
    if [ -e "$theirs" ]; then
        check_stacks "" "$theirs" "$place"
    elif [ -e "$older" ]; then
        check_stacks "" "$older" "$older"
    else
        check_stacks "" "" ""
    fi
}

# Takes the module away from the place; what was there before comes back by rename.
take_away() {
    is_diverted || return 0
    if [ -e "$theirs" ]; then
        put "$theirs"
    else
        rm -f "$place"
    fi
    undivert
    rm -f "$theirs"
}
