#!/bin/sh
# What a build must find, asserted from inside it, on every engine. Prints `ok NAME` or `FAIL NAME: what`, and `note NAME:
# what` for a difference between engines that no rule forbids. The last line is `ok complete`; status 1 when anything
# failed. Needs a POSIX shell and cat, chmod, chown, cp, cut, grep, head, id, ls, readlink, rm, touch, tr, wc.
#
#   sh /src/inside.sh [--env NAME]... [--forbid WORD]...
#
# --env: a variable beyond the contract's five. --forbid: a word (host name, user, secret) that must be nowhere to see.
# Run it as the container's command, so that it is process 1.

failed=0
ok() { echo "ok $1"; }
no() {
    echo "FAIL $1: $2"
    failed=1
}
# is NAME FOUND WANTED
is() { if [ "$2" = "$3" ]; then ok "$1"; else no "$1" "found \`$2\`, want \`$3\`"; fi; }
# refused NAME COMMAND...: the command must fail
refused() {
    name=$1
    shift
    if "$@" >/dev/null 2>&1; then no "$name" "\`$*\` succeeded"; else ok "$name"; fi
}
# writes NAME FOLDER
writes() {
    if touch "$2/probe" && rm "$2/probe"; then ok "$1"; else no "$1" "cannot write in $2"; fi
}
# No command substitution in a pipe's last part may set `failed`: lists are taken into variables first.
field() { grep "^$1:" /proc/self/status | tr -s '\t ' ' ' | cut -d ' ' -f 2-; }

env_names='PATH HOME HOSTNAME TERM container'
forbidden=''
while [ $# -gt 1 ]; do
    case $1 in
    --env) env_names="$env_names $2" ;;
    --forbid) forbidden="$forbidden $2" ;;
    *) no arguments "unknown option $1" ;;
    esac
    shift 2
done

# Who it is
is uid "$(id -u)" 1000
is gid "$(id -g)" 1000
# 65534 (nogroup) stands for the invoking user's groups, which nobody but root can give up; they give no rights here.
is groups "$(id -G | tr ' ' '\n' | grep -vx 65534 | tr '\n' ' ')" '1000 '
is umask "$(umask)" 0022
for line in CapInh CapPrm CapEff CapBnd CapAmb; do is "$line" "$(field $line)" 0000000000000000; done
is no-new-privileges "$(field NoNewPrivs)" 1
is system-call-filter "$(field Seccomp)" 2
for line in SigIgn SigBlk; do is "$line" "$(field $line)" 0000000000000000; done
is host-name "$(cat /proc/sys/kernel/hostname)" snpforge

# What it sees of the machine
interfaces=$(grep : /proc/net/dev | tr -d ' ' | cut -d : -f 1 | tr '\n' ' ')
is interfaces "$interfaces" 'lo '
routes=$(grep -vc Iface /proc/net/route)
is routes "$routes" 0
for file in hosts resolv.conf hostname; do
    if [ -s /etc/$file ]; then no "etc-$file" "holds $(head -n 1 /etc/$file)"; else ok "etc-$file"; fi
done
wrong=''
for point in $(cut -d ' ' -f 5 /proc/self/mountinfo); do
    case $point in
    / | /proc | /proc/* | /dev | /dev/* | /sys | /sys/* | /tmp | /var/tmp | /run | /run/.containerenv) ;;
    /src | /build | /out | /etc/hosts | /etc/resolv.conf | /etc/hostname) ;;
    # Docker's and Podman's containers get an empty one, where Podman would put the host's secrets.
    /run/secrets) [ "$(ls -A /run/secrets)" = '' ] || wrong="$wrong $point" ;;
    *) wrong="$wrong $point" ;;
    esac
done
is mounts "$wrong" ''
# Shells add variables of their own; what process 1 was started with tells what the engine gave.
wrong=''
for name in $(tr '\0' '\n' </proc/1/environ | cut -d = -f 1); do
    case " $env_names " in
    *" $name "*) ;;
    *) wrong="$wrong $name" ;;
    esac
done
is environment "$wrong" ''
wrong=''
for name in $env_names; do
    tr '\0' '\n' </proc/1/environ | grep -q "^$name=" || wrong="$wrong $name"
done
is environment-complete "$wrong" ''
is home "$HOME" /build
is path "$PATH" /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
wrong=''
for word in $forbidden; do
    for file in /proc/[0-9]*/environ /proc/sys/kernel/hostname /proc/sys/kernel/domainname /proc/keys \
        /etc/hosts /etc/resolv.conf /etc/hostname; do
        tr '\0' '\n' <"$file" 2>/dev/null | grep -qF "$word" && wrong="$wrong $word:$file"
    done
    cut -d ' ' -f 5 /proc/self/mountinfo | grep -qF "$word" && wrong="$wrong $word:mountinfo"
