# Runs a Docker Engine until standard input ends, which it does when the test
# that started this ends, however it does. Then nothing of the engine is left.
#
# The engine has a network namespace of its own, to which a pair of interfaces
# leads: an engine that is told to have no bridge removes docker0, and outside
# that would be the one of this machine's engine.
#   guard DIR NAME OUR-ADDRESS ITS-ADDRESS COMMAND...
dir=$1 name=$2 ours=$3 its=$4
shift 4
trap '' INT HUP # the test is told; we clean up
PATH=$PATH:/usr/sbin:/sbin
{
    ip netns add "$name" &&
        ip link add "$name" type veth peer name engine netns "$name" &&
        ip addr add "$ours/30" dev "$name" &&
        ip link set "$name" up &&
        ip -n "$name" addr add "$its/30" dev engine &&
        ip -n "$name" link set engine up &&
        ip -n "$name" link set lo up &&
        exec nsenter --net="/run/netns/$name" "$@" # not ip netns exec, which hides the control groups
} >"$dir/log" 2>&1 &
engine=$!
read -r _
kill "$engine" 2>/dev/null
wait "$engine"
ip link del "$name" 2>/dev/null
ip netns del "$name" 2>/dev/null
while read -r _ _ _ _ mount _; do
    case $mount in "$dir"/*) umount --lazy "$mount" ;; esac
done </proc/self/mountinfo
rm -rf "$dir"
