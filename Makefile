# Two commands do all the set-up on a fresh machine:
#   make demo   an agent learns CartPole in generated firmware, and proof of what it computed   (needs python3)
#   make test   every check and test                                                            (installs what tests need)

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# Some tests wait for an emulator behind a line rather than compute: more of them at once than there are cores.
PYTEST_FLAGS ?= -n $(shell $(PYTHON) -c "import os; print(2 + (os.cpu_count() or 1))") --dist worksteal
# Debian packages that tests use: compilers for the generated C, emulators of boards, a browser for report and monitor.
TEST_PACKAGES := gcc libc6-dev clang libclang-rt-dev chromium chromium-driver \
    gcc-arm-none-eabi binutils-arm-none-eabi gcc-riscv64-unknown-elf qemu-system-arm qemu-system-misc \
    gcc-avr avr-libc libsimavr-dev libelf-dev doxygen cmake g++ \
    avrdude arduino-core-avr openocd dfu-util

.PHONY: help install demo test check fast-test bench docs soak clean
.DEFAULT_GOAL := help

help:
	@sed -n '2,3s/^#   //p' Makefile
	@echo "make install    the nrl-edge command in a virtual environment, $(VENV)"
	@echo "make check      ruff and mypy"
	@echo "make fast-test  the tests that take under two minutes together"
	@echo "make bench      ratios of speed, see docs/benchmarks.md"
	@echo "make docs       the documentation as a site in build/docs/site"
	@echo "make soak       bad lines, memory and fuzzing at length: about 25 minutes"
	@echo "make clean      remove $(VENV) and everything that was built"

# $(call apt_install,PACKAGES): installs Debian packages where we may, else names the command and fails.
define apt_install
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
	    sudo apt-get update -qq && sudo DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(1) >/dev/null; \
	else \
	    echo "missing: $(1)"; echo "install with: sudo apt-get install $(1)"; false; \
	fi
endef

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "nrl_edge needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 4; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "installing python3-venv ..."; $(call apt_install,python3-venv); }
	@echo "making a virtual environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "installing nrl-edge and what it needs ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

# Where the machine has no C compiler, PyPI's ziglang is one.
$(VENV)/.compiler: $(VENV)/.installed
	@command -v $${CC:-cc} >/dev/null || command -v gcc >/dev/null || command -v clang >/dev/null || \
	    { echo "no C compiler found; installing ziglang from PyPI ..."; \
	      $(BIN)/python -m pip install --quiet --disable-pip-version-check 'ziglang>=0.13'; }
	@touch $@

$(VENV)/.developer: $(VENV)/.installed
	@echo "installing what the tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	@echo "installing what the site needs ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[docs]'
	@touch $@

install: $(VENV)/.compiler
	@echo "now: source $(VENV)/bin/activate"

demo: $(VENV)/.compiler
	@$(BIN)/nrl-edge demo

.PHONY: system-packages
system-packages:
	@missing=; for package in $(TEST_PACKAGES); do \
	    dpkg-query -W -f='$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; done; \
	if [ -n "$$missing" ]; then \
	    echo "installing$$missing ..."; \
	    { $(call apt_install,$$missing); } || [ -z "$$NRL_EDGE_REQUIRE_TOOLS" ]; \
	fi

# A second emulator of the Raspberry Pi Pico, for tests.
NPM_PACKAGES := rp2040js@1.4.1

$(VENV)/.npm: | $(BIN)/python
	@command -v npm >/dev/null || { $(call apt_install,nodejs npm); } || [ -z "$$NRL_EDGE_REQUIRE_TOOLS" ]
	@if command -v npm >/dev/null; then \
	    echo "installing $(NPM_PACKAGES) ..."; \
	    npm install --silent --no-audit --no-fund --prefix $(VENV)/npm $(NPM_PACKAGES) && touch $@; fi

.PHONY: npm-packages
npm-packages: $(VENV)/.npm

check: $(VENV)/.developer
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: system-packages npm-packages check
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

fast-test: $(VENV)/.developer
	$(BIN)/python -m pytest $(PYTEST_FLAGS) -m "not slow"

bench: $(VENV)/.developer $(VENV)/.compiler
	$(BIN)/python -m benchmarks

# The pages as a site in build/docs/site, with references of the Python packages and of the C headers of a firmware.
docs: system-packages $(VENV)/.docs
	@rm -rf build/docs && mkdir -p build/docs
	@$(BIN)/nrl-edge new build/docs/agent --task cartpole --quiet
	@sed -i.bak 's/^# save_every = .*/save_every = 10/; s/^save_every = 0.*/save_every = 10/' build/docs/agent/experiment.toml
	@$(BIN)/nrl-edge generate build/docs/agent/experiment.toml --output build/docs/firmware --quiet
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "open build/docs/site/index.html"

soak: system-packages $(VENV)/.developer
	$(BIN)/python -m benchmarks.soak

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
