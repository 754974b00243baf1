#!/bin/bash
# Brackets Ubuntu 22.04, whose archive is out of reach where this is developed, between Debian 11 (gcc 10, older than its
# gcc 11) and Debian 12 (gcc 12, newer): the same recipes build the same sources in both, and newer sources than any
# release names. Sources are tarballs of Debian's pool, what the machine's mirror still has of them, and for QEMU the Python
# wheels that it names, from PyPI by pip; the rest is skipped and said so. Each build takes what the README says of its
# component.
# SNPFORGE: the program, built before [default: built now].
# Usage: tests/bracket.sh [FOLDER [ROW...]]     ROW: IMAGE/SET/COMPONENT, for example debian-11/upstream/qemu
set -euo pipefail
cd "$(dirname "$0")/.."
folder=${1:-$(mktemp -d /tmp/snpforge-bracket.XXXXXX)}
[ $# -eq 0 ] || shift
rows=("$@")
images=(debian-11 debian-12)
components=(ovmf qemu kernel-guest)
# What a set takes from the pool: Linux, QEMU, edk2. `upstream` is as near to releases/upstream.toml as the pool is. After
# a slash: the revision whose patches belong to it, for Debian's tarballs lack files that upstream's have.
declare -A pool=(
    [debian]="l/linux/linux_6.12.107 q/qemu/qemu_10.0.13+ds/-0+deb13u1 e/edk2/edk2_2025.02/-8+deb13u1"
    [upstream]="l/linux/linux_6.18.5 q/qemu/qemu_10.2.2+ds/-1 e/edk2/edk2_2025.11"
    [newest]="l/linux/linux_7.2.8 q/qemu/qemu_11.1.1+ds/-1 e/edk2/edk2_2026.05/-3"
)
# What cannot be, and why.
declare -A unfit=([debian-11/newest/qemu]="QEMU 11.1 asks for gcc 10.4; Debian 11 has 10.2, Ubuntu 22.04 11.4")
mirror=$(find /etc/apt -name '*.list' -exec cat {} + -o -name '*.sources' -exec cat {} + |
    awk '$1 == "URIs:" || $1 == "deb" {for (i = 2; i <= NF; i++) if ($i ~ /\/debian\/?$/ && !found++) print $i}')

[ -n "${SNPFORGE:-}" ] || cargo build --release
program=${SNPFORGE:-$PWD/${CARGO_TARGET_DIR:-target}/release/snpforge}
mkdir -p "$folder/project" "$folder/tarballs"
cp -r releases images kvm.conf Containerfile.* "$folder/project"
# Debian 11 is signed by Debian 12's key, too. One link has another name there.
sed -e 's/bookworm"\]/bullseye"]/; s/Debian 12 (bookworm)/Debian 11 (bullseye)/' \
    -e '/which\.debianutils/d' images/debian-12.toml >"$folder/project/images/debian-11.toml"

fetch() { # fetch FILE PATH
    [ -s "$1" ] || { curl -sfL --retry 3 -o "$1.part" "${mirror%/}/pool/main/$2" && mv "$1.part" "$1"; }
}

commit() { # commit FOLDER: all of it, as a repository; prints the commit
    git -C "$1" init -q --initial-branch=main
    git -C "$1" config core.autocrlf false
    git -C "$1" add --all --force "${@:2}"
    git -C "$1" -c user.name=a -c user.email=a@example.org commit -q --allow-empty -m "$1"
    git -C "$1" rev-parse HEAD
}

# Upstream's edk2 as it is in git: a repository with its submodules, each of its own, made from a whole tree. Those that
# releases/upstream.toml leaves out lead nowhere. Prints the TOML.
remotes_of() { # remotes_of TREE
    local remotes=$folder/remotes path url hash brotli=
    rm -rf "$remotes"
    mkdir -p "$remotes"
    while read -r path; do
        url=$remotes/$(basename "$path")
        case $path in
            UnitTestFrameworkPkg/*) hash=$(printf '1%.0s' {1..40}) ;;
            *BrotliCompress/brotli) url=$remotes/brotli hash=$brotli ;;
            *)
                mv "$1/$path" "$url"
                hash=$(commit "$url")
                case $path in *brotli) brotli=$hash ;; esac
                ;;
        esac
        git config -f "$1/.gitmodules" "submodule.$path.url" "file://$url"
        echo "160000,$hash,$path" >>"$remotes/links"
        rm -rf "${1:?}/$path"
    done < <(sed -nE 's/^[[:space:]]*path *= *//p' "$1/.gitmodules")
    commit "$1" >/dev/null
    while read -r path; do git -C "$1" update-index --add --cacheinfo "$path"; done <"$remotes/links"
    git -C "$1" -c user.name=a -c user.email=a@example.org commit -q -m links
    mv "$1" "$remotes/edk2"
    printf '[ovmf.source.git]\nversion = "202511"\nurl = "file://%s"\nrev = "main"\n' "$remotes/edk2"
    awk '/^\[ovmf.source.git\]/{p=1} p && /^without-submodules/{q=1} p && q' releases/upstream.toml
}

# Gives a tree of QEMU the Python wheels that upstream's tarball has and Debian's lacks.
wheels_of() { # wheels_of TREE
    awk '/^\[/ {ours = $1 == "[meson]" || $1 == "[tooling]"}
        ours && /installed *=/ {gsub(/"/, ""); match($0, /installed = [^,} ]*/)
            print $1 "==" substr($0, RSTART + 12, RLENGTH - 12)}' "$1/pythondeps.toml" |
        xargs pip download --quiet --no-deps --only-binary :all: --dest "$1/python/wheels"
}

# The TOML of a tarball, which is fetched to know its digest; fails when the mirror lacks it.
source_of() { # source_of KEY POOL
    local name version revision file tree
    IFS=/ read -r _ _ name revision <<<"$2"
    version=${name##*_}
    file=$folder/tarballs/$name.orig.tar.xz
    fetch "$file" "${2%"/$revision"}.orig.tar.xz" || return 1
    if [ "$1" != kernel-guest ]; then
        tree=$folder/tarballs/tree
        rm -rf "$tree"
        mkdir "$tree"
        tar -xf "$file" -C "$tree" --strip-components=1
        if [ -n "$revision" ]; then
            fetch "$folder/tarballs/$name$revision.debian.tar.xz" "${2%"/$revision"}$revision.debian.tar.xz" || return 1
            tar -xf "$folder/tarballs/$name$revision.debian.tar.xz" -C "$tree"
            [ "$1" != qemu ] || wheels_of "$tree" || return 1
        elif [ "$1" = ovmf ]; then
            remotes_of "$tree"
            return
        fi
        file=$folder/tarballs/$name$revision.tar
        tar -C "$folder/tarballs" --sort=name --mtime=@0 --owner=0 --group=0 -cf "$file" tree
        rm -rf "$tree"
    fi
    printf '[%s.source.tarball]\nversion = "%s"\nsha256 = "%s"\nurls = ["file://%s"]\n' \
        "$1" "${version%+*}" "$(sha256sum "$file" | cut -d' ' -f1)" "$file"
}

# A release of one component: what releases/upstream.toml says of it, with another source.
release() { # release SET COMPONENT
    local parts
    read -ra parts <<<"${pool[$1]}"
    echo 'format = 1
summary = "for tests/bracket.sh"
image = "debian-12"'
    case $2 in
        kernel-guest) source_of kernel-guest "${parts[0]}" ;;
        qemu)
            awk '/^\[archives/{p=1} /^$/{p=0} p' releases/upstream.toml
            # Debian 11 has no tomli, Ubuntu 22.04's image has it; QEMU 11 asks for wheel.
            awk '/^\[qemu\]/{p=1} /^$/{p=0}
                p && /^\]/ {for (i = split("tomli wheel", names); i; i--)
                    printf "    { folder = \"%s\", source = { binary-package = { archive = \"debian-13\", package = \"python3-%s\" } } },\n",
                        names[i], names[i]}
                p' releases/upstream.toml
            source_of qemu "${parts[1]}"
            ;;
        ovmf)
            printf '[ovmf]\nbuild = "RELEASE"\n'
            source_of ovmf "${parts[2]}"
            ;;
    esac
}

