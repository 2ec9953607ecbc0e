# On a new machine, `make run` and `make test` install what they need. `make` alone lists the targets.
# ARGS is passed to the program of a target: make test ARGS="tests/bbb -k checksum".
.DEFAULT_GOAL := help
.PHONY: help venv dev run test test-compat test-s3 lint bench bench-all bench-fleet bench-large soak chaos docs screenshots man lock deb apt-repo image image-test release deb-test clean
MAKEFLAGS += --no-print-directory
ARGS ?=
CODE = appliance tests benchmarks tools

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: ## install the dependencies of the appliance: Debian packages and .venv
	@tools/make-venv runtime

dev: ## install the dependencies of tests and lint as well
	@tools/make-venv dev

run: venv ## run the appliance with three simulated BigBlueButton servers
	@exec .venv/bin/python tools/demo.py $(ARGS)

# Tests of a file run in one worker, which starts their shared servers once. There are two workers for a core, since
# tests wait half of their time for other processes (tests/conftest.py). Each has its own Redis and PostgreSQL, hence the
# limit of four. ARGS=-n0 runs all tests in one process, for a debugger. Bytecode is written even where the environment
# forbids it: without it each process compiles all it imports.
test: export PYTHONDONTWRITEBYTECODE =
test: dev ## run the test suite
	@.venv/bin/python -m pytest -n auto --maxprocesses=4 --dist=loadfile $(ARGS)

test-compat: dev ## run client libraries of PyPI and npm against the appliance (two minutes)
	@tools/compat-clients
	@.venv/bin/python -m pytest -n0 tests/compat $(ARGS)

test-s3: dev ## run the tests of object storage against OpenStack Swift, and with Debian's boto3 (five minutes)
	@tools/swift-packages
	@.venv/bin/python tools/swift_s3.py .venv/bin/python -m pytest -n0 tests/recordings/test_storage.py \
		tests/recordings/objects/test_bucket.py tests/recordings/objects/test_objects.py \
		tests/recordings/objects/test_tar_slices.py \
		tests/recordings/imports/test_importer_bucket_faults.py \
		tests/recordings/playback/test_from_bucket.py tests/end_to_end/test_object_storage.py $(ARGS)
	@tools/debian-boto3 .venv/bin/python -m pytest -n0 tests/recordings/test_storage.py tests/recordings/objects/test_bucket.py \
		tests/recordings/objects/test_bucket_client.py tests/recordings/objects/test_objects.py \
		tests/recordings/objects/test_tar_slices.py tests/recordings/test_object_tags.py $(ARGS) || [ $$? = 75 ]

lint: dev ## check style, types, layers and forbidden text
	@.venv/bin/ruff check $(CODE)
	@.venv/bin/ruff format --check $(CODE)
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo
	@# Slow, so only where these rules can apply: clean-up, and what catches cancellation.
	@grep -rlZE --include='*.py' 'finally:|BaseException|Cancelled|except:|__aexit__' $(CODE) | \
		xargs -0 -n 40 -P "$$(nproc)" .venv/bin/flake8-async --enable=ASYNC102,ASYNC103,ASYNC104
	@.venv/bin/python tools/check_tree.py

bench: dev ## measure the API: requests/s, latencies, CPU per request
	@.venv/bin/python benchmarks/api.py $(ARGS)

bench-all: bench ## measure placement, lists, polling and recordings as well (20 minutes)
	@.venv/bin/python benchmarks/placement.py
	@.venv/bin/python benchmarks/lists.py
	@.venv/bin/python benchmarks/poll.py
	@.venv/bin/python benchmarks/recordings.py
	@.venv/bin/python benchmarks/object_storage.py

bench-fleet: dev ## play two school days in a cloud (seven minutes)
	@.venv/bin/python -m benchmarks.fleet $(ARGS)

bench-large: dev ## measure pools of 2,000 servers, huge lists and what they do to other calls (half an hour)
	@.venv/bin/python -m benchmarks.large $(ARGS)

soak: dev ## ten minutes of load with bad clients and a bad server; check for leaks
	@.venv/bin/python benchmarks/soak.py $(ARGS)

chaos: dev ## strike stores, servers and appliances for ten minutes; check that nothing is lost or doubled
	@.venv/bin/python -m tools.chaos $(ARGS)

docs: venv ## generate the sample configuration, its reference and the reference of the admin calls
	@.venv/bin/python -m appliance.settings sample >config/new && mv config/new config/scalelite-appliance.default
	@.venv/bin/python -m appliance.settings reference >docs/new && mv docs/new docs/configuration.md
	@PYTHONPATH=. .venv/bin/python tools/admin_reference.py

screenshots: dev ## take the pictures of docs/images with Chromium
	@.venv/bin/python tools/screenshots.py

man: dev ## generate the manual page and the completion for bash and zsh in build/man
	@.venv/bin/python tools/make_manual.py build/man

lock: ## pin requirements/*.in (ARGS=--upgrade uses the newest releases)
	@tools/lock $(ARGS)

deb: ## build the Debian packages in dist/
	@packaging/deb/build $(ARGS)

apt-repo: ## build a signed package repository in dist/apt from dist/*.deb: KEY=FINGERPRINT
	@packaging/apt/build --key "$(KEY)" $(ARGS)

image: ## build an OCI image in dist/ from the Debian package (root)
	@packaging/image/build $(ARGS)

image-test: dev ## run the image with podman: alone, and two replicas restarted in turn (root; two minutes)
	@.venv/bin/python -m tools.image_test $(ARGS)

release: ## make a release in dist/ from a clean checkout: KEY=FINGERPRINT (docs/releasing.md; root)
	@tools/release "$(KEY)"

deb-test: dev ## build the packages, install and use them in virtual machines (root; six minutes)
	@.venv/bin/python -m tools.deb_test $(ARGS)

clean: ## remove .venv, caches and build results
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
