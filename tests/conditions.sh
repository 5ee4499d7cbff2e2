#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole suite, or some of it, under one hard condition:
#
#   tests/conditions.sh CONDITION[+CONDITION...] [arguments of pytest, default: tests]
#
#   sse42          libraries limited to SSE4.2, one thread
#   avx2           libraries limited to AVX2, two threads
#   two-threads    two threads for every library
#   busy           beside a process that takes a core
#   user           as an ordinary user, from a copy of the checkout in a temporary folder, umask 077
#   root           as root (refused for others)
#   thrice         the training, link and store tests three times
#
# Every condition runs in random order; the seed is printed. VENV: the environment to use (default: .venv of this checkout).
# WORKERS: of pytest-xdist (default 2).
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
VENV=$(cd "${VENV:-$here/.venv}" && pwd -P)
condition=${1:-}
[ $# -eq 0 ] || shift

say() { echo "conditions.sh: $*" >&2; }

# run FOLDER [arguments of pytest]: from FOLDER's code, whatever is installed in the environment.
run() {
	cd "$1"
	shift
	[ $# -gt 0 ] || set -- tests
	PYTHONPATH=$PWD "$VENV/bin/python" -m pytest -n "${WORKERS:-2}" --dist worksteal "$@"
}

# limit ISA of PyTorch, oneDNN, MKL, and kind of processor for OpenBLAS (NumPy has its own switch)
limit() {
	export ATEN_CPU_CAPABILITY=$1 ONEDNN_MAX_CPU_ISA=$2 DNNL_MAX_CPU_ISA=$2 MKL_ENABLE_INSTRUCTIONS=$3 OPENBLAS_CORETYPE=$4
	export NPY_DISABLE_CPU_FEATURES=$5
}

threads() { export OMP_NUM_THREADS=$1 OPENBLAS_NUM_THREADS=$1 MKL_NUM_THREADS=$1; }

# numpy_beyond TARGET...: those optional features of NumPy's that this processor has and that are not among the given ones
numpy_beyond() {
	"$VENV/bin/python" - "$@" <<-'END'
	import sys
	from numpy._core._multiarray_umath import __cpu_dispatch__ as known, __cpu_features__ as has
	print(" ".join(f for f in known if has.get(f) and f not in sys.argv[1:]))
	END
}

# as_user FOLDER [arguments of pytest]: from FOLDER/checkout; root becomes 'nobody', who owns FOLDER and nothing else.
as_user() {
	local folder=$1
	shift
	umask 077
	if [ "$(id -u)" != 0 ]; then
		run "$folder/checkout" "$@"
		return
	fi
	mkdir "$folder/kept"
	chown -R 65534:65534 "$folder"
	python=$("$VENV/bin/python" -c 'import sys; print(sys.base_prefix)')
	cd /
	HOME=$folder/home TMPDIR=$folder/tmp VENV=$VENV WORKERS=${WORKERS:-2} \
		unshare -m bash "$folder/checkout/tests/conditions.sh" become-user "$folder" "$python" "$@"
}

# reach FOLDER PATH: with a PATH below a folder that is closed to others (Python in /root), show the path there and nothing else;
# in this mount namespace alone.
reach() {
	local closed=$2
	setpriv --reuid=65534 --regid=65534 --clear-groups ls "$2" >/dev/null 2>&1 && return
	while [ "$(dirname "$closed")" != / ]; do closed=$(dirname "$closed"); done
	mount --bind "$2" "$1"
	mount -t tmpfs -o mode=755 none "$closed"
	(umask 022 && mkdir -p "$2")
	mount --bind "$1" "$2"
}

# hard CONDITION: what it sets for the run that follows
hard() {
	case $1 in
	sse42)
		limit default SSE41 SSE4_2 NEHALEM "$(numpy_beyond SSSE3 SSE41 POPCNT SSE42 X86_V2)"
		threads 1
		;;
	avx2)
		limit avx2 AVX2 AVX2 HASWELL "$(numpy_beyond SSSE3 SSE41 POPCNT SSE42 AVX F16C FMA3 AVX2 X86_V2 X86_V3)"
		threads 2
		;;
	two-threads) threads 2 ;;
	busy)
		sh -c 'while :; do :; done' &
		hog=$!
		;;
	user | thrice) how=$1 ;;
	root) [ "$(id -u)" = 0 ] || { say "you are not root"; exit 2; } ;;
	*)
		sed -n '3,19s/^# \{0,1\}//p' "$0" >&2
		exit 2
		;;
	esac
}

how=once hog= folder=
trap '[ -z "$hog" ] || kill "$hog" 2>/dev/null; [ -z "$folder" ] || rm -rf "$folder"' EXIT
case $condition in
become-user) # what 'user' starts as root, in a mount namespace of its own
	copy=$1
	python=$2
	shift 2
	reach "$copy/kept" "$python"
	cd "$copy/checkout"
	setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps=-all --bounding-set=-all \
		bash tests/conditions.sh user-here "$@"
	exit
	;;
user-here)
	umask 077
	run "$here" "$@"
	exit
	;;
esac
for one in ${condition//+/ }; do hard "$one"; done
[ -n "$condition" ] || hard none
case $how in
user)
	folder=$(mktemp -d /tmp/bitmar-user-XXXXXX)
	chmod 755 "$folder"
	mkdir "$folder/checkout" "$folder/home" "$folder/tmp"
	(cd "$here" && git ls-files -z --cached --others --exclude-standard | tar -c --null -T - --ignore-failed-read) |
		tar -x -C "$folder/checkout"
	as_user "$folder" "$@"
	;;
thrice)
	for _ in 1 2 3; do
		run "$here" tests/train tests/evaluate tests/model tests/device tests/store "$@"
	done
	;;
once) run "$here" "$@" ;;
esac
