#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Show a thing to a Raspberry Pi's camera once, and it says the name when it sees the thing again.
#
#   sh pi-show-once.sh teach "my cup"     takes a picture of it
#   sh pi-show-once.sh ask                says what it sees, picture after picture, until Ctrl-C
#
# BITMAR is the program, from a project with --memory sd; memory.store of this folder is its memory. CAMERA takes a picture:
# SIDE x SIDE pixels, a byte each of red, green and blue, to standard output. SEE stands between both: for a model that sees
# through a backbone it is "python3 -m features - -o -", in the folder of the project.
set -u
SIDE=480
BITMAR=${BITMAR:-./bitmar}
SEE=${SEE:-cat}
CAMERA=${CAMERA:-"rpicam-still --verbose 0 --nopreview --timeout 500 --width $SIDE --height $SIDE --encoding rgb --output -"}

picture() { # a PPM: its header, and what the camera sends
    printf 'P6 %d %d 255\n' "$SIDE" "$SIDE" && $CAMERA
}

case $#${1:-} in
2teach) picture | $SEE | "$BITMAR" teach "$2" - ;;
1ask) while picture; do :; done | $SEE | "$BITMAR" ask - ;;
*) echo "usage: sh $0 teach NAME, or sh $0 ask" >&2; exit 2 ;;
esac
