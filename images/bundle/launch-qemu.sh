#!/bin/sh
# Starts a guest with the QEMU and the firmware that lie beside this script: a plain one, or an SEV, SEV-ES or SEV-SNP
# guest. Needs sh, QEMU and the few tools that every system has (od, dd, tee, stty, mktemp); no root where the devices
# allow it.
#
# Exit code: QEMU's own if the guest was started; else nothing was started and it is
#   64   wrong use of the command line
#   66   a file is missing or cannot be used
#   68   this machine or this user cannot run such a guest
#   70   this QEMU cannot run such a guest
#   128 + N   ended by signal N (129 HUP, 130 INT, 131 QUIT, 143 TERM)

set -u
# With a closed input the next file that is opened would become the guest's keyboard.
[ ! -d /proc/self/fd ] || [ -e /proc/self/fd/0 ] || exec </dev/null

# --- 1. Variables to change; options override them ----------------------------------------------------------------

HDA=                    # hard disk file; none: the guest has no disk
HDA_FORMAT=auto         # raw, qcow2, or auto: look into the file
CDROM_FILE=
MEM=2048                # MB
SMP=4
MAXCPUS=255             # virtual CPUs that may ever be there; never below SMP
CPU_MODEL=              # empty: EPYC-v4 with KVM, max with TCG
CONSOLE=serial          # serial: this terminal; else the argument of QEMU's -vga
USE_VIRTIO=1            # 0: the disk is an IDE disk
DISCARD=none            # for SNP on hosts 6.5 and 6.6: none or both
USE_DEFAULT_NETWORK=0
BRIDGE=                 # a bridge of the host, instead of the default network
MONITOR_PATH=monitor
QEMU_CONSOLE_LOG=       # empty: stdout.log in the working folder
CERTS_PATH=
KERNEL_FILE=
INITRD_FILE=
APPEND='console=ttyS0 earlyprintk=serial root=/dev/sda2'
KERNEL_HASHES=auto      # on, off, or auto: on with firmware that is named *amdsev*
VARS_FILE=              # the guest's variable store; empty: see the help
ACCEL=kvm               # kvm or tcg, with their properties; or auto: kvm if /dev/kvm can be used
ALLOW_DEBUG=0
CBITPOS=                # empty: ask the processor, then QEMU

EXEC_PATH=              # empty: usr/local beside this script, else the folder above this script's
QEMU_EXE=               # empty: bin/qemu-system-x86_64 in EXEC_PATH
UEFI_PATH=              # empty: share/qemu in EXEC_PATH; a folder or a file
STATE_PATH=             # empty: launch-qemu in $XDG_STATE_HOME, which is ~/.local/state unless it is set

KVM_DEVICE=/dev/kvm
SEV_DEVICE=/dev/sev
CPUID_DEVICE=/dev/cpu/0/cpuid
KVM_AMD_PARAMETERS=/sys/module/kvm_amd/parameters

# --- 2. Words -----------------------------------------------------------------------------------------------------

note() {
    printf 'launch-qemu: %s\n' "$*" >&2
}

stop() {
    code=$1
    shift
    note "$*"
    exit "$code"
}

wrong() {
    stop 64 "$* (-help lists the options)"
}

usage() {
    cat <<HELP
Usage: launch-qemu.sh [options] [-- QEMU arguments]

Kind of guest (none of them: a plain one)
  -sev               launch an SEV guest
  -sev-es            launch an SEV-ES guest
  -sev-snp           launch an SEV-SNP guest
  -allow-debug       policy that allows debugging; dumps the VMCB on exit where the kernel can
  -certs PATH        certificate blob for SNP attestation reports (needs a QEMU that knows certs-path)
  -enable-discard    SNP on hosts 6.5 and 6.6: discard memory after conversion (slower boot, less memory)
  -cbitpos N         position of the C-bit, if it cannot be read from the processor
  -accel ACCEL       kvm, tcg (slow, no SEV), or auto: kvm if $KVM_DEVICE can be used (default $ACCEL); properties may
                     follow, e.g. tcg,thread=single

Machine
  -mem MB            memory in MB (default $MEM)
  -smp N             virtual CPUs (default $SMP)
  -cpu MODEL         CPU model and flags, e.g. EPYC-v4,+avx512f (default ${CPU_MODEL:-EPYC-v4, with TCG max})
  -hda PATH          hard disk: raw or qcow2, the file's content says which (default ${HDA:-none})
  -hda-format FORMAT raw or qcow2, if the content shall not decide
  -cdrom PATH        CD-ROM image
  -default-network   user mode network
  -bridge NAME       network on a bridge of the host (needs qemu-bridge-helper)

Boot
  -bios PATH         firmware: a folder with OVMF_CODE.fd, OVMF_VARS.fd and OVMF.fd, or one file
                     (default ${UEFI_PATH:-share/qemu beside QEMU})
  -vars FILE         the guest's variable store; made from OVMF_VARS.fd if it is not there
                     (default: beside the disk, NAME.fd for NAME.qcow2; else in the state folder; without disk and
                     CD-ROM a new one that is thrown away)
  -kernel PATH       kernel to boot
  -initrd PATH       initrd for it
  -append ARGS       its command line (default "$APPEND")
  -kernel-hashes X   on or off: measure kernel, initrd and command line (default: on with OVMF.amdsev.fd)

Control
  -monitor PATH      socket of QEMU's monitor (default $MONITOR_PATH); one guest at a time has it, and its log
  -log PATH          log of the command line and the console, a new file each time
                     (default ${QEMU_CONSOLE_LOG:-stdout.log})
  -qemu PATH         QEMU to use (default ${QEMU_EXE:-bin/qemu-system-x86_64 beside the firmware})
  -dry-run           print QEMU's arguments, one a line, change nothing, start no guest
  -help              this text
  --                 all that follows goes to QEMU

On a terminal Ctrl-C goes to the guest and Ctrl-] ends it. Exit codes are listed at the head of the script.
HELP
}

