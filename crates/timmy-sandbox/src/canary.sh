secret=$1 planted=$2 process=$3 port=$4 filtered=$5 proof=$6

escaped() {
    echo "$1"
    exit 3
}

[ "$(id -u)" != 0 ] || escaped "commands run as root"
! (read -r _ <"$secret") 2>/dev/null || escaped "a command can read outside its workspace"
! (echo >>"$secret") 2>/dev/null || escaped "a command can write outside its workspace"
! (: >"$planted") 2>/dev/null || escaped "a command can write outside its workspace"
! (: >>/proc/sys/kernel/core_pattern) 2>/dev/null || escaped "a command can change the kernel's settings"
[ -z "$process" ] || ! kill -0 "$process" 2>/dev/null ||
    escaped "a command can signal processes of the user who runs timmy: Landlock has no signal scope (before Linux 6.12)"

if command -v bash >/dev/null 2>&1; then
    ! bash -c ": <>/dev/tcp/127.0.0.1/$port" 2>/dev/null || escaped "a command can reach the network"
fi
if [ "$filtered" = yes ]; then
    while read -r name value; do
        case $name in
        NoNewPrivs:) [ "$value" = 1 ] || escaped "a command can gain privileges" ;;
        Seccomp:) [ "$value" = 2 ] || escaped "system calls are not filtered" ;;
        esac
    done </proc/self/status
fi
echo "$proof" >proof
