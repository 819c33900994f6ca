#!/bin/sh
# check_space.sh FOLDER MEGABYTES CURE: fail with a sentence if the folder's disk has less left.
set -eu
free=$(($(df -Pk "$1" | awk 'NR == 2 {print $4}') / 1024))
if [ "$free" -lt "$2" ]; then
    echo "error: the disk of $(cd "$1" && pwd) has $free MB left, and $2 are needed: $3" >&2
    exit 1
fi