# Numbers as sh and QEMU both read them: decimal, no leading zero, small enough for any sh.
number() {
    case $2 in
        '' | *[!0-9]* | 0* | ??????????*) wrong "$1 '$2' is not $3" ;;
    esac
}

# A comma ends a value in QEMU's options; doubled it is a part of the value.
value() {
    rest=$1
    escaped=
    while :; do
        case $rest in
            *,*)
                escaped=$escaped${rest%%,*},,
                rest=${rest#*,}
                ;;
            *) break ;;
        esac
    done
    escaped=$escaped$rest
}

# The words of a command as a person can paste them into a shell again.
print_command() {
    separator=
    for word; do
        printf %s "$separator"
        separator=' '
        case $word in
            '' | *[!A-Za-z0-9_./=,:+@%-]*) ;;
            *)
                printf %s "$word"
                continue
                ;;
        esac
        printf "'"
        while :; do
            case $word in
                *\'*)
                    printf "%s'\\\\''" "${word%%\'*}"
                    word=${word#*\'}
                    ;;
                *) break ;;
            esac
        done
        printf "%s'" "$word"
    done
    printf '\n'
}

# The absolute name of an existing file, links resolved. QEMU would take "a:b" for a protocol; "/x/a:b" is a file.
# The dot keeps newlines at a name's end, which a command substitution would drop.
absolute() {
    resolved=$(readlink -f -- "$1" 2>/dev/null && echo .) || resolved=
    resolved=${resolved%.}
    resolved=${resolved%?}
    [ -n "$resolved" ] && [ -e "$resolved" ]
}

need_file() {
    absolute "$2" || stop 66 "$1 '$2' does not exist: $3"
    [ ! -d "$resolved" ] || stop 66 "$1 '$2' is a folder, not a file: $3"
    [ -r "$resolved" ] || stop 66 "$1 '$2' cannot be read by $(id -un): change its mode or owner, or run as one who may"
}

# Whether two names mean one file, through whatever links; it need not be there yet.
# shellcheck disable=SC3013 # -ef is in all shells this runs under; where it fails, equal names are left
same() {
    [ "$1" != "$2" ] || return 0
    case $1 in */*) first=${1%/*}/ ;; *) first=./ ;; esac
    case $2 in */*) second=${2%/*}/ ;; *) second=./ ;; esac
    [ "$first${1##*/}" -ef "$second${2##*/}" ] 2>/dev/null ||
        { [ "${1##*/}" = "${2##*/}" ] && [ "$first" -ef "$second" ] 2>/dev/null; }
}

# What the guest has a file for, if for anything: FILE and more pairs of a use and its file, which may be empty.
use_of() {
    file=$1
    shift
    set -- "$@" disk "$HDA" CD-ROM "$CDROM_FILE" kernel "$KERNEL_FILE" initrd "$INITRD_FILE" \
        'certificate blob' "$CERTS_PATH" firmware "${image:-$code}"
    while [ $# -gt 0 ]; do
        use=$1
        [ -z "$2" ] || ! same "$file" "$2" || return 0
        shift 2
    done
    return 1
}

# Bytes of a file as two hexadecimal digits each: FILE OFFSET COUNT.
bytes() {
    od -An -v -tx1 -j "$2" -N "$3" <"$1" 2>/dev/null | tr -d ' \n'
}

# A volume of variables says what it is at byte 16, by the GUID of its file system.
is_store() {
    [ "$(bytes "$1" 16 16)" = 8d2bf1ff96768b4ca9852747075b4f50 ]
}

# --- 3. The command line ------------------------------------------------------------------------------------------

sev=none
dry_run=0
append_given=0
while [ $# -gt 0 ]; do
    option=$1
    shift
    case $option in
        -hda | -hda-format | -mem | -smp | -cpu | -bios | -vars | -kernel | -initrd | -append | -kernel-hashes | \
            -cdrom | -bridge | -monitor | -log | -certs | -accel | -cbitpos | -qemu)
            [ $# -gt 0 ] || wrong "$option wants a value"
            argument=$1
            shift
            case $argument,$option in
                ,-append | ,-hda) ;;
                ,*) wrong "$option wants a value, not an empty one" ;;
            esac
            ;;
    esac
    case $option in
        # The stronger kind wins, in whatever order they stand.
        -sev-snp) sev=snp ;;
        -sev-es) [ "$sev" = snp ] || sev=es ;;
        -sev) [ "$sev" != none ] || sev=sev ;;
        -enable-discard) DISCARD=both ;;
        -allow-debug) ALLOW_DEBUG=1 ;;
        -default-network) USE_DEFAULT_NETWORK=1 ;;
        -dry-run) dry_run=1 ;;
        -hda) HDA=$argument ;;
        -hda-format) HDA_FORMAT=$argument ;;
        -cdrom) CDROM_FILE=$argument ;;
        -mem) MEM=$argument ;;
        -smp) SMP=$argument ;;
        -cpu) CPU_MODEL=$argument ;;
        -bios) UEFI_PATH=$argument ;;
        -vars) VARS_FILE=$argument ;;
        -kernel) KERNEL_FILE=$argument ;;
        -initrd) INITRD_FILE=$argument ;;
        -append)
            APPEND=$argument
            append_given=1
            ;;
        -kernel-hashes) KERNEL_HASHES=$argument ;;
        -bridge) BRIDGE=$argument ;;
        -monitor) MONITOR_PATH=$argument ;;
        -log) QEMU_CONSOLE_LOG=$argument ;;
        -certs) CERTS_PATH=$argument ;;
        -accel) ACCEL=$argument ;;
        -cbitpos) CBITPOS=$argument ;;
        -qemu) QEMU_EXE=$argument ;;
        -h | -help | --help)
            usage
            exit 0
            ;;
        --) break ;;
        *) wrong "unknown option '$option'; arguments for QEMU itself go after --" ;;
    esac
