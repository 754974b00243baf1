#!/bin/sh
# Installs this bundle on the machine it is started on, or into the root folder of another system.
#
# Knows nothing of distributions: what a system can do is seen by the tools it has. Needs no network. Everything is checked
# before the first byte is written; every file is written whole or not at all; a second run changes nothing.
# For dash, bash and busybox ash, on any Linux. `install.sh --help` says more.

set -eu
umask 022
locale=${LC_ALL:-}
export LC_ALL=C
# With it, `cd` goes elsewhere than it is told.
unset CDPATH
# `su` without `-` leaves the folders of depmod and grub-mkconfig out.
PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

# --- 1. Words ---------------------------------------------------------------------------------------------------

help() {
    cat <<'HELP'
usage: sh install.sh [OPTION]...

Installs QEMU, its firmware, the settings of kvm_amd and the host kernel of the bundle this script lies in.

  --prefix DIR            QEMU and OVMF go to DIR/bin and DIR/share/qemu (default: /opt/snp)
  --root DIR              the system to install into (default: /, this one); every path is meant inside of it
  --only LIST             only these parts, separated by commas: qemu, ovmf, kernel, kvm-conf
  --no-kernel             all parts but the kernel
  --dry-run               check everything, print what would be done, write nothing
  --allowed-signers FILE  who may sign releases, in the form of ssh-keygen(1), ALLOWED SIGNERS; FILE must have reached
                          this machine on another way than the bundle
  --identity NAME         only a signature of this principal of FILE counts (default: of any)
  --revoked FILE          keys that no longer count: a list of public keys, or a KRL of ssh-keygen
  --help                  this text

Before the first byte is written: with --allowed-signers, the signature of ../snp-release-DATE.SHA256SUMS (one file of
../snp-release-DATE.SHA256SUMS.sigs is enough) and through it SHA256SUMS; without, only damage can be found, no forgery.
Then every file of the bundle (a changed, missing or additional file, or a link, is refused), rights, read-only places
and free space: on /boot 80 MiB are kept for an initramfs.

What goes where: usr/local/* to PREFIX; launch-qemu.sh to PREFIX/bin; kvm.conf to /etc/modprobe.d/snp-kvm.conf (a file of
other content is kept as snp-kvm.conf.backup-DIGEST, a link as snp-kvm.conf.backup-link-DIGEST); the kernel to
/lib/modules/VERSION (to /usr/lib/modules where /lib is a link, or missing) and /boot. PREFIX/share/snp/journal lists what
was written: sha256sum -c checks it. A file of other content in PREFIX that it does not list is never replaced (exit code 11).

The kernel's boot entry is made by the tools the system has, the first of:
  1. kernel-install, where grubby, 20-grub.install or systemd-boot is in use (kernel and entry are then its business; not
     where a hook in /etc/kernel/postinst.d calls it anyway)
  2. run-parts for /etc/kernel/postinst.d, where update-initramfs or dracut's hook is there
  3. dracut, mkinitcpio or mkinitfs, then grub2-mkconfig or grub-mkconfig
  4. none: the files are put in place, the remaining steps printed, and the exit code is 20
It becomes the default entry only if those tools make it so.

With --root, modules.dep is made by this machine's depmod; the tools above are those of DIR and run by chroot, if this
process may and DIR has /bin/sh (mount /proc, /sys and /dev in it before, if they need them). Otherwise case 4 applies.
restorecon runs and Secure Boot is looked at only if DIR is /. Root rights are needed only where a place is not writable.

Exit codes:
  0    everything is in place, whether it was before or is now
  1    a tool failed where no failure was expected
  2    wrong use of the command line
  3    the bundle has not the form this script knows
  5    a signature, a checksum or the set of files does not match
  11   this machine does not allow it: rights, space, a read-only place, a missing tool, something in the way
  20   the kernel's files are in place; its initramfs or boot entry is left to you, steps were printed
  21   the kernel's files are in place; the system's own boot tools failed or made no entry or no initramfs
  129, 130, 131, 141, 143  interrupted (141: nobody read what it said)
After 2, 3 and 5 nothing was written, nor after 11, unless a write itself failed. Running again completes what is missing.
HELP
}

# An error names its object, the cause and the remedy, and its kind chooses the exit code.
stop() {
    printf 'install.sh: %s: %s\n' "$2" "$3" >&2
    [ -z "${4:-}" ] || printf '  remedy: %s\n' "$4" >&2
    exit "$1"
}

warn() {
    printf 'install.sh: warning: %s\n' "$*" >&2
}

# The absolute path without links of a folder, named first by what it is. `cd` would take `-P` for an option and `-` for the
# folder before. The plan is a table of lines, and what is read from a command loses the line ends at its end.
resolve() {
    case $2 in
    *[[:cntrl:]]*) stop 2 "$1" "its path holds a control character" "use another folder" ;;
    /*) cd "$2" 2>/dev/null ;;
    *) cd "./$2" 2>/dev/null ;;
    esac || stop 11 "$1 $2" "this folder cannot be entered"
    resolved=$(pwd -P && printf .)
    resolved=${resolved%??}
    case $resolved in *[[:cntrl:]]*) stop 2 "$1" "its path holds a control character" "use another folder" ;; esac
    printf '%s\n' "$resolved"
}

# One line per deed, the same words whether it is done or only shown.
acted=0
tell() {
    acted=1
    if [ "$dry" = 1 ]; then printf 'would: %s\n' "$*"; else printf '%s\n' "$*"; fi
}

# What was unfinished goes, whatever ends the script.
work='' temp='' stage='' journal_lock='' modules_lock=''
clean() {
    [ -z "$temp" ] || rm -f "$temp"
    [ -z "$stage" ] || rm -rf "$stage"
    [ -z "$work" ] || rm -rf "$work"
    [ -z "$modules_lock" ] || rmdir "$modules_lock" 2>/dev/null || :
    [ -z "$journal_lock" ] || rmdir "$journal_lock" 2>/dev/null || :
}
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 131' QUIT
trap 'exit 141' PIPE
trap 'exit 143' TERM

# --- 2. The command line ----------------------------------------------------------------------------------------

misuse() {
    stop 2 "$1" "$2" "install.sh --help lists the options"
}

prefix=/opt/snp root=/ only='' no_kernel=0 dry=0 signers='' identity='' revoked=''
while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
    --prefix=* | --root=* | --only=* | --allowed-signers=* | --identity=* | --revoked=*)
        value=${option#*=}
        option=${option%%=*}
        ;;
    --prefix | --root | --only | --allowed-signers | --identity | --revoked)
        [ $# -gt 0 ] || misuse "$option" "its value is missing"
        value=$1
        shift
        ;;
    --no-kernel) no_kernel=1 && continue ;;
    --dry-run) dry=1 && continue ;;
    --help | -h) help && exit 0 ;;
    *) misuse "$option" "unknown option" ;;
    esac
    [ -n "$value" ] || misuse "$option" "its value is empty"
    case $option in
    --prefix) prefix=$value ;;
    --root) root=$value ;;
    --only) only=$only,$value ;;
    --allowed-signers) signers=$value ;;
    --identity) identity=$value ;;
    --revoked) revoked=$value ;;
    esac
done

parts=' qemu ovmf kernel kvm-conf '
if [ -n "$only" ]; then
    [ $no_kernel = 0 ] || misuse --no-kernel "it cannot stand beside --only"
    parts=' '
    for part in $(printf '%s' "$only" | tr ',' ' '); do
        case $part in
        qemu | ovmf | kernel | kvm-conf) parts="$parts$part " ;;
        *) misuse "--only $part" "unknown part: there are qemu, ovmf, kernel and kvm-conf" ;;
        esac
    done
    [ "$parts" != ' ' ] || misuse --only "it names no part"
elif [ $no_kernel = 1 ]; then
    parts=' qemu ovmf kvm-conf '
fi
wanted() {
    case $parts in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

case $prefix in
*[[:cntrl:]]*) misuse "--prefix" "its value holds a control character" ;;
/*) ;;
*) misuse "--prefix $prefix" "it is no absolute path" ;;
esac
case /$prefix/ in */../* | */./*) misuse "--prefix $prefix" "it holds . or .." ;; esac
prefix=/$(printf '%s' "$prefix" | tr -s / | sed 's|^/||; s|/$||')
case $prefix in
/ | /usr) misuse "--prefix $prefix" "that place belongs to the system's package manager" ;;
esac
if [ -z "$signers" ] && [ -n "$identity$revoked" ]; then
    misuse "--identity, --revoked" "they mean something only with --allowed-signers"
fi
[ -d "$root" ] || misuse "--root $root" "there is no such folder"
root=$(resolve --root "$root")
[ "$root" != / ] || root=''
for file in "$signers" "$revoked"; do
    [ -z "$file" ] || { [ -f "$file" ] && [ -r "$file" ]; } || misuse "$file" "there is no such file, or it cannot be read"
done

# --- 3. The bundle: whole, unchanged, signed --------------------------------------------------------------------

for tool in awk cat chmod cmp cp cut df find grep gzip id ln mkdir mktemp mv od readlink rm rmdir sed sort sync \
    tar tr uname wc xargs; do
    command -v $tool >/dev/null 2>&1 ||
        stop 11 "$tool" "this machine lacks it" "install it; busybox has all that this script needs"
done
if command -v sha256sum >/dev/null 2>&1; then
    sha256='sha256sum'
elif busybox sha256sum </dev/null >/dev/null 2>&1; then
    sha256='busybox sha256sum'
else
    stop 11 sha256sum "this machine lacks it" "install coreutils or busybox"
fi
digest() {
    $sha256 | cut -c 1-64
}

script=$0
[ ! -L "$script" ] || script=$(readlink -f "$script")
case $script in */*) bundle=${script%/*} ;; *) bundle=. ;; esac
bundle=$(resolve "this bundle" "${bundle:-/}")
name=${bundle##*/}
if [ ! -f "$bundle/install.sh" ] || [ ! -f "$bundle/SHA256SUMS" ]; then
    stop 3 "$bundle" "this folder is no bundle: install.sh and SHA256SUMS do not lie in it" \
        "start the script in the unpacked snp-release-DATE folder"
