#!/bin/bash
# Making the builder's root from packages that are on this machine: snpforge from a hot store against mmdebstrap with the
# same packages from a local archive, in turn, as ratios of the medians. Every run ends with one tar on the disk.
#
#   unpacked:   ours    snpforge image build: the layer, packages unpacked, database complete, nothing run; documentation,
#                       manuals and translations left out as the definition says; every package's digest checked
#               theirs  mmdebstrap --variant=extract: packages unpacked, nothing run, nothing left out
#   configured: ours    snpforge image build, its layer unpacked to a folder, the packages marked as unpacked, `dpkg
#                       --configure -a` in a chroot with /proc and /dev, packed again by tar
#               theirs  mmdebstrap --variant=apt: unpacked and configured by apt and dpkg in a chroot, with the definition's
#                       exclusions as dpkg's path filters, so that both roots hold the same files
#
# Needs root, mmdebstrap, dpkg-dev, apt-utils, GNU time. BENCH_CACHE: a folder with a full store; SNPFORGE: the program.
# Usage: benches/image.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
work=$(mktemp -d "${TMPDIR:-/tmp}/snpforge-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
program=${SNPFORGE:-target/release/snpforge}
export XDG_CACHE_HOME=${BENCH_CACHE:-$work/cache}
"$program" image build debian-12 --locked >/dev/null
store=$XDG_CACHE_HOME/snpforge

# A local archive of just these packages. Links: apt reads files, the store keeps them.
mkdir -p "$work/archive"
awk '/^\[\[package\]\]/{p=1} p&&/^path/{gsub(/"/,"",$3); path=$3} p&&/^sha256/{gsub(/"/,"",$3); print path, $3}' images/debian-12.lock |
    while read -r path sha; do
        cp -l "$store/blobs/${sha:0:2}/$sha" "$work/archive/${path##*/}" 2>/dev/null || cp "$store/blobs/${sha:0:2}/$sha" "$work/archive/${path##*/}"
    done
(cd "$work/archive" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null && apt-ftparchive release . >Release)
names=$(awk '/^\[\[package\]\]/{p=1} p&&/^name/{gsub(/"/,"",$3); print $3}' images/debian-12.lock | paste -sd,)
diff_id=$(awk '/^diff-id/{gsub(/"/,"",$3); print $3}' images/debian-12.lock)
layer=$store/blobs/${diff_id:0:2}/$diff_id
# Patterns of the definition as dpkg has them: its star goes across folders. What dpkg would take in with a kept pattern
# that ends in a star is nothing, because folders come by themselves.
mapfile -t filters < <(awk '
    /^(exclude|keep) = \[/ {kind = $1 == "keep" ? "include" : "exclude"}
    /^\]/ {kind = ""}
    kind && match($0, /"[^"]+"/) {
        text = substr($0, RSTART + 1, RLENGTH - 2); gsub(/\*\*/, "*", text)
        if (kind == "exclude" || text !~ /\*$/) print "--dpkgopt=path-" kind "=/" text
    }' images/debian-12.toml)

measure() { # measure FILE COMMAND...: appends wall and CPU seconds
    local file=$1
    shift
    /usr/bin/time -a -o "$file" -f '%e %U %S' "$@" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
}
cat >"$work/configure" <<'SCRIPT'
set -eu
program=$1 layer=$2 work=$3
"$program" image build debian-12 --locked --offline
mkdir "$work/root"
tar -xf "$layer" -C "$work/root" --numeric-owner
sed -i 's/^Status: install ok installed$/Status: install ok unpacked/' "$work/root/var/lib/dpkg/status"
mount -t proc proc "$work/root/proc"
mount -t tmpfs none "$work/root/dev"
for node in null zero full random urandom tty; do
    touch "$work/root/dev/$node"
    mount --bind "/dev/$node" "$work/root/dev/$node"
done
chroot "$work/root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive dpkg --configure -a
umount -R "$work/root/dev" "$work/root/proc"
tar -C "$work/root" --numeric-owner --sort=name -cf "$work/root.tar" .
SCRIPT
ours() { # ours FILE COMMAND...
    rm -rf "$layer" "$work/root" "$work/root.tar"
    measure "$work/$1" "${@:2}"
}
theirs() { # theirs FILE VARIANT OPTION...
    rm -f "$work/root.tar"
    measure "$work/$1" mmdebstrap --quiet --mode=root --variant="$2" "${@:3}" --include="$names" '' "$work/root.tar" \
        "deb [trusted=yes] copy:$work/archive ./"
}
# What is in a tar that a package brought: configuring writes elsewhere too.
files() { tar -tf "$work/root.tar" | grep -c '^\./usr/\(bin\|include\|lib\)/.*[^/]$'; }
for _ in $(seq "$rounds"); do
    ours ours_unpacked "$program" image build debian-12 --locked --offline
    theirs their_unpacked extract
    ours ours_configured unshare --mount sh "$work/configure" "$program" "$layer" "$work"
    ! grep -q '^Status: .*unpacked\|half' "$work/root/var/lib/dpkg/status" || { echo "not all is configured" >&2; exit 1; }
    ours_files=$(files)
    theirs their_configured apt "${filters[@]}"
    their_files=$(files)
done
median() { sort -n | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }
for kind in unpacked configured; do
    for who in ours their; do
        wall=$(awk '{print $1}' "$work/${who}_$kind" | median)
        cpu=$(awk '{print $2+$3}' "$work/${who}_$kind" | median)
        echo "$kind, $who: wall $wall s, CPU $cpu s"
        declare "wall_$who=$wall" "cpu_$who=$cpu"
    done
    # shellcheck disable=SC2154 # declared above
    awk -v kind="$kind" -v a="$wall_ours" -v b="$wall_their" -v c="$cpu_ours" -v d="$cpu_their" \
        'BEGIN{printf "%s, ours/theirs: wall %.2f, CPU %.2f\n", kind, a/b, c/d}'
done
echo "files below /usr/bin, /usr/include and /usr/lib of the configured roots: ours $ours_files, theirs $their_files"