done
# From here on "$@" holds what follows --; QEMU's own arguments are put before it at the end.
extra=$#

number -mem "$MEM" 'a number of MB such as 4096'
number -smp "$SMP" 'a number of virtual CPUs such as 4'
number MAXCPUS "$MAXCPUS" 'a number of virtual CPUs such as 255'
[ "$MAXCPUS" -ge "$SMP" ] || MAXCPUS=$SMP
if [ -n "$CBITPOS" ]; then
    number -cbitpos "$CBITPOS" 'the number of a bit such as 51'
    [ "$CBITPOS" -lt 64 ] || wrong "-cbitpos '$CBITPOS' is not the number of a bit such as 51"
fi
case $HDA_FORMAT in auto | raw | qcow2) ;; *) wrong "-hda-format '$HDA_FORMAT' is neither raw nor qcow2" ;; esac
case $KERNEL_HASHES in auto | on | off) ;; *) wrong "-kernel-hashes '$KERNEL_HASHES' is neither on nor off" ;; esac
case $DISCARD in none | both) ;; *) wrong "DISCARD '$DISCARD' is neither none nor both" ;; esac
case $ACCEL in kvm | tcg | auto | kvm,* | tcg,*) ;; *) wrong "-accel '$ACCEL' is none of kvm, tcg, auto" ;; esac
[ -z "$BRIDGE" ] || [ "$USE_DEFAULT_NETWORK" = 0 ] || wrong "-bridge and -default-network exclude each other: give one"
if [ -z "$KERNEL_FILE" ]; then
    [ -z "$INITRD_FILE" ] || wrong "-initrd belongs to a kernel: give -kernel too"
    [ "$append_given" = 0 ] || wrong "-append belongs to a kernel: give -kernel too"
fi
if [ "$sev" != snp ]; then
    [ -z "$CERTS_PATH" ] || wrong "-certs is for SNP guests: give -sev-snp too"
    [ "$DISCARD" = none ] || note "-enable-discard is for SNP guests: it has no effect here"
fi
case $sev in
    sev) kind=-sev ;;
    *) kind=-sev-$sev ;;
esac
if [ "$sev" != none ] && [ "${ACCEL%%,*}" = tcg ]; then
    wrong "$kind needs KVM on an AMD processor, TCG cannot encrypt: leave $kind or -accel tcg out"
fi

# --- 4. QEMU and firmware -----------------------------------------------------------------------------------------