fi
temporary=$(resolve TMPDIR "${TMPDIR:-/tmp}")
work=$(mktemp -d "$temporary/snp-install.XXXXXX") || stop 11 "${TMPDIR:-/tmp}" "no folder can be made in it" "set TMPDIR"

# Checked is what was copied: a medium can change while it is read.
cat "$bundle/SHA256SUMS" >"$work/sums"

# Sets `signer` and `signature` if one signature beside the bundle counts; else `complaints` says why none does.
find_signature() {
    signer='' tried=0
    : >"$work/complaints"
    for signature in "$1".sigs/*.sig; do
        [ -f "$signature" ] || continue
        tried=$((tried + 1))
        shown=$(printf '%s' "${signature##*/}" | tr -c 'A-Za-z0-9._+-' '?')
        if [ "$shown" != "${signature##*/}" ]; then
            printf '  %s: no signature of a release has such a name\n' "$shown" >>"$work/complaints"
            continue
        fi
        cat "$signature" >"$work/sig"
        if [ -n "$identity" ]; then
            printf '%s\n' "$identity" >"$work/principals"
        elif ssh-keygen -Y find-principals -f "$signers" -s "$work/sig" >"$work/found" 2>"$work/said"; then
            # A line of the list may name several, and patterns to be left out.
            tr ',' '\n' <"$work/found" | sed '/^!/d; /^$/d' >"$work/principals"
        else
            printf '  %s: its key is not among the allowed signers\n' "$shown" >>"$work/complaints"
            continue
        fi
        while IFS= read -r principal; do
            if ssh-keygen -Y verify -f "$signers" -I "$principal" -n snp-release -s "$work/sig" \
                ${revoked:+-r "$revoked"} <"$work/outer" >"$work/said" 2>&1; then
                signer=$principal
                return 0
            fi
            # It ends its lines with a carriage return.
            tr -d '\r' <"$work/said" | while IFS= read -r line; do
                printf '  %s: %s\n' "$shown" "$line"
            done >>"$work/complaints"
        done <"$work/principals"
    done
    [ $tried -gt 0 ] || printf '  %s\n' "$1.sigs holds no *.sig" >>"$work/complaints"
    return 1
}