done
is nothing-forbidden "$wrong" ''

# Processes
is process-1 $$ 1
wrong=''
for process in /proc/[0-9]*; do
    owner=$(grep '^Uid:' "$process/status" 2>/dev/null | tr -s '\t' ' ')
    case $owner in
    '' | 'Uid: 1000 1000 1000 1000') ;;
    *) wrong="$wrong $process" ;;
    esac
done
is own-processes-only "$wrong" ''
if (: </dev/tty) 2>/dev/null; then no terminal "/dev/tty can be opened"; else ok terminal; fi
is stdin "$(readlink /proc/$$/fd/0)" /dev/null
# Listed by another process: the shell itself opens some while it expands a word or redirects.
(ls -l /proc/$$/fd >/tmp/descriptors)
is descriptors "$(grep -v ' [012] -> ' /tmp/descriptors | grep -v 'inside.sh$' | grep -vi '^total')" ''
rm /tmp/descriptors
limit() { grep "^Max $1 " /proc/self/limits | tr -s ' ' | cut -d ' ' -f "$2"; }
is limit-files "$(limit 'open files' 4,5)" '1024 4096'
is limit-processes "$(limit 'processes' 3,4)" '4096 4096'
is limit-core "$(limit 'core file size' 5,6)" '0 0'

# What it can write
for folder in / /etc /usr /root /home /var /src /run /dev /proc/sys/kernel; do
    refused "read-only-$folder" touch "$folder/probe"
done
refused source-unwritable sh -c 'echo >>/src/inside.sh'
refused source-fixed sh -c 'rm -f /src/inside.sh && [ ! -e /src/inside.sh ]'
for folder in /build /out /tmp /var/tmp /dev/shm; do writes "writable-$folder" "$folder"; done
is build-is-empty "$(ls -A /build /out | tr -d '\n')" /build:/out:
printf '#!/bin/sh\necho ran\n' >/tmp/probe.sh
chmod 755 /tmp/probe.sh
is tmp-exec "$(/tmp/probe.sh 2>&1)" ran
rm /tmp/probe.sh
cp /bin/cat /build/cat
is build-exec "$(echo ran | /build/cat 2>&1)" ran
rm /build/cat

# Devices and /proc
is dev-null "$(echo x >/dev/null && cat /dev/null)" ''
is dev-zero "$(head -c 3 /dev/zero | tr '\0' 0)" 000
refused dev-full sh -c 'echo x >/dev/full'
is dev-urandom "$(head -c 8 /dev/urandom | wc -c | tr -d ' ')" 8
refused dev-memory test -e /dev/mem
wrong=''
for node in /dev/*; do
    case $node in
    /dev/null | /dev/zero | /dev/full | /dev/random | /dev/urandom | /dev/tty | /dev/console) ;;
    *) if [ ! -L "$node" ] && { [ -b "$node" ] || [ -c "$node" ]; }; then wrong="$wrong $node"; fi ;;
    esac
done
is devices "$wrong" ''
is masked-kcore "$(head -c 1 /proc/kcore 2>/dev/null)" ''
is masked-keys "$(cat /proc/keys 2>/dev/null)" ''
refused sysctl sh -c 'echo other >/proc/sys/kernel/hostname'
refused sysrq sh -c 'echo h >/proc/sysrq-trigger'

# Ways to more rights
if command -v mount >/dev/null; then refused mount mount -t tmpfs none /tmp; fi
if command -v unshare >/dev/null; then
    refused new-network unshare -n true
    # No rule of the contract: Podman's default profile allows it, Docker's and the sandbox's do not.
    if unshare -U true 2>/dev/null; then echo "note new-user-namespace: allowed here"; else ok new-user-namespace; fi
fi
if command -v chroot >/dev/null; then refused chroot chroot / true; fi
refused change-owner chown 0:0 /build

ok complete
exit $failed