case $0 in
    */*) script=$0 ;;
    *) [ -f "./$0" ] && script=./$0 || script=$(command -v -- "$0") || script=./$0 ;;
esac
absolute "$script" || stop 66 "this script does not know where it lies ('$0'): set EXEC_PATH at its head"
here=${resolved%/*}
if [ -z "$EXEC_PATH" ]; then
    # In the bundle the script lies beside usr/local; installed, in a folder beside bin and share.
    if [ -e "$here/usr/local/bin/qemu-system-x86_64" ]; then EXEC_PATH=$here/usr/local; else EXEC_PATH=${here%/*}; fi
fi
[ -n "$QEMU_EXE" ] || QEMU_EXE=$EXEC_PATH/bin/qemu-system-x86_64
[ -n "$UEFI_PATH" ] || UEFI_PATH=$EXEC_PATH/share/qemu
need_file QEMU "$QEMU_EXE" "give -qemu, or set QEMU_EXE or EXEC_PATH at the head of $script"
QEMU_EXE=$resolved
[ -x "$QEMU_EXE" ] || stop 66 "QEMU '$QEMU_EXE' is not executable: chmod +x it, or look for a noexec mount"
qemu_version=$("$QEMU_EXE" --version </dev/null 2>&1) ||
    stop 66 "QEMU '$QEMU_EXE' does not run here: $qemu_version; give another with -qemu"
qemu_version=${qemu_version%%'
'*}

# What -object TYPE,help prints: one "  name=<kind>" line for each property. Empty if QEMU does not know the type.
properties() {
    "$QEMU_EXE" -object "$1,help" </dev/null 2>/dev/null || :
}

has() {
    case $1 in *" $2=<"*) return 0 ;; *) return 1 ;; esac
}

# Which of the command lines that SNP has had this QEMU understands, told by what the object knows:
#   upstream  9.1 and later (vcek-disabled; AMD's tree of 2024 after it lost init-flags): memory of guest_memfd, which
#             cannot back flash, so firmware comes by -bios
#   flash     AMD's 8.2 (init-flags): flash, like any guest
#   private   AMD's 8.0 and 7.1 for hosts 6.5 and 6.6 (discard): private memfd, protected KVM type
#   first     AMD's 6.1 for hosts 5.19 (init-flags, no kernel-hashes): no memory backend
dialect=none
if [ "$sev" = snp ]; then
    snp=$(properties sev-snp-guest)
    if [ -z "$snp" ]; then
        stop 70 "QEMU '$QEMU_EXE' ($qemu_version) has no sev-snp-guest object: SNP needs QEMU 9.1 or later" \
            "built with CONFIG_SEV, or AMD's tree: give one with -qemu"
    elif has "$snp" discard; then
        dialect=private
    elif has "$snp" init-flags; then
        if has "$snp" kernel-hashes; then dialect=flash; else dialect=first; fi
    else
        dialect=upstream
    fi
    if [ -n "$CERTS_PATH" ]; then
        has "$snp" certs-path ||
            stop 70 "-certs: the sev-snp-guest object of QEMU '$QEMU_EXE' ($qemu_version) has no certs-path: leave" \
                "-certs out and let those who verify reports fetch the certificates from AMD's key service, or give" \
                "AMD's QEMU 8.2 with -qemu"
        need_file 'certificate blob' "$CERTS_PATH" 'check the path after -certs'
        CERTS_PATH=$resolved
    fi
    [ "$DISCARD" = none ] || [ "$dialect" = private ] ||
        note "-enable-discard has no effect: this QEMU ($qemu_version) has no such choice"
fi

# Firmware is a pair of flash drives (code, and variables of the guest's own) or one image for -bios.
image=
code=
template=
if [ -d "$UEFI_PATH" ]; then
    if [ "$dialect" = upstream ]; then
        image=$UEFI_PATH/OVMF.fd
    else
        code=$UEFI_PATH/OVMF_CODE.fd
        template=$UEFI_PATH/OVMF_VARS.fd
    fi
else
    need_file firmware "$UEFI_PATH" 'give a folder or a file with -bios, or set UEFI_PATH at the head of the script'
    name=${resolved##*/}
    # An image that begins with a variable store cannot be the code half.
    whole=$(! is_store "$resolved" || echo yes)
    if [ "$dialect" = upstream ]; then
        image=$resolved
    elif [ -n "$VARS_FILE" ]; then
        [ -z "$whole" ] || stop 66 "-vars: firmware '$UEFI_PATH' holds a variable store itself: give its" \
            "OVMF_CODE.fd with -bios, or leave -vars out"
        code=$resolved
    else
        case $name in
            *CODE*) code=$resolved ;;
            *) image=$resolved ;;
        esac
    fi
    if [ -n "$code" ]; then
        template=${resolved%/*}/OVMF_VARS.fd
        case $name in *CODE*) template=${resolved%/*}/${name%%CODE*}VARS${name#*CODE} ;; esac
    fi
fi
if [ -n "$image" ]; then
    need_file firmware "$image" 'give a folder or a file with -bios, or set UEFI_PATH at the head of the script'
    image=$resolved
    [ -z "$VARS_FILE" ] || stop 66 "-vars: an SNP guest of this QEMU ($qemu_version) has no variable store, its firmware" \
        "is one image ('$image'): leave -vars out"
else
    need_file 'firmware code' "$code" 'give a folder or a file with -bios, or set UEFI_PATH at the head of the script'
    code=$resolved
fi

# Hashes of kernel, initrd and command line go into the measurement only if the firmware has a page for them.
if [ "$sev" != none ]; then
    object='sev-guest'
    [ "$sev" != snp ] || object='sev-snp-guest'
    if [ "$KERNEL_HASHES" = auto ]; then
        KERNEL_HASHES=off
        firmware=${image:-$code}
        case ${firmware##*/} in *amdsev*) [ -z "$KERNEL_FILE" ] || KERNEL_HASHES=on ;; esac
        [ -z "$KERNEL_FILE" ] || [ "$KERNEL_HASHES" = on ] ||
            note "kernel, initrd and command line are not measured: -bios .../OVMF.amdsev.fd measures them"
    fi
    [ "$KERNEL_HASHES" = off ] || has "$(properties "$object")" kernel-hashes ||
        stop 70 "$object of QEMU '$QEMU_EXE' ($qemu_version) has no kernel-hashes: give -kernel-hashes off, or a newer QEMU" \
            "with -qemu"
fi

# --- 5. The guest's files -----------------------------------------------------------------------------------------

disk_format() {
    head=$(bytes "$HDA" 0 4)
    case $HDA_FORMAT in
        raw) return ;;
        qcow2)
            [ "$head" = 514649fb ] || stop 66 "disk '$HDA' is no qcow2 image, although -hda-format says so"
            return
            ;;
    esac
    case $head in
        514649fb) ;;
        4b444d56 | 23204469 | 76686478 | 51454400 | 636f6e65)
            stop 66 "disk '$HDA' is neither raw nor qcow2 (it begins with $head): convert it (qemu-img convert -O qcow2" \
                "'$HDA' disk.qcow2), or give -hda-format raw"
            ;;
        *)
            case $HDA in
                *.qcow2) stop 66 "disk '$HDA' is called qcow2 and is none: rename it, or give -hda-format raw" ;;
            esac
            HDA_FORMAT=raw
            return
            ;;
    esac
    # A guest can write a qcow2 header that names a file of the host at the start of its raw disk. Whoever looks into
    # the file must not be fooled: such names are followed only if a person called the file or the format qcow2.
    HDA_FORMAT=qcow2
    case $HDA in
        *.qcow2) return ;;
        *.raw) stop 66 "disk '$HDA' is called raw and begins like qcow2: say with -hda-format what it is" ;;
    esac
    backing=$(bytes "$HDA" 8 8)
    version=$(bytes "$HDA" 4 4)
    features=
    [ "$version" = 00000002 ] || features=$(bytes "$HDA" 79 1)
    case $backing,$features in
        0000000000000000, | 0000000000000000,?[012389ab]) ;;
        *)
            stop 66 "disk '$HDA' is a qcow2 image that names another file of this machine: if it was you who made it so," \
                "give -hda-format qcow2"
            ;;
    esac
}