check_signature() {
    command -v ssh-keygen >/dev/null 2>&1 ||
        stop 11 ssh-keygen "this machine lacks it, so --allowed-signers cannot be kept" "install OpenSSH 8.2 or newer"
    case $signers in */*) folder=${signers%/*} ;; *) folder=. ;; esac
    folder=$(resolve --allowed-signers "${folder:-/}")
    case $folder/ in
    "$bundle"/*) stop 2 "$signers" "a list inside the bundle proves nothing about the bundle" "get it on another way" ;;
    esac
    case $name in
    *[!A-Za-z0-9._+~-]*) named=0 ;;
    snp-release-?*) named=1 ;;
    *) named=0 ;;
    esac
    [ $named = 1 ] || stop 5 "$bundle" "a signed release is named snp-release-DATE" "give the folder the name it had"
    outer=$bundle.SHA256SUMS
    [ -f "$outer" ] || stop 5 "$outer" "it is missing, so there is nothing signed" \
        "copy it and its folder .sigs beside the unpacked bundle"
    cat "$outer" >"$work/outer"
    if ! find_signature "$outer"; then
        cat "$work/complaints" >&2
        stop 5 "$outer" "no signature counts${identity:+ as one of $identity}" \
            "get the release again, or the current list of signers${revoked:+ (a key may be revoked)}; look at this machine's clock"
    fi
    awk -v path="$name/SHA256SUMS" 'substr($0, 67) == path { print substr($0, 1, 64) }' "$work/outer" >"$work/said"
    if [ "$(cat "$work/said")" != "$(digest <"$work/sums")" ]; then
        stop 5 "$bundle/SHA256SUMS" "it is not the one that ${outer##*/} was signed for" \
            "use the folder and the signed file of one release"
    fi
    printf 'origin: signed by %s (%s)\n' "$signer" "$shown"
}

# The form of SHA256SUMS: digest, two spaces, a path inside the bundle; each path once.
check_list() {
    awk '
        function wrong(why) { printf "line %d: %s\n", NR, why; exit }
        {
            path = substr($0, 67)
            if (length($0) < 67 || substr($0, 1, 64) ~ /[^0-9a-f]/ || substr($0, 65, 2) != "  ")
                wrong("it is not a digest, two spaces and a path")
            if (path ~ /[^A-Za-z0-9._+~\/-]/) wrong("a character that no file of a bundle has")
            if (("/" path "/") ~ /\/\.?\.?\//) wrong("the path " path " may lead out of the bundle")
            if (path == "SHA256SUMS") wrong("it lists itself")
            if (path in seen) wrong("the path " path " stands there twice")
            seen[path] = 1
        }' "$work/sums" >"$work/said"
    [ ! -s "$work/said" ] || stop 5 "$bundle/SHA256SUMS" "$(cat "$work/said")" "$again"
    cut -c 67- "$work/sums" | sort >"$work/listed"
    [ -s "$work/listed" ] || stop 5 "$bundle/SHA256SUMS" "it lists nothing" "$again"
}

# Exactly the listed files, all of them plain.
check_set() {
    (cd "$bundle" && find . -name '*[!A-Za-z0-9._+~-]*') >"$work/said"
    [ ! -s "$work/said" ] || stop 5 "$(head_of "$work/said")" "a file with such a name is in no bundle" "$again"
    (cd "$bundle" && find . ! -type f ! -type d) >"$work/said"
    [ ! -s "$work/said" ] || stop 5 "$(head_of "$work/said")" "a bundle holds plain files only, no link or device" "$again"
    (cd "$bundle" && find . -type f) | sed 's|^\./||' | grep -vx SHA256SUMS | sort >"$work/there"
    awk 'NR == FNR { listed[$0]; next } !($0 in listed)' "$work/listed" "$work/there" >"$work/said"
    [ ! -s "$work/said" ] || stop 5 "$(head_of "$work/said")" "this file is not part of the release" "remove it; or $again"
    awk 'NR == FNR { there[$0]; next } !($0 in there)' "$work/there" "$work/listed" >"$work/said"
    [ ! -s "$work/said" ] || stop 5 "$(head_of "$work/said")" "this file of the release is missing" "$again"
    cmp -s "$work/there" "$work/listed" || stop 5 "$bundle" "a file has two names" "$again"
}

head_of() {
    printf '%s/%s' "$bundle" "$(sed 's|^\./||; q' "$1")"
}

check_files() {
    # shellcheck disable=SC2086 # two words, if it is busybox
    (cd "$bundle" && sed 's|^|./|' "$work/listed" | xargs $sha256) >"$work/computed" 2>"$work/said" ||
        stop 11 "$bundle" "it cannot be read: $(cat "$work/said")" "look at the medium"
    sed 's|  \./|  |' "$work/computed" | awk '
        NR == FNR { digest[substr($0, 67)] = substr($0, 1, 64); next }
        digest[substr($0, 67)] != substr($0, 1, 64) { print substr($0, 67) }' - "$work/sums" >"$work/said"
    [ ! -s "$work/said" ] || stop 5 "$(head_of "$work/said")" "its content is not the released one (SHA-256)" "$again"
}

again="unpack the release's tarball again into an empty folder"
if [ -n "$signers" ]; then
    check_signature
else
    warn "without --allowed-signers only damage can be found: where this bundle comes from is not checked"
fi
check_list
check_set
check_files
printf 'bundle: %s, %d files as listed in SHA256SUMS\n' "$name" "$(wc -l <"$work/listed")"

# --- 4. The system: places and tools ----------------------------------------------------------------------------

# The place on this machine of a path of the system. Links are followed inside the root: an absolute one must not lead
# from another system's folder into this one.
place() {
    rest=$1 at='' hops=0
    while [ -n "$rest" ]; do
        rest=${rest#"${rest%%[!/]*}"}
        step=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest='' ;; esac
        case $step in
        '' | .) ;;
        ..) at=${at%/*} ;;
        *)
            if [ -L "$root$at/$step" ]; then
                hops=$((hops + 1))
                [ $hops -le 40 ] || stop 11 "$root$at/$step" "too many links follow one another" "look at the system's root"
                link=$(readlink "$root$at/$step")
                case $link in *[[:cntrl:]]*) stop 11 "$root$at/$step" "this link holds a control character" "make it anew" ;; esac
                case $link in /*) at='' ;; esac
                rest=$link/$rest
            else
                at=$at/$step
            fi
            ;;
        esac
    done
    printf '%s\n' "$root$at"
}

# This machine's depmod, or nothing. Found by its path: busybox's shell would take its own instead of the machine's.
find_depmod() {
    IFS=:
    for tools in $PATH; do
        if [ -x "$tools/depmod" ]; then
            unset IFS
            printf '%s\n' "$tools/depmod"
            return 0
        fi
    done
    unset IFS
    command -v depmod || :
}

# Whether the system has a tool.
has() {
    if [ -z "$root" ]; then
        command -v "$1" >/dev/null 2>&1
        return
    fi
    for tools in usr/local/sbin usr/local/bin usr/sbin usr/bin sbin bin; do
        tools=$(place $tools)
        # An absolute link to a tool cannot be followed from here, but is one.
        if [ -x "$tools/$1" ] || [ -L "$tools/$1" ]; then return 0; fi
    done
    return 1
}

# Runs a tool of the system, in the language that this script was started in.
in_root() (
    if [ -n "$locale" ]; then LC_ALL=$locale; else unset LC_ALL; fi
    if [ -z "$root" ]; then "$@"; else chroot "$root" "$@"; fi </dev/null
)

# chroot without root rights, or into a folder without a shell, is not possible; looking costs nothing.
enterable() {
    [ -n "$root" ] || return 0
    [ "$(id -u)" = 0 ] || return 1
    # A dry run starts nothing of another system.
    if [ $dry = 1 ]; then [ -x "$(place /bin/sh)" ]; else chroot "$root" /bin/sh -c : </dev/null >/dev/null 2>&1; fi
}

systemd_boot() {
    for folder in /boot /efi /boot/efi; do
        folder=$(place $folder)/loader
        if [ -e "$folder/loader.conf" ] || [ -d "$folder/entries" ]; then return 0; fi
    done
    return 1
}

# Sets `method`: which tools make the boot entry.
choose_method() {
    hooks=$(place /etc/kernel/postinst.d)
    if has kernel-install && ! grep -qs kernel-install "$hooks"/* &&
        { has grubby || [ -e "$(place /usr/lib/kernel/install.d)/20-grub.install" ] || systemd_boot; }; then
        method=kernel-install
    elif has run-parts && [ -d "$hooks" ] && { has update-initramfs || [ -x "$hooks/dracut" ]; }; then
        method=postinst.d
    elif has dracut; then
        method=dracut
    elif has mkinitcpio; then
        method=mkinitcpio
    elif has mkinitfs; then
        method=mkinitfs
    else
        method=none
    fi
    loader=none
    for tool in grub2 grub; do
        if [ $loader = none ] && has $tool-mkconfig && [ -d "$(place /boot/$tool)" ]; then loader=$tool; fi
    done
}

# The steps from files to a boot entry, each handed to the function named in $1.
boot_steps() {
    # Another system's root may be of another machine: this one's hardware says nothing about it.
    case $method in
    kernel-install) "$1" kernel-install add "$version" "$modules_path/$version/vmlinuz" ;;
    postinst.d) "$1" run-parts --exit-on-error --arg="$version" --arg="/boot/vmlinuz-$version" /etc/kernel/postinst.d ;;
    dracut) "$1" dracut --force ${root:+--no-hostonly} --kver "$version" ;;
    mkinitcpio) "$1" mkinitcpio ${root:+-S autodetect} -k "$version" -g "/boot/initramfs-$version.img" ;;
    mkinitfs) "$1" mkinitfs -o "/boot/initramfs-$version" "$version" ;;
    esac
    case $method in
    dracut | mkinitcpio | mkinitfs) [ "$loader" = none ] || "$1" "$loader-mkconfig" -o "/boot/$loader/grub.cfg" ;;
    esac
}

# Whether a boot entry names the kernel, in a form this script knows.
entry_named() {
    for folder in /boot /efi; do
        folder=$(place $folder)
        [ -d "$folder" ] || continue
        [ -z "$(find "$folder" \( -name "*$version*.conf" -o -name "*$version*.efi" \) -type f 2>/dev/null)" ] || return 0
        ! grep -qs "vmlinuz-$version" "$folder"/grub*/grub.cfg "$folder"/grub/grub.conf || return 0
    done
    return 1
}

# Whether an initramfs is there, under one of the names that their makers give it, or in one file with the kernel.
initramfs_exists() {
    for folder in /boot /efi "$modules_path/$version"; do
        folder=$(place "$folder")
        [ -d "$folder" ] || continue
        [ -z "$(find "$folder" ! -type d \( -name "initrd.img-$version" -o -name "initrd-$version" -o -name "initramfs-$version" \
            -o -name "initramfs-$version.img" -o -path "*/$version/initrd" -o -name "*$version*.efi" \) 2>/dev/null)" ] || return 0
    done
    return 1
}

# Whether the tools did what they are for: some succeed without making an entry.
entry_exists() {
    case $method in
    kernel-install) entry_named ;;
    *) initramfs_exists && { [ "$loader" = none ] || entry_named; } ;;
    esac
}

