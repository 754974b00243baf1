#!/bin/bash
# Making the builder's root from packages that are on this machine: `snpforge image build` from a hot store against
# mmdebstrap with the same packages from a local archive, in turn, as ratios of the medians. Both write one tar;
#   unpacked:   mmdebstrap --variant=extract (no maintainer script runs), as snpforge does
#   configured: mmdebstrap --variant=apt, then every package configured; snpforge's unpacked image builds the same bytes
# Needs root, mmdebstrap, dpkg-dev, apt-utils. Usage: benches/image.sh [ROUNDS]
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
work=$(mktemp -d /tmp/snpforge-bench.XXXXXX)
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

measure() { # measure FILE COMMAND...: appends wall and CPU seconds
    local file=$1
    shift
    /usr/bin/time -a -o "$file" -f '%e %U %S' "$@" >/dev/null 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
}
ours() {
    rm -f "$store/blobs/${diff_id:0:2}/$diff_id"
    measure "$work/ours" "$program" image build debian-12 --locked --offline
}
theirs() { # theirs FILE VARIANT
    rm -f "$work/root.tar"
    measure "$work/$1" mmdebstrap --quiet --mode=root --variant="$2" --include="$names" '' "$work/root.tar" "deb [trusted=yes] copy:$work/archive ./"
}
for _ in $(seq "$rounds"); do
    ours
    theirs unpacked extract
    theirs configured apt
done
median() { sort -n | awk '{v[NR]=$1} END{print v[int((NR+1)/2)]}'; }
for kind in ours unpacked configured; do
    wall=$(awk '{print $1}' "$work/$kind" | median)
    cpu=$(awk '{print $2+$3}' "$work/$kind" | median)
    echo "$kind: wall $wall s, CPU $cpu s"
    declare "wall_$kind=$wall" "cpu_$kind=$cpu"
done
# shellcheck disable=SC2154 # declared above
awk -v a="$wall_ours" -v b="$wall_unpacked" -v c="$cpu_ours" -v d="$cpu_unpacked" -v e="$wall_configured" -v f="$cpu_configured" \
    'BEGIN{printf "ours/unpacked: wall %.2f, CPU %.2f; ours/configured: wall %.2f, CPU %.2f\n", a/b, c/d, a/e, c/f}'