guest=
beside=
if [ -n "$HDA" ]; then
    need_file disk "$HDA" "check the path after -hda; qemu-img create -f qcow2 '$HDA' 20G makes a new one"
    HDA=$resolved
    [ -w "$HDA" ] || stop 66 "disk '$HDA' cannot be written by $(id -un): change its mode or owner, or run as one who may"
    disk_format
    guest=$HDA
    [ -b "$HDA" ] || beside=${HDA%/*}
fi
if [ -n "$CDROM_FILE" ]; then
    need_file CD-ROM "$CDROM_FILE" 'check the path after -cdrom'
    CDROM_FILE=$resolved
    [ -n "$guest" ] || guest=$CDROM_FILE
fi
[ -z "$KERNEL_FILE" ] || need_file kernel "$KERNEL_FILE" 'check the path after -kernel'
[ -z "$INITRD_FILE" ] || need_file initrd "$INITRD_FILE" 'check the path after -initrd'

# Where the guest's variable store is or will be. The shared OVMF_VARS.fd is only ever copied.
vars=
temporary_vars=0
if [ -n "$code" ]; then
    if [ -n "$VARS_FILE" ]; then
        case $VARS_FILE in
            */*) vars=$VARS_FILE ;;
            *) vars=./$VARS_FILE ;;
        esac
    elif [ -z "$guest" ]; then
        temporary_vars=1
    else
        name=${guest##*/}
        short=${name%.*}
        [ -n "$beside" ] && vars=$beside/${short:-$name}.fd
        # A disk that is called NAME.fd is not its own store.
        if [ -z "$vars" ] || use_of "$vars" || { [ ! -e "$vars" ] && [ ! -w "$beside" ]; }; then
            if [ -z "$STATE_PATH" ]; then
                [ -n "${XDG_STATE_HOME:-${HOME:-}}" ] ||
                    stop 66 "there is no place for the variable store: neither HOME nor XDG_STATE_HOME is set; give -vars"
                STATE_PATH=${XDG_STATE_HOME:-$HOME/.local/state}/launch-qemu
            fi
            # Two guests of one name lie in two folders: the whole path is in the number.
            sum=$(printf %s "$guest" | cksum)
            vars=$STATE_PATH/${short:-$name}-${sum%% *}.fd
        fi
    fi
fi

check_vars() {
    need_file 'variable store' "$vars" 'check the path after -vars'
    vars=$resolved
    ! use_of "$vars" || stop 66 "variable store '$vars' is the $use too: give a file of the guest's own with -vars"
    is_store "$vars" || stop 66 "'$vars' is no variable store, it does not begin like one: give another with -vars," \
        "or move it away and a new one is made"
    [ -w "$vars" ] || stop 66 "variable store '$vars' cannot be written by $(id -un): change its mode or owner, or give" \
        "another with -vars"
    if absolute "$template"; then
        ! same "$resolved" "$vars" || stop 66 "variable store '$vars' is the template of all guests: give a" \
            "file of the guest's own with -vars"
        [ "$(wc -c <"$vars")" -eq "$(wc -c <"$resolved")" ] ||
            stop 66 "variable store '$vars' belongs to other firmware, its size is not that of '$template': move it" \
                "away and a new one is made, without its boot entries, or give another with -vars"
    fi
}

# A store that is there is never replaced, also not by another guest that starts at the same moment.
make_vars() {
    folder=${vars%/*}/
    mkdir -p -- "$folder" || stop 66 "folder '$folder' of the variable store cannot be made: give another place with -vars"
    fresh=$(mktemp -- "$folder.vars.XXXXXX") ||
        stop 66 "no file can be made in '$folder' for the variable store: give another place with -vars"
    # A file system without hard links gets a rename, which could only lose a store made in this very moment.
    if ! cat -- "$template" >"$fresh" ||
        ! { ln -- "$fresh" "$vars" 2>/dev/null || [ -e "$vars" ] || mv -- "$fresh" "$vars"; }; then
        rm -f -- "$fresh"
        stop 66 "variable store '$vars' cannot be written: give another file with -vars"
    fi
    rm -f -- "$fresh"
    fresh=
    [ "$temporary_vars" = 1 ] || note "new variable store: $vars"
}

if [ -n "$vars" ] && [ -e "$vars" ]; then
    check_vars
elif [ -n "$code" ]; then
    need_file 'variable store template' "$template" 'give a folder that holds OVMF_VARS.fd with -bios'
    template=$resolved
    is_store "$template" || stop 66 "variable store template '$template' is no variable store, it does not begin like" \
        "one: give a folder that holds OVMF_VARS.fd with -bios"
fi

# --- 6. What this machine allows ----------------------------------------------------------------------------------

usable() {
    [ -r "$1" ] && [ -w "$1" ]
}

if [ "$ACCEL" = auto ]; then
    if [ "$sev" != none ] || usable "$KVM_DEVICE"; then
        ACCEL=kvm
    else
        ACCEL=tcg
        note "$KVM_DEVICE cannot be used: TCG emulates the processor, which is slow"
    fi
fi
if [ -z "$CPU_MODEL" ]; then
    # TCG lacks most of what EPYC-v4 promises and says so for each feature.
    if [ "${ACCEL%%,*}" = tcg ]; then CPU_MODEL=max; else CPU_MODEL=EPYC-v4; fi
fi

check_device() {
    [ -e "$1" ] || stop 68 "$1 does not exist: $2"
    usable "$1" || stop 68 "$1 cannot be opened by $(id -un): $3, or run as root"
}

check_parameter() {
    setting=
    [ ! -r "$KVM_AMD_PARAMETERS/$1" ] || read -r setting <"$KVM_AMD_PARAMETERS/$1" || :
    case $setting in
        N | 0)
            stop 68 "$KVM_AMD_PARAMETERS/$1 is $setting, the host's KVM does not offer $2: install kvm.conf to" \
                "/etc/modprobe.d, check the BIOS (SMEE, SEV-ES ASID space limit, SNP memory coverage) and what" \
                "\`dmesg | grep -i -e sev -e rmp\` says"
            ;;
    esac
}

if [ "$dry_run" = 0 ] && [ "${ACCEL%%,*}" = kvm ]; then
    check_device "$KVM_DEVICE" \
        "enable SVM in the BIOS and load the module (modprobe kvm_amd); without SEV -accel tcg runs it too, slowly" \
        "add the user to the group of $KVM_DEVICE (usermod -aG kvm NAME, then log in anew)"
    if [ "$sev" != none ]; then
        check_parameter sev SEV
        [ "$sev" = sev ] || check_parameter sev_es SEV-ES
        [ "$sev" != snp ] || check_parameter sev_snp SEV-SNP
        check_device "$SEV_DEVICE" \
            "enable SMEE in the BIOS and load the module (modprobe ccp); \`dmesg | grep -i -e ccp -e sev\` says more" \
            "allow it (setfacl -m u:NAME:rw $SEV_DEVICE; udev keeps it: KERNEL==\"sev\", GROUP=\"kvm\", MODE=\"0660\")"
        # SEV and SEV-ES pin the guest's memory; without root that counts against a limit.
        locked=$(sed -n 's/^Max locked memory *\([0-9]*\) .*/\1/p' /proc/self/limits 2>/dev/null)
        if [ "$sev" != snp ] && [ "$(id -u)" != 0 ] && [ -n "$locked" ] && [ "$((locked / 1048576))" -lt "$MEM" ]; then
            note "this user may lock $((locked / 1048576)) MB of memory, the guest pins $MEM MB: if QEMU says 'Cannot" \
                "allocate memory', raise memlock in /etc/security/limits.conf"
        fi
    fi
fi

# Leaf 0x80000000 + K of CPUID as 16 decimal bytes. The device wants reads of 16 bytes and counts leaves by its offset,
# so only the first leaf can be reached by skipping; the others follow it.
cpuid_leaf() {
    dd if="$CPUID_DEVICE" bs=16 skip=134217728 count=$(($1 + 1)) 2>/dev/null | tail -c 16 | od -An -v -tu1
}

cbit_of_processor() {
    # The highest leaf must reach 0x8000001f, and the vendor say "AuthenticAMD": others answer with noise.
    read -r a b c d e f g h i j k l m n o p <<BYTES
$(cpuid_leaf 0)
BYTES
    [ -n "${p:-}" ] || return 1
    if [ "$d$c$b" != 12800 ] || [ "$a" -lt 31 ] ||
        [ "$e $f $g $h $i $j $k $l $m $n $o $p" != '65 117 116 104 99 65 77 68 101 110 116 105' ]; then
        stop 68 "$kind: this processor is no AMD processor with memory encryption, its CPUID has no leaf 0x8000001f: use" \
            "another machine, or leave $kind out"
    fi
    read -r a b c d e f <<BYTES
$(cpuid_leaf 31)
BYTES
    case $sev in sev) feature=1 ;; es) feature=3 ;; *) feature=4 ;; esac
    [ $((a >> feature & 1)) = 1 ] ||
        stop 68 "$kind: this processor does not offer it (bit $feature of EAX in CPUID 0x8000001f is 0): check the" \
            "processor's generation and the BIOS, or use a weaker kind"
    CBITPOS=$((e & 63))
}