# Whether no tool is known here that would make the entry, and none made it: a hook may call one that is not known.
lacks_entry() {
    case $method in
    kernel-install) return 1 ;;
    postinst.d) [ $dry = 0 ] || [ $boot_todo = 0 ] || return 1 ;;
    esac
    [ "$loader" = none ] && ! entry_named
}

# --- 5. The plan: pure looking ----------------------------------------------------------------------------------

# FAT, which /boot may be, has no modes.
mode_fits() {
    case $2 in /boot/*) return 0 ;; esac
    [ -n "$(find "$3" -prune -perm "$1")" ]
}

# Adds one file to the plan: its digest, mode, source and path in the system.
plan_file() {
    host=$(place "${4%/*}")/${4##*/}
    if [ -d "$host" ]; then
        stop 11 "$host" "a folder is where a file of the bundle belongs" "move it away, or choose another --prefix"
    elif [ ! -e "$host" ] && [ ! -L "$host" ]; then
        state=create
    elif [ -f "$host" ] && [ ! -L "$host" ] && [ "$(digest <"$host")" = "$1" ]; then
        if mode_fits "$2" "$4" "$host"; then state=same; else state=replace; fi
    else
        state=replace
        case $4 in
        /etc/modprobe.d/snp-kvm.conf) ;;
        "$prefix"/*)
            cut -c 67- "$work/old" | grep -qxF "$4" ||
                stop 11 "$host" "it is of others: $journal does not list it" "move it away, or choose another --prefix"
            ;;
        esac
    fi
    printf '%s\t%s\t%s\t%s\t%s\t%s\n' $state "$2" "$1" "$3" "$4" "$host" >>"$work/plan"
    printf '%s  %s\n' "$1" "$4" >>"$work/entries"
    [ $state = same ] || {
        pending=$((pending + 1))
        need "${host%/*}" "$(wc -c <"$3")"
    }
}

# The same for a file of a part that may not be wanted: part, digest, mode, path in the bundle, path in the system.
plan_part() {
    if wanted "$1"; then plan_file "$2" "$3" "$bundle/$4" "$5"; fi
}

# What a folder of the system has to take, in bytes.
need() {
    printf '%s\t%s\n' "$2" "$1" >>"$work/needs"
}

plan_files() {
    while read -r sum path; do
        case $path in
        usr/local/share/qemu/OVMF*) plan_part ovmf "$sum" 644 "$path" "$prefix/${path#usr/local/}" ;;
        usr/local/bin/* | usr/local/libexec/*) plan_part qemu "$sum" 755 "$path" "$prefix/${path#usr/local/}" ;;
        usr/local/*) plan_part qemu "$sum" 644 "$path" "$prefix/${path#usr/local/}" ;;
        launch-qemu.sh) plan_part qemu "$sum" 755 "$path" "$prefix/bin/$path" ;;
        kvm.conf) plan_part kvm-conf "$sum" 644 "$path" /etc/modprobe.d/snp-kvm.conf ;;
        esac
    done <"$work/sums"
    for pair in qemu:usr/local/bin/qemu-system-x86_64 ovmf:usr/local/share/qemu/OVMF.fd kvm-conf:kvm.conf; do
        if wanted "${pair%%:*}" && ! grep -qxF "${pair#*:}" "$work/listed"; then
            stop 3 "$bundle" "it holds no ${pair%%:*}" "leave this part out with --only"
        fi
    done
}

# Sets `tarball` and `version`; the members stand in `modules` (below usr/lib/modules) and `boot`.
read_kernel() {
    grep '^linux/host/linux-.*\.tar\.gz$' "$work/listed" >"$work/said" || :
    [ "$(wc -l <"$work/said")" -eq 1 ] ||
        stop 3 "$bundle/linux/host" "it holds not one linux-VERSION.tar.gz but $(wc -l <"$work/said")" \
            "leave the kernel out with --no-kernel"
    tarball=$bundle/$(cat "$work/said")
    tarball_sum=$(awk -v path="$(cat "$work/said")" 'substr($0, 67) == path { print substr($0, 1, 64) }' "$work/sums")
    version=${tarball##*/linux-}
    version=${version%.tar.gz}
    tar -tzf "$tarball" >"$work/members" 2>"$work/said" || stop 3 "$tarball" "it cannot be read: $(cat "$work/said")" "$again"
    awk -v version="$version" '
        function wrong(why) { print $0 ": " why; exit }
        BEGIN {
            home = "usr/lib/modules/" version "/"
            split("vmlinuz config System.map", names, " ")
            for (i in names) file["boot/" names[i] "-" version]
        }
        { path = $0; folder = sub(/\/$/, "", path) }
        path ~ /[^A-Za-z0-9._+~\/-]/ || ("/" path "/") ~ /\/\.?\.?\// { wrong("an odd name") }
        path in seen { wrong("it is there twice") }
        { seen[path] = 1 }
        folder && (path == "boot" || index(home, path "/") == 1 || index(path "/", home) == 1) { next }
        folder { wrong("a folder that no kernel of a bundle has") }
        !($0 in file) && index($0, home) != 1 { wrong("a file that no kernel of a bundle has") }' "$work/members" >"$work/said"
    [ ! -s "$work/said" ] || stop 3 "$tarball" "$(cat "$work/said")" "$again"
    tar -tvzf "$tarball" | cut -c 1 | grep -v '[-d]' >"$work/said" || :
    [ ! -s "$work/said" ] || stop 3 "$tarball" "it holds something that is no file and no folder" "$again"
    sed -n '/\/$/d; s|^usr/lib/modules/||p' "$work/members" >"$work/modules"
    sed -n '/\/$/d; s|^boot/||p' "$work/members" >"$work/boot"
    for path in "boot/vmlinuz-$version" "boot/config-$version" "usr/lib/modules/$version/vmlinuz"; do
        grep -qxF "$path" "$work/members" || stop 3 "$tarball" "it has no $path" "$again"
    done
}

