# Everything below works on a fresh machine with Python 3.11 or newer and make.
PYTHON ?= python3
BIN := .venv/bin
# Thousands of databases are quicker in memory, where there is room for them.
TEMPORARY = $(shell test "$$(df -k --output=avail /dev/shm 2>/dev/null | tail -1)" -gt 4000000 2>/dev/null \
  && echo /dev/shm || echo $${TMPDIR:-/tmp})

help: ## show what there is
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

# Each package is the very file that the lock names, by its hash, or the installation ends.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.venv/run: pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes --requirement requirements.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/installed: .venv/run requirements-dev.lock
	$(INSTALL) --require-hashes --requirement requirements-dev.lock
	@touch $@

run: .venv/run ## load the demo account into SQLite and serve it on port 8080
	$(BIN)/provisioning demo
	$(BIN)/provisioning serve

test: check chromium ## everything: lint, types, layers, samples and all tests
	TMPDIR=$(TEMPORARY) $(BIN)/pytest
	TMPDIR=$(TEMPORARY) $(BIN)/pytest tests/browser

fuzz: .venv/installed ## what make test tries in small: every border of the API, a million hostile phones of each vendor
	SCHEMATHESIS_PHASES=examples,coverage,fuzzing SCHEMATHESIS_EXAMPLES=12 $(BIN)/pytest -n 0 tests/api/test_openapi.py
	$(BIN)/python -m benchmarks.hostile --examples 1000000

# The browser that the tests drive, from Debian where it is missing; as root or with sudo.
chromium:
	@command -v chromium-headless-shell > /dev/null || command -v chromium > /dev/null || { \
	  SUDO=$$([ $$(id -u) = 0 ] || echo sudo); INSTALL="$$SUDO apt-get install -qy --no-install-recommends fonts-dejavu-core"; \
	  $$SUDO apt-get update -q && { $$INSTALL chromium-headless-shell || $$INSTALL chromium; }; }

check: .venv/installed ## lint, types, layers and samples, without the tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/provisioning samples --check

samples: .venv/installed ## write sample_configs/ again
	$(BIN)/provisioning samples

# What the lock files hold is resolved from pyproject.toml for every platform and every Python from 3.11 on.
COMPILE := .venv/lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --custom-compile-command "make lock" pyproject.toml --group build --extra postgres

.venv/lock:
	$(PYTHON) -m venv .venv/lock
	.venv/lock/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9'

lock: .venv/lock ## write requirements.lock and requirements-dev.lock again, with the newest releases that pyproject.toml admits
	$(COMPILE) --output-file requirements.lock
	$(COMPILE) --extra dev --constraint requirements.lock --output-file requirements-dev.lock

floors: .venv/lock ## run the tests, but the browser's, with the oldest releases that pyproject.toml admits
	.venv/lock/bin/uv pip compile --quiet --resolution lowest-direct pyproject.toml --group build --extra dev \
	  --output-file .venv/floors.txt
	$(PYTHON) -m venv .venv/floors
	.venv/floors/bin/python -m pip install --quiet --disable-pip-version-check --requirement .venv/floors.txt
	.venv/floors/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	TMPDIR=$(TEMPORARY) .venv/floors/bin/pytest --ignore tests/test_supply.py

SBOM := sbom.json
sbom: .venv/installed ## write sbom.json: what requirements.lock makes a server of, as CycloneDX
	$(BIN)/cyclonedx-py requirements requirements.lock --pyproject pyproject.toml --output-reproducible --of JSON -o $(SBOM)

kamailio: ## install the SIP servers that docs/switch and docs/resync.md are tested with (Debian, as root or by sudo)
	@test -x /usr/sbin/kamailio -a -x /usr/bin/sipp -a -e "$$(echo /usr/lib/*/kamailio/modules/tls.so)" || { \
	  SUDO=$$(test "$$(id -u)" = 0 || echo sudo -n) && $$SUDO apt-get update -qq && \
	  $$SUDO apt-get install -y -qq --no-install-recommends kamailio kamailio-extra-modules kamailio-tls-modules kamailio-utils-modules sip-tester; }

.PHONY: help run test fuzz chromium check samples lock floors sbom kamailio
