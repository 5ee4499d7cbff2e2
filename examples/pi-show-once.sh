#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Show a thing to a Raspberry Pi's camera once, and it says the name when it sees the thing again.
#
#   sh pi-show-once.sh teach "my cup"     takes a picture of it
#   sh pi-show-once.sh ask                says what it sees, picture after picture, until Ctrl-C
#
# BITMAR is the program, built with --memory sd; memory.store of this folder is its memory. CAMERA takes a picture: SIDE x SIDE
# pixels, three bytes each, to standard output.
set -eu
SIDE=480
BITMAR=${BITMAR:-./bitmar}
CAMERA=${CAMERA:-"rpicam-still --nopreview --immediate --verbose 0 --encoding rgb --width $SIDE --height $SIDE --output -"}

picture() { # a PPM: a header, and what the camera sends
    printf 'P6 %d %d 255\n' "$SIDE" "$SIDE" && $CAMERA
}

case ${1:-} in
teach) picture | "$BITMAR" teach "$2" - ;;
ask) while picture; do sleep 1; done | "$BITMAR" ask - ;;
*) echo "usage: sh $0 teach NAME | ask" >&2; exit 2 ;;
esac