# Whether the modules are in place as the tarball has them: two streams with the same bytes. What others added is theirs.
modules_equal() {
    [ -d "$modules/$version" ] || return 1
    # xargs takes names as they are only without spaces, so the places get names below the work folder.
    ln -s "$modules" "$work/modules-there"
    sent=$(tar -xzOf "$tarball" | digest)
    found=$(cd "$work" && sed '/\/$/d; s|^boot/|unpacked/boot/|; s|^usr/lib/modules/|modules-there/|' members |
        { xargs cat 2>/dev/null || :; } | digest)
    [ "$sent" = "$found" ] || return 1
    [ -z "$depmod" ] || [ -s "$modules/$version/modules.dep" ]
}

# Modules are written file by file where others are there already: their folders must be folders of this place, no links.
check_modules() {
    awk '{
        path = $0
        while (sub(/\/[^\/]*$/, "", path)) print path
    }' "$work/modules" | sort -u >"$work/folders"
    while IFS= read -r path; do
        if [ -L "$modules/$path" ] || { [ -e "$modules/$path" ] && [ ! -d "$modules/$path" ]; }; then
            stop 11 "$modules/$path" "it is in the way of the kernel's modules, which need a folder here" "move it away"
        fi
    done <"$work/folders"
    while IFS= read -r path; do
        [ ! -d "$modules/$path" ] || stop 11 "$modules/$path" "it is in the way of a file of the kernel" "move it away"
    done <"$work/modules"
}