# QEMU asks KVM and the firmware: needs /dev/kvm and /dev/sev, no root.
cbit_of_qemu() {
    answer=$(printf '%s\n' '{"execute":"qmp_capabilities"}' '{"execute":"query-sev-capabilities"}' '{"execute":"quit"}' |
        "$QEMU_EXE" -machine none -accel kvm -display none -nodefaults -no-user-config -qmp stdio 2>&1)
    CBITPOS=$(printf '%s\n' "$answer" | sed -n 's/.*"cbitpos": *\([0-9][0-9]*\).*/\1/p')
    why=$(printf '%s\n' "$answer" | sed -n 's/.*"desc": *"\([^"]*\)".*/\1/p')
    [ -n "$CBITPOS" ]
}

if [ "$sev" != none ] && [ -z "$CBITPOS" ]; then
    [ "$dry_run" = 1 ] || [ -r "$CPUID_DEVICE" ] || [ "$(id -u)" != 0 ] || modprobe cpuid 2>/dev/null
    { [ -r "$CPUID_DEVICE" ] && cbit_of_processor; } || cbit_of_qemu ||
        stop 68 "the position of the C-bit is unknown: $CPUID_DEVICE cannot be read (root can, after modprobe cpuid), and" \
            "QEMU says: ${why:-${answer:-nothing}}; give it with -cbitpos (EBX[5:0] of CPUID 0x8000001f: 51 on EPYC since" \
            "Rome, 47 on Naples)"
fi

if [ -n "$BRIDGE" ]; then
    case $BRIDGE in *[!A-Za-z0-9_.:-]*) wrong "-bridge '$BRIDGE' is no name of a network interface" ;; esac
    helper=
    for place in "${QEMU_EXE%/*}/../libexec" /usr/lib/qemu /usr/libexec /usr/lib; do
        [ -n "$helper" ] || [ ! -x "$place/qemu-bridge-helper" ] || helper=$place/qemu-bridge-helper
    done
    [ -n "$helper" ] || stop 66 "-bridge: no qemu-bridge-helper is here: install your distribution's (Debian:" \
        "qemu-system-common; 'allow $BRIDGE' in /etc/qemu/bridge.conf), or use -default-network"
fi

[ -n "$QEMU_CONSOLE_LOG" ] || QEMU_CONSOLE_LOG=$(pwd)/stdout.log
new_log=1
if absolute "$QEMU_CONSOLE_LOG" && [ "$resolved" = /dev/null ]; then
    new_log=0
