# shellcheck shell=bash
# What ./demo and ./test need from the host. Sourced by bash; defines lists and functions only.
#
#   DEMO_PACKAGES              the Debian packages that ./demo needs
#   TEST_PACKAGES              those, and what ./test needs besides
#   need_root "$0" "$@"        ends the script unless it runs as root, naming the command to run
#   need_packages PACKAGE...   installs the Debian packages that are missing
#   need_rust_tools            installs Debian's cargo fmt and clippy where cargo is Debian's
#   need_cargo                 puts a cargo of at least version 1.85 first in PATH, or says how to get one

# shellcheck disable=SC2034 # used by those that source this
DEMO_PACKAGES=(
    gcc libc6-dev libpam0g-dev                        # to build
    mmdebstrap debian-archive-keyring                 # the lab's roots
    iproute2 util-linux                               # its nodes
)
# shellcheck disable=SC2034
TEST_PACKAGES=(
    "${DEMO_PACKAGES[@]}"
    g++ git python3-venv                              # libFuzzer, file lists, zig
    qemu-system-x86 e2fsprogs                         # the virtual machine
    qemu-user                                         # what is built for aarch64
    valgrind                                          # instruction counts
    strace                                            # logins stopped at a system call
    rsync                                             # files by way of a job
    lintian                                           # what Debian's policy says of the package
    rpm rpmlint                                       # the package for rpm
    secilc                                            # the SELinux policy with the names of EL
)

need_root() {
    [ "$(id -u)" -eq 0 ] && return
    echo "This makes namespaces, mounts and cgroups, so it runs as root:" >&2
    echo "    sudo $*" >&2
    exit 1
}

# Whether the package is installed and configured.
has_package() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

need_packages() {
    local package missing=()
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        echo "This wants a Debian or an Ubuntu: there is no apt-get here." >&2
        exit 1
    fi
    for package in "$@"; do
        has_package "$package" || missing+=("$package")
    done
    [ "${#missing[@]}" -eq 0 ] && return
    echo "Installing ${missing[*]} ..."
    apt_get install "${missing[@]}" && return
    # The package lists may be absent or old, as on a fresh image.
    apt_get update && apt_get install "${missing[@]}" && return
    echo "These Debian packages are needed and could not be installed: ${missing[*]}" >&2
    exit 1
}

apt_get() {
    local verb=$1 log
    shift
    log=$(mktemp)
    DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends "$verb" "$@" \
        >"$log" 2>&1 </dev/null && { rm -f "$log"; return 0; }
    [ "$verb" = install ] && tail -n 3 "$log" >&2
    rm -f "$log"
    return 1
}

# Whether the cargo given is there and new enough (1.85, the first with edition 2024).
cargo_is_new_enough() {
    local version
    version=$("$1" --version 2>/dev/null | sed -n 's/^cargo \([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
    [ -n "$version" ] || return 1
    # shellcheck disable=SC2086 # two words are meant
    set -- $version
    [ "$1" -gt 1 ] || [ "$2" -ge 85 ]
}

need_cargo() {
    local dir home dirs=()
    IFS=: read -r -a dirs <<<"$PATH"
    # sudo changes HOME and PATH: look at the caller's home as well.
    dirs+=("${CARGO_HOME:-$HOME/.cargo}/bin")
    if [ -n "${SUDO_USER:-}" ]; then
        home=$(getent passwd "$SUDO_USER" | cut -d: -f6)
        dirs+=("$home/.cargo/bin")
    fi
    for dir in "${dirs[@]}"; do
        cargo_is_new_enough "$dir/cargo" || continue
        case $dir in
        "${home:-/nonexistent}"/*)
            export RUSTUP_HOME="${RUSTUP_HOME:-$home/.rustup}"
            ;;
        esac
        PATH="$dir:$PATH"
        export PATH
        return
    done
    echo "A cargo of version 1.85 or later is needed and was not found." >&2
    # shellcheck disable=SC1091 # the host's own
    if [ "$(. /etc/os-release && echo "${ID:-} ${VERSION_ID:-}")" = "debian 13" ]; then
        echo "    sudo apt-get install cargo" >&2
    else
        echo "    curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh" >&2
    fi
    exit 1
}

# rustup's toolchain has them.
need_rust_tools() {
    case $(command -v cargo) in
    /usr/bin/*) need_packages rustfmt rust-clippy ;;
    esac
}