plan_kernel() {
    read_kernel
    modules_path=/usr/lib/modules
    # A system whose /lib is a real folder looks for its modules there.
    if [ -d "$root/lib" ] && [ ! -L "$root/lib" ]; then modules_path=/lib/modules; fi
    modules=$(place $modules_path)
    choose_method
    mkdir "$work/unpacked"
    # By their names: asked for a folder, busybox's tar fails if the folder itself is no member.
    sed 's|^|boot/|' "$work/boot" | xargs tar -xzof "$tarball" -C "$work/unpacked" ||
        stop 11 "$work" "the kernel cannot be unpacked there" "make room there, or set TMPDIR to a folder that has it"
    check_modules
    if modules_equal; then
        modules_state=same
    elif [ -d "$modules/$version" ]; then
        modules_state=repair
    else
        modules_state=create
    fi
    before=$pending
    while read -r path; do
        target=/boot/$path
        # kernel-install carries the kernel to wherever its boot loader wants it.
        if [ "$method" = kernel-install ]; then target=$modules_path/$version/${path%"-$version"}; fi
        ! grep -qxF "${target#"$modules_path/"}" "$work/modules" || continue
        plan_file "$(digest <"$work/unpacked/boot/$path")" 644 "$work/unpacked/boot/$path" "$target"
    done <"$work/boot"
    if [ "$modules_state" != same ] || [ $pending != $before ]; then
        kernel_todo=1
        # The tarball's copy and what comes out of it stand there side by side for a moment.
        need "$modules" $(($(gzip -dc <"$tarball" | wc -c) + $(wc -c <"$tarball")))
    elif ! grep -qsxF "# kernel $version $tarball_sum" "$journal"; then
        list_modules "$modules"
    fi
    if [ $kernel_todo = 1 ] || ! grep -qsxF "# boot $version $method" "$journal" || ! entry_exists; then
        boot_todo=1
        [ "$method" = none ] || need "$(place /boot)" $((80 * 1024 * 1024))
    fi
}

# Adds the modules to the entries of the journal, as they are in the folder $1.
list_modules() {
    # shellcheck disable=SC2086 # two words, if it is busybox
    (cd "$1" && xargs $sha256 <"$work/modules") | sed "s|  |  $modules_path/|" >>"$work/entries"
}

# --- 6. Checks of the machine -----------------------------------------------------------------------------------

