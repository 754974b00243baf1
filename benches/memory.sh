#!/bin/bash
# The most memory that snpforge itself holds (maximum resident set size) in each command of a whole run. Status 1 when one
# of them needs more than LIMIT KiB [default: 64 MiB]. The processes of a build are not counted: recipes that only write
# the expected files stand in for the real ones, in a copy of the project.
#
# Downloads all inputs twice (1 GB): for `lock` and, into a second empty store, for `fetch`. With BENCH_CACHE, a folder with a
# store, it begins with a copy of that and leaves `fetch` out. Needs /usr/bin/time. Usage: benches/memory.sh [LIMIT]
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${1:-65536}
program=$(realpath "${SNPFORGE:-target/release/snpforge}")
work=$(mktemp -d "${TMPDIR:-/tmp}/snpforge-memory.XXXXXX")
trap 'rm -rf "$work"' EXIT
export XDG_CACHE_HOME=$work/cache
mkdir "$XDG_CACHE_HOME"
over=0

# peak NAME COMMAND...
peak() {
    local name=$1 rss seconds
    shift
    /usr/bin/time -o "$work/time" -f '%M %e' "$@" >"$work/out" 2>"$work/err" || {
        cat "$work/err" >&2
        echo "$name failed" >&2
        exit 1
    }
    read -r rss seconds <"$work/time"
    printf '%-32s %6d KiB  %6.1f s\n' "$name" "$rss" "$seconds"
    [ "$rss" -le "$limit" ] || over=1
}
store=$XDG_CACHE_HOME/snpforge

mkdir "$work/project"
cp -r Containerfile.* images releases kvm.conf "$work/project"
# Recipes that write what is expected of a component, as large as the real thing, without building it.
stand_in() { # stand_in FAMILY: the script's end on stdin
    {
        cat <<'RECIPE'
#!/bin/bash
set -euo pipefail
put() { # put BYTES FILE...
    local size=$1 file
    shift
    for file; do
        mkdir -p "$(dirname "/out/$file")"
        head -c "$size" /dev/urandom >"/out/$file"
    done
}
put 20000 licenses/text
RECIPE
        cat
    } >"$work/project/images/$1/build"
}
stand_in ovmf <<'RECIPE'
put 4000000 OVMF.fd OVMF_CODE.fd OVMF_VARS.fd OVMF.amdsev.fd
RECIPE
stand_in qemu <<'RECIPE'
put 30000000 bin/qemu-system-x86_64
put 5000000 bin/qemu-img bin/qemu-nbd
for n in $(seq 60); do put 100000 "share/qemu/rom$n.bin"; done
RECIPE
stand_in kernel <<'RECIPE'
release=6.12.0$KERNEL_LOCALVERSION
echo "$release" >/out/release
put 300000 config
put 60000000 linux-image.deb kernel.rpm
put 9000000 linux-headers.deb kernel-devel.rpm
put 12000000 "tree/boot/vmlinuz-$release"
for n in $(seq 4000); do put 20000 "tree/usr/lib/modules/$release/kernel/$((n % 50))/module$n.ko"; done
RECIPE

snpforge() { # snpforge NAME ARGUMENT...: in the copy of the project
    local name=$1
    shift
    peak "$name" "$program" --project "$work/project" "$@"
}
if [ -n "${BENCH_CACHE:-}" ]; then
    cp -r "$BENCH_CACHE/snpforge" "$store"
    snpforge "lock --update" lock --update --release debian
else
    snpforge "lock --update, empty store" lock --update --release debian
    XDG_CACHE_HOME=$work/second
    mkdir "$XDG_CACHE_HOME"
    snpforge "fetch, empty store" fetch --release debian --locked
    rm -rf "$XDG_CACHE_HOME"
    XDG_CACHE_HOME=$work/cache
fi
diff_id=$(awk '/^diff-id/{gsub(/"/,"",$3); print $3}' "$work/project/images/debian-12.lock")
layer=$store/blobs/${diff_id:0:2}/$diff_id
rm -f "$layer"
snpforge "image build, layer missing" image build debian-12 --locked --offline
snpforge "image build, layer there" image build debian-12 --locked --offline
for format in none gzip zstd; do
    snpforge "image export, $format" image export debian-12 "$work/image.tar" --compress $format
done
rm -f "$work/image.tar"
build=(build ovmf --release debian --locked --offline --engine "${ENGINE:-embedded}" --out "$work/products")
rm -f "$layer"
snpforge "build ovmf, layer missing" "${build[@]}"
rm -rf "$store/actions" "$work/products"
snpforge "build ovmf, all there" "${build[@]}"
build[1]=--package
snpforge "build --package, profile lean" "${build[@]}" --profile lean
exit $over
