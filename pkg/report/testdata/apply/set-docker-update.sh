#!/bin/sh
# 1.23456789 CPU / 512512K with GREETING="line\n\"$HOME\" $(x) \u202e# y: *", WORKERS=2 and image sweep/fastapi:slim, from experiment prediction-api, run 20261123T101500Z: it carried 10,000 users; 10,000 were asked for.
# A headroom of 25 % isn't proved: nothing measured carried 12,500 users (target: 12500 would ask for that).
# Use: sh docker-update.sh [CONTAINER]; without one it is called mi_api.
# It can't change the image, sweep/fastapi:slim: that takes a new container.
# It can't change the environment, GREETING="line\n\"$HOME\" $(x) \u202e# y: *" THREADS="1.23456789" WORKERS="2": that takes a new container.
exec docker update --cpus 1.23456789 --memory 512512K --memory-swap 512512K -- "${1:-mi_api}"
