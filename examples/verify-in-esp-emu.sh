#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Verify a model's ESP32-S3 firmware, PIE kernels included, in Espressif's emulator: no board is needed.
#
#   sh verify-in-esp-emu.sh [MODEL]       a file, or a model that ships; demo by default
#
# You need ESP-IDF (its export.sh sourced) and esp-emu (https://github.com/espressif/esp-emulator). BOARD, PROJECT and ADDRESS may be set.
# Give EMULATOR another program that takes a merged image and serves UART0 at ADDRESS.
set -eu
MODEL=${1:-demo}
BOARD=${BOARD:-esp32-s3-n16r8}
PROJECT=${PROJECT:-firmware-$BOARD}
ADDRESS=${ADDRESS:-127.0.0.1:5555}

bitmar-tiny codegen "$MODEL" --board "$BOARD" -o "$PROJECT"
grep -q BITMAR_TAPS "$PROJECT/sdkconfig.defaults" || echo CONFIG_BITMAR_TAPS=y >> "$PROJECT/sdkconfig.defaults" # every tensor is compared
idf.py -C "$PROJECT" build merge-bin

${EMULATOR:-esp-emu --chip esp32s3 --firmware "$PROJECT/build/merged-binary.bin" --uart-tcp "$ADDRESS"} &
emulator=$!
trap 'kill $emulator 2>/dev/null || true' EXIT
tries=60 # the firmware checks its arithmetic before it answers
until bitmar-tiny link test --port "socket://$ADDRESS" --bytes 64 >/dev/null 2>&1; do
    kill -0 $emulator 2>/dev/null || { echo "The emulator ended before the firmware answered." >&2; exit 1; }
    [ $((tries -= 1)) -gt 0 ] || { echo "Nobody answers at socket://$ADDRESS." >&2; exit 1; }
    sleep 1
done
bitmar-tiny verify "$MODEL" --port "socket://$ADDRESS" --timeout 600
