#!/bin/sh
# Builds components on every engine of this machine, each in an empty store of its own and with another number of
# processors, umask and time zone, and compares every tarball.
# Usage: [PROFILE=lean] tests/equal.sh [FOLDER [COMPONENT...]]. All components of the lean profile take about 40 minutes
# per engine, OVMF alone 7 minutes. Run as root it also builds as an unprivileged user (made for this: snpforge-equal).
set -eu
cd "$(dirname "$0")/.."
folder=${1:-$(mktemp -d /tmp/snpforge-equal.XXXXXX)}
[ $# -eq 0 ] || shift
components=$*
mkdir -p "$folder"
cargo build --release
# Where others can read it: a home folder of root may be closed.
program=$folder/snpforge
cp "${CARGO_TARGET_DIR:-target}/release/snpforge" "$program"
chmod 755 "$folder" "$program"
cp -r releases images kvm.conf Containerfile.* "$folder"/
chmod -R go+rX "$folder"

# cell NAME JOBS UMASK TZ [PREFIX...] -- ENGINE-ARGUMENTS
cell() {
    name=$1 jobs=$2 mask=$3 zone=$4
    shift 4
    prefix=
    while [ "$1" != -- ]; do
        prefix="$prefix $1"
        shift
    done
    shift
    echo "=== $name (jobs $jobs, umask $mask, TZ $zone)"
    # shellcheck disable=SC2086 # the prefix and the components are lists of plain words
    (umask "$mask" && cd "$folder" &&
        $prefix env TZ="$zone" HOME="$folder/$name" XDG_CACHE_HOME="$folder/$name/cache" "$program" build $components --release debian --locked --profile "${PROFILE:-lean}" \
            --jobs "$jobs" --out "$folder/$name/out" --progress plain "$@")
    (cd "$folder/$name/out" && sha256sum ./*.tar.gz) >"$folder/$name.sums"
    grep -o '"name":"[a-z]*"' "$folder/$name"/out/*.run.json
    rm -rf "$folder/$name/cache" 2>/dev/null || { chmod -R u+w "$folder/$name/cache" && rm -rf "$folder/$name/cache"; }
}

mkdir -p "$folder/sandbox"
cell sandbox 2 022 UTC -- --engine embedded
if [ "$(id -u)" = 0 ]; then
    id snpforge-equal >/dev/null 2>&1 || useradd --no-create-home --shell /bin/sh snpforge-equal
    mkdir -p "$folder/user"
    chown snpforge-equal "$folder/user"
    cell user 3 077 America/New_York setpriv --reuid snpforge-equal --regid snpforge-equal --clear-groups -- --engine embedded
fi
if "$program" --project . doctor engine --engine docker >/dev/null 2>&1; then
    mkdir -p "$folder/docker"
    cell docker 3 027 Asia/Tokyo -- --engine docker
fi
if "$program" --project . doctor engine --engine podman >/dev/null 2>&1; then
    mkdir -p "$folder/podman"
    cell podman 4 002 Europe/Berlin -- --engine podman
fi
cells=0
for sums in "$folder"/*.sums; do
    cells=$((cells + 1))
    cmp "$folder/sandbox.sums" "$sums" || {
        echo "NOT EQUAL: the tarballs are in $folder/*/out" >&2
        exit 1
    }
done
cat "$folder/sandbox.sums"
echo "equal: $cells builds"
