#!/usr/bin/env bash
# Makes the image debian:bookworm-slim exist on this engine, so that
# `docker build compose/fastapi` works with or without an image registry:
#   1. already there        -> nothing to do
#   2. a registry answers   -> docker pull
#   3. otherwise            -> debootstrap from a Debian package mirror (root)
#
# Knobs: MIRROR, SECURITY_MIRROR (package mirrors), PULL_TIMEOUT (seconds),
#        TMPDIR (needs about 400 MB for a minute).
set -euo pipefail

readonly image=debian:bookworm-slim suite=bookworm
readonly mirror=${MIRROR:-http://deb.debian.org/debian}
readonly security=${SECURITY_MIRROR:-http://deb.debian.org/debian-security}
readonly pull_timeout=${PULL_TIMEOUT:-20}
work=

say() { printf 'base-image: %s\n' "$*"; }
die() { printf 'base-image: %s\n' "$@" >&2; exit 1; }

cleanup() {
    [[ -n $work ]] || return 0
    # An interrupted debootstrap leaves these mounted, and --one-file-system
    # makes sure that rm never walks into a live /proc or /sys.
    umount "$work/root/proc" "$work/root/sys" 2>/dev/null || true
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# `timeout` is missing on a stock macOS: there the pull just takes its time.
with_timeout() {
    if command -v timeout >/dev/null; then timeout "$@"; else shift; "$@"; fi
}

# Runs a noisy command in silence; its output is shown only if it fails.
quietly() {
    "$@" >"$work/log" 2>&1 && return
    tail -n 20 "$work/log" >&2
    return 1
}

command -v docker >/dev/null ||
    die 'the docker command is missing.' 'Install it (Debian: apt-get install docker.io) and run this again.'
docker version >/dev/null 2>&1 ||
    die 'no Docker engine answers.' 'Start it (see: docker version) and run this again.'

if docker image inspect "$image" >/dev/null 2>&1; then
    say "$image is already there"
    exit 0
fi

say "pulling $image (at most ${pull_timeout} s)"
if with_timeout "$pull_timeout" docker pull -q "$image" >/dev/null 2>&1; then
    say "pulled $image in ${SECONDS} s"
    exit 0
fi
say "no registry answered in time; building $image from Debian packages"

# debootstrap runs chroot and mknod: nothing less than root will do.
[[ $(id -u) -eq 0 ]] ||
    die 'building the image with debootstrap needs root.' "Run: sudo $0   (or bring the image from a machine that has it: docker save | docker load)"

# TMPDIR, else /var/tmp: /tmp is often a small tmpfs mounted nodev, which debootstrap refuses.
work=$(mktemp -d "${TMPDIR:-/var/tmp}/base-image.XXXXXX")
chmod 755 "$work" # apt's own user has to reach the files below

if ! command -v debootstrap >/dev/null; then
    command -v apt-get >/dev/null ||
        die 'debootstrap is missing, and so is apt-get to install it.' 'Install debootstrap with your package manager and run this again.'
    say 'installing debootstrap'
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get update -q || die 'apt-get update failed (see above).' 'Check /etc/apt/sources.list and the network, and run this again.'
    # The keyring lets an Ubuntu host verify Debian's signatures too.
    quietly apt-get install -y -q --no-install-recommends debootstrap debian-archive-keyring ||
        die 'debootstrap did not install (see above).' 'Install it by hand (apt-get install debootstrap) and run this again.'
fi

root=$work/root
say "debootstrap $suite from $mirror (about a minute)"
quietly debootstrap --variant=minbase "$suite" "$root" "$mirror" ||
    die 'debootstrap failed (see above).' "Check that $mirror answers, or choose another one: MIRROR=http://... $0"

# debootstrap knows one suite only; later apt-get runs need the updates as well.
cat >"$root/etc/apt/sources.list" <<SOURCES
deb $mirror $suite main
deb $mirror $suite-updates main
deb $security $suite-security main
SOURCES

# What "slim" means: no documentation, now or in packages installed later.
# Licences (copyright files) stay.
cat >"$root/etc/dpkg/dpkg.cfg.d/slim" <<'SLIM'
path-exclude /usr/share/doc/*
path-include /usr/share/doc/*/copyright
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/man/*
SLIM
# Downloaded packages must not stay in the layer of every apt-get install.
cat >"$root/etc/apt/apt.conf.d/docker-clean" <<'CLEAN'
DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/*.bin || true"; };
Dir::Cache::pkgcache "";
Dir::Cache::srcpkgcache "";
CLEAN
# Packages must not try to start daemons while an image is being built.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

find "$root/usr/share/doc" ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -mindepth 1 -type d -empty -delete
rm -rf "$root"/usr/share/{info,locale,man}/* \
       "$root"/var/lib/apt/lists/* "$root"/var/cache/{apt,ldconfig}/* "$root"/var/cache/debconf/*-old \
       "$root"/var/log/{apt,*.log} \
       "$root"/etc/{hostname,resolv.conf} # copied from this host: not the image's business

say "importing $image"
# /dev, /proc and /sys are the engine's to fill in each container.
tar -C "$root" --numeric-owner --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' -c . |
    docker import --change 'CMD ["bash"]' --change 'LABEL sweep.base=debootstrap' - "$image" >/dev/null ||
    die "docker import of $image failed (see above)." 'Check the free space of the engine (docker system df) and run this again.'

size=$(docker image inspect --format '{{.Size}}' "$image")
say "made $image ($((size / 1000000)) MB) in ${SECONDS} s"
