#!/bin/bash
# The most memory that snpforge itself holds (maximum resident set size) in each command of a whole run. Status 1 when one
# of them needs more than LIMIT KiB [default: 64 MiB]. The processes of a build are not counted: recipes that only write
# the expected files stand in for the real ones, in a copy of the project.
#
# Downloads all inputs twice (1 GB): for `lock` and, into a second empty store, for `fetch`. With BENCH_CACHE, a folder with a
# store, it begins with a copy of that and leaves `fetch` out. Needs /usr/bin/time. Usage: benches/memory.sh [LIMIT [base]]
#
# An image that is only a base comes first and, with the word base, alone: then nothing is downloaded. One below debian-12's
# packages comes after `image export`. The base is one of 80 000 files in 800 packages, about what a system with a desktop has,
# from a docker-registry on loopback; needs that, curl and jq.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${1:-65536}
only=${2:-}
program=$(realpath "${SNPFORGE:-target/release/snpforge}")
work=$(mktemp -d "${TMPDIR:-/tmp}/snpforge-memory.XXXXXX")
registry=
trap '[ -z "$registry" ] || kill "$registry" || true; rm -rf "$work"' EXIT
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
# The root of an image as others make it, with dpkg's database.
root=$work/root
mkdir -p "$root"/{etc,usr/bin,var/lib/dpkg/info}
printf 'ID=bench\n' >"$root/etc/os-release"
seq -w 800 | while read -r n; do
    echo "$root/usr/share/package-$n/folder-of-files/"{1..4}
done | xargs mkdir -p
awk -v root="$root" 'BEGIN {
    info = root "/var/lib/dpkg/info/"
    for (n = 1; n <= 800; n++) {
        package = sprintf("package-%03d", n)
        printf "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\nDescription: %0600d\n\n", package, 0 >>(root "/var/lib/dpkg/status")
        list = info package ".list"
        print "/." >list
        for (f = 1; f <= 100; f++) {
            path = sprintf("/usr/share/%s/folder-of-files/%d/file-%05d.txt", package, f % 4 + 1, f)
            print path >list
            print package, f >(root path)
            close(root path)
        }
        close(list)
    }
}'
tar -C "$root" --sort=name --numeric-owner --owner=0 --group=0 --mtime=@1700000000 -cf "$work/layer.tar" .
rm -rf "$root"
gzip -n1 <"$work/layer.tar" >"$work/layer"
sha() { sha256sum "$1" | cut -d' ' -f1; }
jq -cn --arg id "sha256:$(sha "$work/layer.tar")" \
    '{architecture: "amd64", os: "linux", created: "2024-01-01T00:00:00Z", config: {}, rootfs: {type: "layers", diff_ids: [$id]}}' >"$work/config"
type=application/vnd.oci.image
jq -cn --arg type $type --arg config "sha256:$(sha "$work/config")" --arg layer "sha256:$(sha "$work/layer")" \
    --argjson sizes "$(stat -c %s "$work/config" "$work/layer" | jq -sc .)" \
    '{schemaVersion: 2, mediaType: "\($type).manifest.v1+json",
      config: {mediaType: "\($type).config.v1+json", digest: $config, size: $sizes[0]},
      layers: [{mediaType: "\($type).layer.v1.tar+gzip", digest: $layer, size: $sizes[1]}]}' >"$work/manifest"

host=127.0.0.1:$((20000 + RANDOM % 10000))
printf 'version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: %s\nhttp:\n  addr: %s\n' \
    "$work/registry" "$host" >"$work/registry.yml"
docker-registry serve "$work/registry.yml" >"$work/registry.log" 2>&1 &
registry=$!
ask() { curl -sSf --noproxy '*' "$@"; }
for _ in $(seq 50); do
    ! ask -o "$work/answer" "http://$host/v2/" 2>"$work/err" || break
    sleep 0.1
done
for blob in config layer; do
    to=$(ask -X POST -D - -o "$work/answer" "http://$host/v2/base/blobs/uploads/" | tr -d '\r' | sed -n 's/^Location: //p')
    ask -X PUT -H 'Content-Type: application/octet-stream' --data-binary "@$work/$blob" "$to&digest=sha256:$(sha "$work/$blob")"
done
digest=sha256:$(sha "$work/manifest")
ask -X PUT -H "Content-Type: $type.manifest.v1+json" --data-binary "@$work/manifest" "http://$host/v2/base/manifests/$digest"

# base NAME: locks and makes the image of that name, which has the base
base() {
    snpforge "lock, $1" lock --image "$1"
    local diff_id
    diff_id=$(awk '/^diff-id/{gsub(/"/,"",$3); print $3; exit}' "$work/project/images/$1.lock")
    rm "$store/blobs/${diff_id:0:2}/$diff_id"
    snpforge "image build, $1" image build "$1" --locked --offline
}
printf '[base]\nimage = "%s/base@%s"\nos-release = { ID = "bench" }\n\n' "$host" "$digest" >"$work/base"
{
    printf 'format = 1\nsummary = "s"\n'
    cat "$work/base"
    printf '[root]\nmerged-usr = true\npackages = []\n'
} >"$work/project/images/base-alone.toml"
base base-alone
[ "$only" != base ] || exit $over
if [ -n "${BENCH_CACHE:-}" ]; then
    cp -r "$BENCH_CACHE/snpforge/." "$store"
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
cat "$work/project/images/debian-12.toml" "$work/base" >"$work/project/images/base-below.toml"
base base-below
build=(build ovmf --release debian --locked --offline --engine "${ENGINE:-embedded}" --out "$work/products")
rm -f "$layer"
snpforge "build ovmf, layer missing" "${build[@]}"
rm -rf "$store/actions" "$work/products"
snpforge "build ovmf, all there" "${build[@]}"
build[1]=--package
snpforge "build --package, profile lean" "${build[@]}" --profile lean
exit $over