elif [ -e "$QEMU_CONSOLE_LOG" ] && [ ! -f "$QEMU_CONSOLE_LOG" ]; then
    stop 66 "log '$QEMU_CONSOLE_LOG' exists and is no plain file: give another with -log (/dev/null for none)"
elif use_of "$QEMU_CONSOLE_LOG" 'variable store' "$vars" 'variable store template' "$template" monitor "$MONITOR_PATH"; then
    stop 66 "log '$QEMU_CONSOLE_LOG' is the $use too, which would be lost: give another with -log"
fi
if [ -e "$MONITOR_PATH" ] && [ ! -S "$MONITOR_PATH" ]; then
    stop 66 "monitor '$MONITOR_PATH' exists and is no socket, QEMU would delete it: remove it or give another with -monitor"
fi

# --- 7. Everything that must be undone ----------------------------------------------------------------------------

work=
new=
fresh=
dumps=
monitor_lock=
log_lock=
terminal=
pid=
signal=

# shellcheck disable=SC2317 # called by trap
finish() {
    [ -z "$terminal" ] || stty "$terminal" <&3
    [ -z "$dumps" ] || echo "$dumps" >"$KVM_AMD_PARAMETERS/dump_all_vmcbs"
    for file in "$work" "$new" "$fresh"; do
        [ -z "$file" ] || rm -rf -- "$file"
    done
    # Who found it free after QEMU's end has another number in it: that one stays.
    for lock in "$monitor_lock" "$log_lock"; do
        [ -z "$lock" ] || { rm -f -- "$lock/$$" ${pid:+"$lock/$pid"} && rmdir -- "$lock" 2>/dev/null; }
    done
}

# Keeps a file from other guests: NAME FILE OPTION. The folder FILE.lock holds a file named by the number of the process
# whose end frees it. A killed one leaves it; of several that find it, one can rename it to its own number.
hold() {
    lock=$2.lock
    if mkdir -- "$lock" 2>/dev/null; then
        : >"$lock/$$"
        return
    fi
    [ -d "$lock" ] || stop 66 "$1 '$2' cannot be written, no '$lock' can be made: give another with $3"
    for holder in "$lock"/*; do holder=${holder##*/}; done
    case $holder in
        "$$") return ;;
        *[!0-9]*) holder=unknown ;;
        *)
            if ! kill -0 "$holder" 2>/dev/null && [ ! -e "/proc/$holder" ] &&
                mv -- "$lock/$holder" "$lock/$$" 2>/dev/null; then
                return
            fi
            ;;
    esac
    stop 66 "$1 '$2' belongs to another guest (process $holder): give each guest a monitor and a log of its own with" \
        "-monitor and -log, or end that one; if there is none, remove '$lock'"
}

# The first signal asks QEMU to end, a second one does not ask.
# shellcheck disable=SC2317 # called by trap
caught() {
    case $pid in
        '') exit $((128 + $1)) ;;
        starting) ;;
        *) if [ -z "$signal" ]; then kill -TERM "$pid" 2>/dev/null; else kill -KILL "$pid" 2>/dev/null; fi ;;
    esac
    signal=$1
    again=1
}

