# Runs a script until that has ended, which it does when its standard input
# ends: when the test that started this ends, however it does. Then nothing of
# what the script started is left.
#
# The script is the first process of a namespace of processes, and of one of
# mounts. When the first ends, the kernel kills the others, also containers whose
# engine died before them, and with the last the mounts and networks go that only
# they had. What remains are control groups, in one that is named as DIR, and DIR.
#   guard DIR SCRIPT ARGUMENT...
dir=$1 script=$2
shift 2
trap '' INT HUP TERM # the test is told, and its end is ours
unshare --pid --fork --kill-child --mount-proc sh -c "$script" engines "$@"
failed=0
for group in /sys/fs/cgroup/"${dir##*/}" /sys/fs/cgroup/*/"${dir##*/}"; do
    [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + || failed=1
done
rm -rf "$dir" || failed=1
exit "$failed"