build() { # build IMAGE SET COMPONENT
    local name=$2-$3 begun=$SECONDS row=$1/$2/$3 log=$folder/$1-$2-$3
    if [ -n "${unfit[$row]:-}" ]; then
        echo "$row: skipped: ${unfit[$row]}" | tee -a "$folder/table"
        return 0
    fi
    # In a shell of its own: what fails in it stops it.
    (set -e && release "$2" "$3") >"$folder/project/releases/$name.toml" &
    wait $! || {
        echo "$row: skipped: the mirror has not all of ${pool[$2]}, or making the sources failed" | tee -a "$folder/table"
        return 0
    }
    if XDG_CACHE_HOME=$folder/cache "$program" --project "$folder/project" build "$3" --release "$name" --image "$1" --profile lean \
        --engine embedded --out "$log.out" --progress plain >"$log.log" 2>&1; then
        echo "$row: built in $((SECONDS - begun)) s: $(cd "$log.out" && sha256sum ./*.tar.gz | cut -c1-16,65-)" | tee -a "$folder/table"
    else
        echo "$row: FAILED, see $log.log: $(grep -m 1 -A 2 '^error' "$log.log" | paste -sd' ')" | tee -a "$folder/table"
        failed=1
    fi
}

failed=0
: >"$folder/table"
all=()
for image in "${images[@]}"; do
    for set in debian upstream newest; do
        for component in "${components[@]}"; do all+=("$image/$set/$component"); done
    done
done
[ ${#rows[@]} -gt 0 ] || rows=("${all[@]}")
for row in "${rows[@]}"; do
    [[ " ${all[*]} " == *" $row "* ]] || { echo "no such row: $row; there are ${all[*]}" >&2; exit 2; }
done
for row in "${rows[@]}"; do
    IFS=/ read -r image set component <<<"$row"
    build "$image" "$set" "$component"
done
grep -q built "$folder/table" || { echo "nothing was built" >&2; exit 1; }
exit $failed
