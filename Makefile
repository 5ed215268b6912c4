# Needs Python 3.11 or newer and make; everything else is put into .venv, .venv-aws, .venv-speech and .venv-node, and
# the console's libraries into panzoto/console/node_modules. `make help`, `make run` and `make install` use no other
# program but the shell, and the machine's own npm where it has one.
# PYTHON=python3.13 chooses an interpreter; pip obeys your own PIP_* variables and configuration.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/sh

PYTHON ?= python3
PIP_INSTALL = -m pip --disable-pip-version-check install --quiet --require-hashes
# What pip says last, without a network, is that a library does not exist.
OR_SAY_WHY = || { echo 'The installation did not come to its end; pip says why above. It needs the network this once,\
 or a proxy in HTTPS_PROXY; the same command again goes on from here.' >&2; exit 1; }
# While one of them waits for the network, another one unpacks.
BRING = @+$(MAKE) --silent --no-print-directory --jobs=2
FETCH_CONSOLE = .venv/bin/python -m deploy.packages.console
# Of what several processes load, one keeps what it has compiled for the others, and for the next run.
RUN_TESTS = unset PYTHONDONTWRITEBYTECODE; exec .venv/bin/python -m pytest
TYPED = panzoto wsgi.py deploy/serving/gunicorn.conf.py $(wildcard migrations_from_rds) \
    deploy/aws/cloudformation/generate.py deploy/aws/removal.py deploy/smoke_test.py deploy/container/base_image.py \
    deploy/container/stand_in_listener.py deploy/local/stand_in_gate.py deploy/serving/supervisor.py \
    deploy/local/speech/front.py deploy/local/speech/launch.py deploy/local/console_libraries.py \
    deploy/machine/nginx/render.py deploy/machine/alarm.py deploy/machine/watch.py deploy/aws/writers.py

