#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Show a thing to a Raspberry Pi's camera once, and it says the name when it sees the thing again.
#
#   sh pi-show-once.sh teach "my cup"     takes a picture of it
#   sh pi-show-once.sh ask                says what it sees, picture after picture, until Ctrl-C
#   sh pi-show-once.sh button             with a button: press, and it says what it sees; hold, and it asks for the name
#
# BITMAR is the program, from a project with --memory sd; memory.store of this folder is its memory. CAMERA takes a picture:
# SIDE x SIDE pixels, a byte each of red, green and blue, to standard output. SEE stands between both: for a model that sees
# through a backbone it is "python3 -m features - -o -", in the folder of the project. BUTTON says on a line when the button goes down,
# "1 SECONDS", and when it comes up, another number and the seconds; it lies between GPIO 17 and ground. CONSOLE is where a name is typed.
set -u
SIDE=480
BITMAR=${BITMAR:-./bitmar}
SEE=${SEE:-cat}
CAMERA=${CAMERA:-"rpicam-still --verbose 0 --nopreview --timeout 500 --width $SIDE --height $SIDE --encoding rgb --output -"}
BUTTON=${BUTTON:-"gpiomon --chip gpiochip0 --bias pull-up --active-low --debounce-period 20ms --format %e_%S 17"}
CONSOLE=${CONSOLE:-/dev/tty}
HOLD=1000 # milliseconds

picture() { # a PPM: its header, and what the camera sends
    printf 'P6 %d %d 255\n' "$SIDE" "$SIDE" && $CAMERA </dev/null
}

teach() {
    picture | $SEE | "$BITMAR" teach "$1" -
}

milliseconds() { # of seconds with a fraction
    fraction=${1#*.}000
    echo $((${1%.*} * 1000 + 1${fraction%"${fraction#???}"} - 1000))
}

watch() { # the edges of the button
    down=
    tr _ ' ' | while read -r edge time; do
        now=$(milliseconds "$time")
        if [ "$edge" = 1 ]; then
            down=$now
        elif [ -n "$down" ]; then
            if [ $((now - down)) -lt $HOLD ]; then
                picture | $SEE | "$BITMAR" ask -
            else
                printf 'Its name: ' && read -r name <&3 && teach "$name"
            fi
            down=
        fi
    done
}

case $#${1:-} in
2teach) teach "$2" ;;
1button) $BUTTON | watch 3<"$CONSOLE" ;;
1ask) while picture; do :; done | $SEE | "$BITMAR" ask - ;;
*) echo "usage: sh $0 teach NAME, sh $0 ask, or sh $0 button" >&2; exit 2 ;;
esac
