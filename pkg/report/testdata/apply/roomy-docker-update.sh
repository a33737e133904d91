#!/bin/sh
# 2 CPU / 1G, from experiment prediction-api, run 20261123T101500Z: it carried 13,000 users; 10,000 were asked for.
# 2 CPU / 1G is the cheapest measured configuration with a headroom of 25 %.
# Use: sh docker-update.sh [CONTAINER]; without one it is called api.
exec docker update --cpus 2 --memory 1G --memory-swap 1G -- "${1:-api}"
