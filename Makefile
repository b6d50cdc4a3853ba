# Everything below works on a fresh machine with Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
# Thousands of databases are quicker in memory, where there is room for them.
TEMPORARY = $(shell test "$$(df -k --output=avail /dev/shm 2>/dev/null | tail -1)" -gt 4000000 2>/dev/null \
  && echo /dev/shm || echo $${TMPDIR:-/tmp})

help: ## show what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: .venv/installed ## load the demo account into SQLite and serve it on port 8080
	$(BIN)/provisioning demo
	$(BIN)/provisioning serve

test: check chromium ## everything: lint, types, layers, samples and all tests
	TMPDIR=$(TEMPORARY) $(BIN)/pytest
	TMPDIR=$(TEMPORARY) $(BIN)/pytest tests/browser

# The browser that the tests drive, from Debian where it is missing; as root or with sudo.
chromium:
	@command -v chromium > /dev/null || { SUDO=$$([ $$(id -u) = 0 ] || echo sudo); \
	  $$SUDO apt-get update -q && $$SUDO apt-get install -qy --no-install-recommends chromium fonts-dejavu-core; }

check: .venv/installed ## lint, types, layers and samples, without the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/provisioning samples --check

samples: .venv/installed ## write sample_configs/ again
	$(BIN)/provisioning samples

kamailio: ## install the SIP servers that docs/switch and docs/resync.md are tested with (Debian, as root or by sudo)
	@test -x /usr/sbin/kamailio -a -x /usr/bin/sipp -a -e "$$(echo /usr/lib/*/kamailio/modules/tls.so)" || { \
	  SUDO=$$(test "$$(id -u)" = 0 || echo sudo -n) && $$SUDO apt-get update -qq && \
	  $$SUDO apt-get install -y -qq --no-install-recommends kamailio kamailio-extra-modules kamailio-tls-modules kamailio-utils-modules sip-tester; }

.PHONY: help run test chromium check samples kamailio