hash := \#
# The stand-in is for those who have no AWS: with an endpoint of their own, or in production, it stays away.
OWN_AWS := $(strip $(AWS_ENDPOINT_URL)$(AWS_ENDPOINT_URL_DYNAMODB)$(AWS_ENDPOINT_URL_S3)$(filter production,$(FLASK_ENV)))
ifneq ($(if $(OWN_AWS),,$(wildcard .env)),)
# Read as python-dotenv reads it: `export` may stand before a name, blanks around the equals sign, quotes around a value.
OWN_AWS := $(shell while IFS='= ' read -r name value rest || [ -n "$$name" ]; do \
    case $$name in (export) name=$$value value=$$rest;; esac; \
    case $$name=$$value in \
        (AWS_ENDPOINT_URL=|AWS_ENDPOINT_URL_*=|*=$(hash)*|*=\"\"*|*=\'\'*) ;; \
        (AWS_ENDPOINT_URL=*|AWS_ENDPOINT_URL_S3=*|AWS_ENDPOINT_URL_DYNAMODB=*) echo yes;; \
        (FLASK_ENV=production*|FLASK_ENV=[\"\']production*) echo yes;; \
    esac; done 2>/dev/null < .env)
endif
STAND_IN := $(if $(OWN_AWS),,.venv-aws/.installed)

, := ,

.PHONY: help
help: ## List the targets (this is the default)
	@while IFS= read -r line; do case $$line in [a-z]*:*'## '*) \
	    printf '  make %-12s %s\n' "$${line%%:*}" "$${line#*:*## }";; \
	esac; done < $(firstword $(MAKEFILE_LIST))

.PHONY: install
install: ## Install what the service, its console and its AWS stand-in need
	$(BRING) .venv/.installed .venv-aws/.installed
	@$(FETCH_CONSOLE) || :

.PHONY: run
run: ## Start all of the service (on PORT, 5000 unless set) and a stand-in for AWS; Ctrl-C stops it
	$(BRING) .venv/.installed $(STAND_IN)
	@exec .venv/bin/python -m deploy.local.make_run

.PHONY: console
console: .venv/.installed ## Fetch the console's libraries from npm, as make run does beside the running service
	@$(FETCH_CONSOLE)

.PHONY: speech
speech: .venv-speech/.installed ## Fetch the speech engine and its model, as make run does beside the running service

.PHONY: test
test: ## Run the tests that need nothing but Python; ARGS="-k login -x" goes to pytest instead
	$(BRING) .venv/.installed-test .venv-aws/.installed
	@$(RUN_TESTS) $(or $(ARGS),@tests/side_by_side --suite=plain)

.PHONY: test-clients
test-clients: .venv/.installed-dev .venv-aws/.installed ## Run those of the clients in other languages, and the console's types: Node, a JDK
	@.venv/bin/python -m tests.suites clients
	@$(RUN_TESTS) @tests/side_by_side --suite=clients

.PHONY: test-deploy
test-deploy: .venv/.installed-dev .venv-aws/.installed .venv-speech/.installed ## Run those of the deployment: nginx, systemd-analyze, shells and more
	@.venv/bin/python -m tests.suites deploy
	@$(RUN_TESTS) @tests/side_by_side --suite=deploy

.PHONY: test-browser
test-browser: .venv/.installed-dev .venv-aws/.installed ## Run those of the pages, in Chromium and Firefox
	@.venv/bin/python -m tests.suites browser
	@$(RUN_TESTS) --suite=browser

.PHONY: screenshots
screenshots: .venv/.installed-dev .venv-aws/.installed console ## Make the pictures in docs/screenshots anew, in Chromium
	@.venv/bin/python -m tests.browser.take_screenshots

.PHONY: test-speech
test-speech: .venv/.installed-dev .venv-aws/.installed .venv-speech/.installed ## Run those of the speech engine, which fetch it first
	@.venv/bin/python -m tests.suites speech
	@$(RUN_TESTS) --suite=speech

.PHONY: test-all
test-all: .venv/.installed-dev .venv-aws/.installed .venv-speech/.installed ## Run all tests there are, in one run
	@$(RUN_TESTS) @tests/side_by_side

.PHONY: lint
lint: .venv/.installed-dev ## Check the style with ruff, the layout of the code included
	@.venv/bin/python -m ruff check .
	@.venv/bin/python -m ruff format --check .

.PHONY: format
format: .venv/.installed-dev ## Lay the code out as lint wants it
	@.venv/bin/python -m ruff format .

.PHONY: types
types: .venv/.installed-dev ## Check the types with mypy, strictly
	@.venv/bin/python -m mypy $(TYPED)

.PHONY: check
check: lint types test ## Do all of lint, types and test

.PHONY: bench
bench: .venv/.installed-dev ## List the measurements, and how to start each
	@for file in $$(grep -l '^if __name__ ==' bench/*.py); do \
	    printf '.venv/bin/python -m bench.%s\n    %s\n' "$$(basename $$file .py)" "$$(sed -n '1s/"""//gp' $$file)"; \
	done

.PHONY: lock
lock: .venv/.installed-dev ## Make requirements*.txt from requirements*.in; LOCK="--upgrade" takes the newest releases, of the console's libraries too
	@for name in requirements requirements-test requirements-dev requirements-aws requirements-speech requirements-node; do \
	    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	        --custom-compile-command 'make lock' $(LOCK) $$name.in --output-file $$name.txt || exit 1; \
	done
	@$(if $(findstring --upgrade,$(LOCK)),$(FETCH_CONSOLE) --update,:)

.PHONY: changelog
changelog: .venv/.installed console ## Write the hash over the console's files into the changelog, after any change of them
	@.venv/bin/python -m deploy.packages.changelog

.PHONY: templates
templates: .venv/.installed ## Make the CloudFormation templates anew from the code's own definitions
	@.venv/bin/python -m deploy.aws.cloudformation.generate

.PHONY: images
images: ## Build the service's image for x86-64 and ARM into build/, or push it: IMAGE=registry/name:tag
	@mkdir -p build
	docker buildx build --platform linux/amd64,linux/arm64 --target service \
	    $(if $(IMAGE),--tag $(IMAGE) --push,--output type=oci$(,)dest=build/panzoto.oci.tar) .

.PHONY: clean
clean: ## Remove what was installed and what tools keep, but not your data in .panzoto
	@rm -rf .venv .venv-aws .venv-speech .venv-node panzoto/console/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis build *.egg-info
	@find . -name __pycache__ -not -path './.git/*' -prune -exec rm -rf {} +

.venv/.installed: requirements.txt | .venv/bin/python
	$(info Installing the service into .venv (once; this takes a minute or two) ...)
	@.venv/bin/python $(PIP_INSTALL) -r requirements.txt $(OR_SAY_WHY)
	@: >$@

# The tests' libraries hold the service's own at the very same versions, and those of the other suites the tests'.
.venv/.installed-test: requirements-test.txt | .venv/bin/python
	$(info Installing the service and the tests into .venv (once; this takes a minute or two) ...)
	@.venv/bin/python $(PIP_INSTALL) -r requirements-test.txt $(OR_SAY_WHY)
	@: >$@ && : >.venv/.installed

.venv/.installed-dev: requirements-dev.txt | .venv/bin/python
	$(info Installing the service, all tests and what checks the code into .venv (once; this takes a minute or two) ...)
	@.venv/bin/python $(PIP_INSTALL) -r requirements-dev.txt $(OR_SAY_WHY)
	@: >$@ && : >.venv/.installed-test && : >.venv/.installed

.venv-aws/.installed: requirements-aws.txt | .venv-aws/bin/python
	$(info Installing the AWS stand-in into .venv-aws (once) ...)
	@.venv-aws/bin/python $(PIP_INSTALL) -r requirements-aws.txt $(OR_SAY_WHY)
	@: >$@

.venv-speech/.installed: requirements-speech.txt | .venv/.installed
	@.venv/bin/python -m deploy.local.speech.fetching
	@touch $@

# One after the other, so that what is wrong with the interpreter is told once.
.venv-aws/bin/python: | .venv/bin/python

.venv/bin/python .venv-aws/bin/python:
	@command -v '$(PYTHON)' >/dev/null || { \
	    echo 'There is no $(PYTHON) here: install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3 ...' >&2; exit 1; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	    echo "$(PYTHON) is $$('$(PYTHON)' -V 2>&1), and Panzoto needs 3.11 or newer: name another one, such as make PYTHON=python3.12 ..." >&2; exit 1; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo '$(PYTHON) cannot make virtual environments: install its venv module (on Debian and Ubuntu: apt install python3-venv).' >&2; exit 1; }
	@'$(PYTHON)' -m venv --clear $(@D:/bin=)
