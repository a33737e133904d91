# Runs a Docker Engine in each of DIR/node0, DIR/node1, ..., as the daemon.json
# there tells it. Each has a network of its own: an engine that is told to have
# no bridge removes docker0, and outside that would be the one of this machine's
# engine. A switch joins them, and a link leads from there to this machine.
#
# When the engines have begun it says "up". Then it plugs and unplugs: for a line
# "node1 down" of standard input, which it repeats when that is so.
#   engines DIR LINK OUR-ADDRESS NODE0'S-ADDRESS NODE1'S-ADDRESS...
set -e
PATH=$PATH:/usr/sbin:/sbin
dir=$1 link=$2 ours=$3
shift 3
mount -t tmpfs run /run # else a system's containerd is used, and sockets of the engines' own are left

ip netns add switch
ip -n switch link add bridge type bridge
ip -n switch link set bridge up
plug() { ip -n switch link set "$1" master bridge up; }

ip link add "$link" type veth peer name outside netns switch
ip addr add "$ours/28" dev "$link"
ip link set "$link" up
plug outside

number=0
for its in "$@"; do
    node=node$number
    number=$((number + 1))
    ip netns add "$node"
    ip -n "$node" link add eth0 type veth peer name "$node" netns switch
    ip -n "$node" addr add "$its/28" dev eth0
    ip -n "$node" link set eth0 up
    ip -n "$node" link set lo up
    plug "$node"
    # Not ip netns exec, which hides the control groups.
    nsenter --net="/run/netns/$node" unshare --uts sh -c 'hostname "$1" && exec dockerd --config-file "$2/daemon.json"' \
        engine "$node" "$dir/$node" >"$dir/$node/log" 2>&1 &
done

echo up
while read -r node state; do
    ip -n switch link set "$node" "$state"
    echo "$node $state"
done
ip link del "$link" # it would go by itself, but later