# The nearest folder above that is there.
ancestor() {
    found=$1
    while [ -n "$found" ] && [ ! -e "$found" ] && [ ! -L "$found" ]; do found=${found%/*}; done
    printf '%s\n' "${found:-/}"
}

# Whether the mount that a path lies on is read-only: `test -w` of some shells looks at mode bits only.
read_only() {
    [ -r /proc/self/mountinfo ] || return 1
    looked_at=$1 awk '
        function plain(text) {
            gsub(/\\040/, " ", text); gsub(/\\011/, "\t", text); gsub(/\\134/, "\\", text)
            return text
        }
        BEGIN { path = ENVIRON["looked_at"] }
        {
            point = plain($5)
            if (point != "/" && path != point && index(path, point "/") != 1 || length(point) < best) next
            best = length(point)
            super = ""
            for (i = 7; i < NF; i++) if ($i == "-") { super = $(i + 3); break }
            read_only = ("," $6 "," super ",") ~ /,ro,/
        }
        END { exit !read_only }' /proc/self/mountinfo
}

check_places() {
    cut -f 2 "$work/needs" | sort -u >"$work/folders"
    while IFS= read -r folder; do
        above=$(ancestor "$folder")
        [ -d "$above" ] || stop 11 "$above" "it is no folder, but files belong below it" "move it away"
        if read_only "$above"; then
            stop 11 "$folder" "it lies on a read-only mount" \
                "mount it writable, or leave this part out: --prefix for QEMU and OVMF, --no-kernel for the kernel"
        elif [ -w "$above" ] && [ -x "$above" ]; then
            :
        elif [ $dry = 1 ]; then
            warn "$folder: this user may not write there; a real run has to be root's"
        else
            stop 11 "$folder" "this user may not write there" "run as root, or choose a --prefix of your own with --only qemu,ovmf"
        fi
    done <"$work/folders"
}

check_space() {
    awk -F '\t' '{ sum[$2] += $1 } END { for (folder in sum) printf "%.0f\t%s\n", sum[folder] / 1024 + 1, folder }' \
        "$work/needs" | while IFS='	' read -r size folder; do
        # File system and mount point may hold spaces; the percentage between them does not.
        df -Pk "$(ancestor "$folder")" | awk -v size="$size" 'NR == 2 {
            for (i = 2; i <= NF; i++) if ($i ~ /^([0-9]+%|-)$/) break
            printf "%s\t%s\t", size, $(i - 1)
            for (j = i + 1; j <= NF; j++) printf "%s%s", $j, j < NF ? " " : "\n"
        }'
    done >"$work/space"
    awk -F '\t' '{ sum[$3] += $1; free[$3] = $2 }
        END { for (at in sum) if (sum[at] > free[at]) printf "%s\t%d\t%d\n", at, sum[at] / 1024 + 1, free[at] / 1024 }' \
        "$work/space" >"$work/said"
    while IFS='	' read -r at size free; do
        stop 11 "$at" "$size MiB are needed, $free MiB are free" "make room there, or leave the kernel out with --no-kernel"
    done <"$work/said"
}

check_secure_boot() {
    state=unknown
    if command -v mokutil >/dev/null 2>&1; then
        case $(mokutil --sb-state 2>&1 || :) in *'SecureBoot enabled'*) state=on ;; esac
    else
        for file in /sys/firmware/efi/efivars/SecureBoot-*; do
            # Four bytes of attributes, then the value.
            [ ! -r "$file" ] || [ "$(od -An -tu1 -j4 -N1 "$file" | tr -d ' ')" != 1 ] || state=on
        done
    fi
    [ $state != on ] || warn "Secure Boot is on, and this kernel is not signed: the firmware will refuse it; switch Secure Boot off" \
        "in the firmware's settings, or sign the kernel with a key of your own (sbsign, mokutil)"
}

# --- 7. Writing -------------------------------------------------------------------------------------------------

# One run at a time in a place: two would put a kernel's modules into each other, or lose each other's lines of the journal.
lock() {
    mkdir -p "$1" || stop 11 "$1" "it cannot be made"
    mkdir "$1/.snp-lock" 2>"$work/said" && return
    [ -d "$1/.snp-lock" ] || stop 11 "$1" "no folder can be made in it: $(cat "$work/said")"
    stop 11 "$1/.snp-lock" "another run of this script is at work there" \
        "wait for its end; if there is none (the power failed, for instance): rmdir '$1/.snp-lock'"
}

lock_journal() {
    [ -z "$journal_lock" ] || return 0
    lock "${journal%/*}"
    journal_lock=${journal%/*}/.snp-lock
    # Another run may have written it since this one planned.
    read_journal
    compose_journal
}

# One file, whole or not at all: its source, the digest it must have, its mode, its place.
write() {
    remedy="look at that place, then run this again: what is in place is kept"
    mkdir -p "${4%/*}" || stop 11 "${4%/*}" "it cannot be made" "$remedy"
    temp=$(mktemp "${4%/*}/.snp.XXXXXX") || stop 11 "${4%/*}" "no file can be made in it" "$remedy"
    cat "$1" >"$temp" || stop 11 "$4" "it cannot be written" "$remedy"
    [ "$(digest <"$temp")" = "$2" ] || stop 5 "$1" "it changed after it was checked" "$again"
    # FAT, which /boot may be, has no modes.
    chmod "$3" "$temp" 2>/dev/null || [ "$3" = 644 ] || stop 11 "$4" "its mode cannot be set" "$remedy"
    mv -f "$temp" "$4" || stop 11 "$4" "it cannot be put in place" "$remedy"
    temp=''
}

# Puts the kernel beside its place, complete with modules.dep, so that one renaming brings it in.
unpack_kernel() {
    lock "$modules"
    modules_lock=$modules/.snp-lock
    # Left by a run that could not clean up, when the power failed for instance.
    find "$modules" -name '.snp-stage.*' -prune -mmin +60 -exec rm -rf {} + 2>/dev/null || :
    stage=$(mktemp -d "$modules/.snp-stage.XXXXXX") || stop 11 "$modules" "no folder can be made in it"
    cat "$tarball" >"$stage/linux.tar.gz" || stop 11 "$modules" "the kernel cannot be written there"
    [ "$(digest <"$stage/linux.tar.gz")" = "$tarball_sum" ] || stop 5 "$tarball" "it changed after it was checked" "$again"
    tar -xzof "$stage/linux.tar.gz" -C "$stage" || stop 11 "$modules" "the kernel cannot be unpacked there"
    rm "$stage/linux.tar.gz"
    (cd "$stage" && find . -type f) | sed 's|^\./||' | sort >"$work/there"
    sed '/\/$/d' "$work/members" | sort | cmp -s - "$work/there" || stop 3 "$tarball" "other files came out than it lists" "$again"
    chmod -R u=rwX,go=rX "$stage"
    # Where depmod looks below its base differs with how it was built.
    ln -s usr/lib "$stage/lib"
    if [ -n "$depmod" ]; then
        "$depmod" -b "$stage" "$version" || stop 11 "$depmod" "it failed on the new kernel; nothing was put in place"
    fi
    list_modules "$stage/usr/lib/modules"
}

place_modules() {
    if [ "$modules_state" = create ]; then
        # Into a folder, mv would put it below.
        [ ! -e "$modules/$version" ] || stop 11 "$modules/$version" "it was made while this script was at work" "run this again"
        mv "$stage/usr/lib/modules/$version" "$modules/$version" || stop 11 "$modules/$version" "it cannot be put in place"
    elif [ "$modules_state" = repair ]; then
        # What depmod wrote knows neither what comes now nor, from the stage, what others added. Gone first, it is made again
        # by the next run, should this one end early. A link is nothing to write through.
        for path in "$modules/$version"/modules.*; do
            [ ! -L "$path" ] || rm -f "$path"
        done
        rm -f "$modules/$version/modules.dep"
        while IFS= read -r path; do
            ! cmp -s "$stage/usr/lib/modules/$path" "$modules/$path" || continue
            mkdir -p "$modules/${path%/*}"
            mv -f "$stage/usr/lib/modules/$path" "$modules/$path" || stop 11 "$modules/$path" "it cannot be put in place"
        done <"$work/modules"
        [ -z "$depmod" ] || run_depmod
    fi
}

# This machine's depmod on the modules of the system, wherever they lie in it.
run_depmod() {
    mkdir -p "$work/base/usr/lib"
    ln -s "$modules" "$work/base/usr/lib/modules"
    ln -s usr/lib "$work/base/lib"
    "$depmod" -b "$work/base" "$version" || stop 11 "$depmod" "it failed on $modules/$version" "run it there, then run this again"
}

# The journal: what others wrote into it stays. Written before the files, so that nothing lies about unlisted.
compose_journal() {
    {
        if wanted kernel; then printf '# kernel %s %s\n' "$version" "$tarball_sum"; fi
        # The entry of a kernel that changes is not made any more, until it is made again.
        awk -v undone="$([ $boot_todo = 0 ] || printf '%s' "$version")" \
            '/^# kernel / || /^# boot / && $3 != undone' "$work/old"
        [ "$booted" = 0 ] || printf '# boot %s %s\n' "$version" "$method"
    } | sort -u >"$work/notes"
    awk 'NR == FNR { new[substr($0, 67)]; print; next } !/^#/ && !(substr($0, 67) in new)' \
        "$work/entries" "$work/old" | sort -k 2 >"$work/body"
    {
        printf '%s\n# release %s\n' "$journal_form" "$name"
        cat "$work/notes" "$work/body"
    } >"$work/journal"
}

read_journal() {
    : >"$work/old"
    [ -e "$journal" ] || return 0
    { [ -f "$journal" ] && [ -r "$journal" ]; } || stop 11 "$journal" "it is no file that can be read" "move it away"
    cat "$journal" >"$work/old"
    [ "$(sed 1q "$work/old")" = "$journal_form" ] ||
        stop 11 "$journal" "it is no journal that this script knows" "move it away, or use another --prefix"
}

write_journal() {
    cmp -s "$work/journal" "$journal" || write "$work/journal" "$(digest <"$work/journal")" 644 "$journal"
}

# Keeps what stood in the place of kvm.conf, under a name that modprobe does not read: a file with its mode and owner, a link
# as a link, since what it leads to may lie outside of the root and be for other eyes. $2 is the digest of what comes.
back_up() {
    if [ -L "$1" ]; then
        backup=$1.backup-link-$(readlink "$1" | digest | cut -c 1-12)
    elif [ -f "$1" ] && kept=$(digest <"$1") && [ "$kept" != "$2" ]; then
        backup=$1.backup-$(printf '%s' "$kept" | cut -c 1-12)
    else
        return 0
    fi
    if [ -e "$backup" ] || [ -L "$backup" ]; then return 0; fi
    tell "back up $1 to ${backup##*/}"
    if [ $dry = 1 ]; then
        return 0
    elif [ -L "$1" ]; then
        mv "$1" "$backup" || stop 11 "$1" "it cannot be renamed to ${backup##*/}" "look at that place, then run this again"
    else
        temp=$(mktemp "${1%/*}/.snp.XXXXXX") || stop 11 "${1%/*}" "no file can be made in it"
        cp -p "$1" "$temp" || stop 11 "$backup" "it cannot be written"
        [ "$(digest <"$temp")" = "$kept" ] || stop 11 "$1" "it changed while it was copied" "run this again"
        mv -f "$temp" "$backup" || stop 11 "$backup" "it cannot be put in place"
        temp=''
    fi
}

