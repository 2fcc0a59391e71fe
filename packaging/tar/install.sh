#!/bin/sh
# Installs slurm-adopt from its tarball, or removes it. Changes no PAM stack: "slurm-adopt setup" does.
set -eu

usage() {
    cat <<END
usage: ./install.sh [--uninstall] [--prefix DIR] [--destdir DIR] [--moduledir DIR]

  --uninstall      remove what was installed, and put back the module that was there before
  --prefix DIR     directory of the program and its manual (/usr/local)
  --destdir DIR    root of another system, as of an image
  --moduledir DIR  directory where libpam looks for modules (found by itself)
END
}

arch=@ARCH@
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

main() {
    prefix=/usr/local
    destdir=
    moduledir=
    uninstall=
    while [ $# -gt 0 ]; do
        case $1 in
        --uninstall) uninstall=1 ;;
        --prefix | --destdir | --moduledir) set_option "$@" && shift ;;
        --prefix=* | --destdir=* | --moduledir=*) set_option "${1%%=*}" "${1#*=}" ;;
        -h | --help) usage && exit 0 ;;
        *) fail "unknown argument \"$1\"; see ./install.sh --help" ;;
        esac
        shift
    done
    destdir=${destdir%/}
    top=$destdir$prefix
    manifest=$top/share/slurm-adopt/installed
    [ -n "$moduledir" ] || moduledir=$(directory) || fail "${destdir:-this system} has no directory with PAM's modules; give --moduledir"
    module=$destdir$moduledir/pam_slurm_adopt.so
    check_system
    if [ -n "$uninstall" ]; then uninstall; else install; fi
}

set_option() {
    [ $# -ge 2 ] || fail "$1 wants a directory"
    case $2 in
    /*) ;;
    *) fail "$1: \"$2\" is no absolute path" ;;
    esac
    case $1 in
    --prefix) prefix=${2%/} ;;
    --destdir) destdir=$2 ;;
    --moduledir) moduledir=${2%/} ;;
    esac
}

# The directory of libpam's own modules.
directory() {
    for dir in "/usr/lib/$arch-linux-gnu" "/lib/$arch-linux-gnu" /usr/lib64 /lib64 /usr/lib /lib; do
        if [ -e "$destdir$dir/security/pam_permit.so" ] || [ -e "$destdir$dir/security/pam_unix.so" ]; then
            echo "$dir/security"
            return
        fi
    done
    return 1
}

check_system() {
    for own in /usr/lib /usr/lib64; do
        [ ! -e "$destdir$own/slurm-adopt/pam_slurm_adopt.so" ] ||
            fail "slurm-adopt is installed as a package: upgrade or remove that"
    done
    [ -n "$destdir" ] || [ "$(uname -m)" = "$arch" ] || fail "this is for $arch, the machine is $(uname -m)"
}

install() {
    contents=$(list)
    mkdir -p "${manifest%/*}"
    # First the list: what an interrupted run has written can be removed.
    printf '%s\n' "$contents" >"$manifest.new"
    mv -f "$manifest.new" "$manifest"
    listed files | while read -r file; do
        put "$here/files/$file" "$top/$file"
    done
    if [ -e "$module" ] && ! is_own "$module"; then
        # A second name of the same file.
        ln -f "$module" "$module.schedmd" || cp -p "$module" "$module.schedmd"
        echo "kept the module that was there: $module.schedmd"
    fi
    put "$here/pam_slurm_adopt.so" "$module"
    echo "installed $module and $top/sbin/slurm-adopt"
    echo "PAM stacks are as they were: run slurm-adopt setup"
}

# The files that are installed below the prefix, and the directories that are made for them, which end in a slash.
list() {
    (cd "$here/files" && find . -type f)
    (cd "$here/files" && find . -mindepth 1 -type d) | while read -r dir; do
        [ -d "$top/$dir" ] || echo "$dir/"
    done
    [ ! -e "$manifest" ] || listed directories
}

listed() {
    case $1 in
    files) grep -v '/$' "$manifest" | sort ;;
    directories) grep '/$' "$manifest" | sort -ru || : ;;
    esac
}

uninstall() {
    [ -e "$manifest" ] || fail "$manifest is not there: nothing is installed below $top"
    if [ -e "$module" ] && ! is_own "$module"; then
        # Another package has brought its module since.
        check_stacks "$destdir" "$module" "$moduledir/pam_slurm_adopt.so" || exit 1
        rm -f "$module.schedmd"
    elif [ -e "$module.schedmd" ]; then
        check_stacks "$destdir" "$module.schedmd" "$moduledir/pam_slurm_adopt.so" || exit 1
        mv -f "$module.schedmd" "$module"
        echo "put back $module"
    elif [ -e "$module" ] && is_own "$module"; then
        # Debian 12's libpam looks there next, and SchedMD's package for it installs there.
        older=$destdir/usr/lib/security/pam_slurm_adopt.so
        [ -e "$older" ] || older=
        check_stacks "$destdir" "$older" /usr/lib/security/pam_slurm_adopt.so || exit 1
        rm -f "$module"
        echo "removed $module"
    fi
    made=$(listed directories)
    listed files | while read -r file; do
        rm -f "$top/$file"
    done
    rm -f "$manifest"
    # Directories that others use stay.
    printf '%s\n' "$made" | while read -r dir; do
        [ -z "$dir" ] || rmdir "$top/$dir" 2>/dev/null || :
    done
    echo "removed the rest of slurm-adopt from $top"
}

# Whether a module is this project's: only that names the file of options.
is_own() {
    grep -q /etc/security/slurm_adopt.conf "$1"
}

# Copies a file with its mode and puts it in place by rename: a login finds the old file or the new one.
put() {
    mkdir -p "$(dirname -- "$2")"
    cp "$1" "$2.new"
    chmod "$(mode "$1")" "$2.new"
    sync "$2.new" 2>/dev/null || sync
    mv -f "$2.new" "$2"
}

mode() {
    if [ -x "$1" ]; then echo 755; else echo 644; fi
}

fail() {
    echo "install.sh: $1" >&2
    exit 1
}

@STACKS@

main "$@"