if [ "$dry_run" = 0 ]; then
    exec 3<&0
    trap finish EXIT
    trap 'caught 1' HUP
    trap 'caught 2' INT
    trap 'caught 3' QUIT
    trap 'caught 15' TERM
    hold monitor "$MONITOR_PATH" -monitor
    monitor_lock=$lock
    # The log is a new file that gets its name when it is begun: what a link of that name leads to stays as it is.
    if [ "$new_log" = 1 ]; then
        hold log "$QEMU_CONSOLE_LOG" -log
        log_lock=$lock
        case $QEMU_CONSOLE_LOG in */*) folder=${QEMU_CONSOLE_LOG%/*}/ ;; *) folder=./ ;; esac
        if ! new=$(mktemp -- "$folder.log.XXXXXX" 2>/dev/null) || ! chmod -- =rw "$new"; then
            stop 66 "log '$QEMU_CONSOLE_LOG' cannot be written, no file can be made beside it: give another with -log"
        fi
    fi
    work=$(mktemp -d -- "${TMPDIR:-/tmp}/launch-qemu.XXXXXX") ||
        stop 66 "no folder can be made in '${TMPDIR:-/tmp}': set TMPDIR to one that can be written"
    mkfifo -- "$work/console" || stop 66 "no pipe can be made in '$work': set TMPDIR to a file system that has them"
    if [ "$temporary_vars" = 1 ]; then
        vars=$work/vars.fd
        make_vars
    elif [ -n "$vars" ] && [ ! -e "$vars" ]; then
        make_vars
        check_vars
    fi
elif [ "$temporary_vars" = 1 ]; then
    vars=TEMPORARY.fd
fi

# --- 8. QEMU's arguments ------------------------------------------------------------------------------------------

set -- "$@" "$QEMU_EXE" -accel "$ACCEL" -cpu "$CPU_MODEL" -machine q35
set -- "$@" -smp "$SMP,maxcpus=$MAXCPUS" -m "${MEM}M,slots=5,maxmem=$((MEM + 8192))M"
# A reset would need a new launch of an encrypted guest.
set -- "$@" -no-reboot

if [ -n "$image" ]; then
    set -- "$@" -bios "$image"
else
    value "$code"
    set -- "$@" -drive "if=pflash,format=raw,unit=0,file=$escaped,readonly=on"
    value "$vars"
    set -- "$@" -drive "if=pflash,format=raw,unit=1,file=$escaped"
fi

if [ -n "$CDROM_FILE" ]; then
    value "$CDROM_FILE"
    set -- "$@" -drive "file=$escaped,media=cdrom,format=raw" -boot d
fi

nic=virtio-net-pci,disable-legacy=on,iommu_platform=true,netdev=vmnic,romfile=
if [ -n "$BRIDGE" ]; then
    value "$helper"
    set -- "$@" -netdev "bridge,id=vmnic,br=$BRIDGE,helper=$escaped" -device "$nic"
elif [ "$USE_DEFAULT_NETWORK" = 1 ]; then
    set -- "$@" -netdev user,id=vmnic -device "$nic"
else
    # QEMU would add a card of its own choice, and wants a ROM for it.
    set -- "$@" -nic none
fi

if [ -n "$HDA" ]; then
    value "$HDA"
    if [ "$USE_VIRTIO" = 1 ]; then
        set -- "$@" -drive "file=$escaped,if=none,id=disk0,format=$HDA_FORMAT"
        set -- "$@" -device virtio-scsi-pci,id=scsi0,disable-legacy=on,iommu_platform=true -device scsi-hd,drive=disk0
    else
        set -- "$@" -drive "file=$escaped,format=$HDA_FORMAT"
    fi
fi

if [ "$sev" != none ]; then
    policy=
    case $sev,$ALLOW_DEBUG in
        # Bit 0 forbids debugging, bit 2 demands SEV-ES; QEMU's default is 1.
        sev,1) policy=,policy=0 ;;
        es,0) policy=,policy=0x5 ;;
        es,1) policy=,policy=0x4 ;;
        # Bit 19 allows debugging; QEMU's default is 0x30000.
        snp,1) policy=,policy=0xb0000 ;;
    esac
    common=id=sev0$policy,cbitpos=$CBITPOS,reduced-phys-bits=1
    [ "$KERNEL_HASHES" = off ] || common=$common,kernel-hashes=on
    case $dialect in
        upstream) set -- "$@" -machine confidential-guest-support=sev0,vmport=off ;;
        *) set -- "$@" -machine memory-encryption=sev0,vmport=off ;;
    esac
    case $dialect in
        upstream | flash)
            set -- "$@" -object "memory-backend-memfd,id=ram1,size=${MEM}M,share=true,prealloc=false"
            set -- "$@" -machine memory-backend=ram1
            ;;
        private)
            common=$common,discard=$DISCARD
            set -- "$@" -object "memory-backend-memfd-private,id=ram1,size=${MEM}M,share=true"
            set -- "$@" -machine memory-backend=ram1,kvm-type=protected
            ;;
    esac
    if [ -n "$CERTS_PATH" ]; then
        value "$CERTS_PATH"
        common=$common,certs-path=$escaped
    fi
    set -- "$@" -object "$object,$common"
fi

if [ -n "$KERNEL_FILE" ]; then
    set -- "$@" -kernel "$KERNEL_FILE" -append "$APPEND"
    [ -z "$INITRD_FILE" ] || set -- "$@" -initrd "$INITRD_FILE"
fi

if [ "$CONSOLE" = serial ]; then set -- "$@" -nographic; else set -- "$@" -vga "$CONSOLE"; fi

# A monitor on a terminal of its own, where terminals can be made, and one on a socket.
[ ! -c /dev/ptmx ] || set -- "$@" -monitor pty
value "$MONITOR_PATH"
set -- "$@" -monitor "unix:$escaped,server=on,wait=off"

# What followed -- stood first all the time: it goes to the end.
while [ "$extra" -gt 0 ]; do
    set -- "$@" "$1"
    shift
    extra=$((extra - 1))
done

# --- 9. The launch ------------------------------------------------------------------------------------------------

if [ "$dry_run" = 1 ]; then
    printf '%s\n' "$@"
    exit 0
fi

if [ "$ALLOW_DEBUG" = 1 ]; then
    if [ -w "$KVM_AMD_PARAMETERS/dump_all_vmcbs" ]; then
        # It holds for all guests of this machine: as long as this one runs, unless it was on already.
        read -r before <"$KVM_AMD_PARAMETERS/dump_all_vmcbs" || :
        case $before in N | 0) dumps=$before ;; esac
        echo 1 >"$KVM_AMD_PARAMETERS/dump_all_vmcbs"
    else
        note "no VMCB will be dumped: $KVM_AMD_PARAMETERS/dump_all_vmcbs is not there or needs root"
    fi
fi

if [ -n "$new" ]; then
    if ! print_command "$@" >"$new" || ! mv -f -- "$new" "$QEMU_CONSOLE_LOG"; then
        stop 66 "log '$QEMU_CONSOLE_LOG' cannot be written: give another with -log"
    fi
    new=
fi
print_command "$@" >&2
if [ -t 3 ] && terminal=$(stty -g <&3 2>/dev/null); then
    note 'Ctrl-C goes to the guest; Ctrl-] ends it'
    stty intr '^]' <&3
fi

# QEMU runs in the background, so that a signal reaches this script at once; it keeps the terminal as its input.
tee -a -- "$QEMU_CONSOLE_LOG" <"$work/console" 3<&- &
log_pid=$!
pid=starting
"$@" <&3 3<&- >"$work/console" 2>&1 &
pid=$!
[ -z "$signal" ] || kill -TERM "$pid"
# QEMU may outlive a script that is killed.
for lock in "$monitor_lock" "$log_lock"; do
    [ -z "$lock" ] || mv -- "$lock/$$" "$lock/$pid"
done
again=1
while [ "$again" = 1 ]; do
    again=0
    wait "$pid"
    status=$?
done
wait "$log_pid"
[ -z "$signal" ] || exit $((128 + signal))
[ "$status" = 0 ] || note "QEMU ended with $status; its words are above and in '$QEMU_CONSOLE_LOG'"
exit "$status"