# Does what the plan says, file by file; $1 tells which: those from the bundle or those from the kernel's tarball.
write_files() {
    while IFS='	' read -r state mode sum source target host; do
        case $source in
        "$work/unpacked/"*) [ "$1" = kernel ] || continue ;;
        *) [ "$1" = bundle ] || continue ;;
        esac
        [ "$state" != same ] || continue
        if [ "$state" = replace ] && [ "$target" = /etc/modprobe.d/snp-kvm.conf ]; then back_up "$host" "$sum"; fi
        tell "$state $host"
        if [ $dry = 0 ]; then
            [ "$1" = bundle ] || source=$stage/${source#"$work/unpacked/"}
            write "$source" "$sum" "$mode" "$host"
        fi
    done <"$work/plan"
}

# --- 8. The kernel's boot entry ---------------------------------------------------------------------------------

by_hand() {
    printf '    %s\n' "$*"
}

run_step() {
    tell "run${root:+ in $root}: $*"
    [ $dry = 1 ] || in_root "$@" || stop 21 "$1" "it failed; the kernel's files are in place, the boot entry may not be" \
        "repair its cause and run install.sh again"
}

# Whether modules.dep will be missing: this machine's depmod made it, unless there is none.
lacks_depmod() {
    [ -z "$depmod" ] && [ ! -s "$modules/$version/modules.dep" ]
}

# Sets `left` if something remains for the user.
make_entry() {
    if [ "$method" = none ]; then
        left="no tool that makes an initramfs and a boot entry"
    elif ! enterable; then
        left="no way to start programs in $root"
    elif lacks_depmod && ! has depmod; then
        left="no depmod"
    else
        # They may take long, and bring the machine down: what was written so far is to stay.
        if [ $dry = 0 ]; then lock_journal; sync; fi
        ! lacks_depmod || run_step depmod "$version"
        boot_steps run_step
        [ $dry = 1 ] || entry_exists ||
            stop 21 "$method" "it succeeded, but there is no boot entry or initramfs for $version" \
                "look at the set-up of this system's boot loader, then run install.sh again"
        # Noted even if no loader is known: the tools need not run again for that.
        if [ $dry = 0 ]; then
            booted=1
            compose_journal
            write_journal
        fi
    fi
}

print_rest() {
    tell "leave the rest of the kernel's set-up to you: there is $left"
    printf 'What remains%s:\n' "${root:+, in $root}"
    ! lacks_depmod || by_hand depmod "$version"
    case $left in
    'no way'* | 'no depmod'*) boot_steps by_hand ;;
    *)
        [ "$method" != none ] || by_hand "make an initramfs with the drivers of the root file system, for kernel $version"
        by_hand "add a boot entry: kernel /boot/vmlinuz-$version, that initramfs, the options of the entry in use"
        ;;
    esac
}

# SELinux: files get the label of the place they were made in, not that of their own.
restore_labels() {
    if [ -n "$root" ] || [ $dry = 1 ] || ! command -v restorecon >/dev/null 2>&1; then return 0; fi
    { cut -f 6 "$work/plan" && printf '%s\n' "$journal"; } | sed 'p; s|/[^/]*$||' | sort -u >"$work/labelled"
    while IFS= read -r path; do
        restorecon "$path" </dev/null || warn "$path: restorecon failed, SELinux may refuse its use"
    done <"$work/labelled"
    [ $kernel_todo = 0 ] || restorecon -R "$modules/$version" </dev/null || warn "$modules/$version: restorecon failed"
}

# --- 9. The line ------------------------------------------------------------------------------------------------

[ -n "$root" ] || [ "$(uname -m)" = x86_64 ] || stop 11 "this machine" "it is of type $(uname -m)" "the bundle is for x86_64"
: >"$work/plan" && : >"$work/needs" && : >"$work/entries"
journal_form='# snp journal 1'
journal=$(place "$prefix/share/snp")/journal
depmod=$(find_depmod)
pending=0 kernel_todo=0 boot_todo=0 booted=0 left=''
read_journal
plan_files
if wanted kernel; then
    plan_kernel
    [ -n "$root" ] || check_secure_boot
fi
compose_journal
if [ $kernel_todo = 1 ] || ! cmp -s "$work/journal" "$journal"; then need "${journal%/*}" "$(wc -c <"$work/journal")"; fi
check_places
check_space

if [ $kernel_todo = 1 ]; then
    [ "$modules_state" = same ] || tell "$modules_state $modules/$version ($(wc -l <"$work/modules") files, modules.dep)"
    if [ $dry = 0 ]; then
        unpack_kernel
        compose_journal
    fi
fi
if [ $dry = 0 ] && { [ $pending -gt 0 ] || ! cmp -s "$work/journal" "$journal"; }; then lock_journal; fi
if ! cmp -s "$work/journal" "$journal"; then
    tell "write $journal"
    [ $dry = 1 ] || write_journal
fi
write_files bundle
if [ $kernel_todo = 1 ]; then
    [ $dry = 1 ] || place_modules
    write_files kernel
fi
[ $acted = 0 ] || restore_labels
[ $boot_todo = 0 ] || make_entry
if [ -z "$left" ] && wanted kernel && lacks_entry; then
    left="no boot loader tool that this script knows (grub-mkconfig with its folder in /boot)"
fi
if [ $acted = 0 ]; then
    [ -n "$left" ] || printf 'nothing to do: everything is in place\n'
elif [ $dry = 1 ]; then
    printf 'nothing was written\n'
else
    sync
    printf 'done: all of that is in place now\n'
    [ $booted = 0 ] || [ -n "$left" ] || printf 'kernel: choose %s in the boot menu; uname -r then prints it\n' "$version"
fi
if [ -n "$left" ]; then
    print_rest
    exit 20
fi
