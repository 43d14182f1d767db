#!/bin/bash
# build.sh SOURCE OUTPUT: compiles a pppd plugin (Debian: gcc, ppp-dev).
set -eu
# Renamed into place: a test that runs at the same time sees the old one or the new one.
gcc -std=gnu11 -O1 -DMPPE=1 -Wall -Wextra -Werror -Wno-unused-parameter \
    -Wno-missing-field-initializers -Wno-address-of-packed-member -shared -fPIC -o "$2.$$" "$1"
mv "$2.$$" "$2"
