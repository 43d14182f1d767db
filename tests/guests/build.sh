#!/bin/bash
# build.sh OUTPUT: compiles the pppd plugin (Debian: gcc, ppp-dev).
set -eu
source=$(dirname "$(readlink -f "$0")")/pptp-call.c
# Renamed into place: a test that runs at the same time sees the old one or the new one.
gcc -std=gnu11 -O1 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers \
    -Wno-address-of-packed-member -shared -fPIC -o "$1.$$" "$source"
mv "$1.$$" "$1"
