# Everything that is done to this project; `make` lists it. Nothing but Python 3.11 or newer is needed to begin.

PY := .venv/bin/python
WORKERS ?= 3
FUZZ_SECONDS ?= 20
BENCH ?= postgres http ssh identity
SOURCES := $(shell find src -name '*.py' -o -name '*.cedar*' -o -name '*.sql')

SCENARIOS := tests/demo tests/docs/test_api_guide.py tests/docs/test_approvals_page.py \
    tests/docs/test_incident_response.py tests/docs/test_quick_start.py tests/e2e/test_bad_input.py \
    tests/e2e/test_crash.py tests/e2e/test_flow.py tests/e2e/test_incident_places.py \
    tests/e2e/test_incident_scenarios.py
MASKS := tests/masking tests/clients/test_clients_under_masks.py tests/e2e/test_masking_fails_closed.py
ELSEWHERE := $(addprefix --ignore=,tests/interop $(MASKS) $(SCENARIOS))
PYTEST := $(PY) -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help venv demo test compiled scenarios attacks interleavings ansible interop check build bench fuzz docs clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24

venv: .venv/.installed ## make the virtual environment

demo: venv ## a gateway, a sample database and a scripted agent on loopback (DEMO_KEEP=1 keeps them running)
	.venv/bin/interlock demo

test: venv $(COMPILED:1=build) ## the tests, but for those below (PYTEST_ARGS="-k name" selects some, COMPILED=1 uses compiled modules)
	tools/system_packages.sh test
	tools/npm.sh
	$(if $(COMPILED),PYTHONPATH=$(CURDIR)/build/compiled) $(PYTEST) $(or $(PYTEST_ARGS),$(ELSEWHERE))

compiled: ## the tests of protocols, of clients and end to end, with compiled modules
	$(MAKE) test COMPILED=1 PYTEST_ARGS="tests/protocols tests/clients tests/e2e $(ELSEWHERE)"

scenarios: venv ## the demo, the pages that are walked through, crashes, floods and long incidents
	tools/system_packages.sh test
	$(PYTEST) $(SCENARIOS)

attacks: venv ## the corpus of attacks on masks, through a gateway to a real database, and ordinary clients under masks
	tools/system_packages.sh test
	$(PYTEST) $(MASKS)

interleavings: venv ## 1,000 random races over approvals, checked at the target (RACE_SEED=n plays others; minutes)
	tools/system_packages.sh test
	RACES=1000 $(PY) -m pytest -n 0 -s tests/e2e/test_approval_interleavings.py

ansible: venv build/ansible/.installed ## Ansible itself through the gateway, in a virtual environment of its own
	tools/system_packages.sh test
	ANSIBLE=1 $(PY) -m pytest -n 0 tests/clients/ssh/test_ansible.py

interop: venv ## people and workloads of a real Keycloak, brought by Maven (minutes; skipped, with the reason, where it is not to be had)
	tools/system_packages.sh test
	INTEROP=1 $(PY) -m pytest -n 0 --timeout 1500 tests/interop

check: venv ## style, types, layers and files
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	$(PY) tools/check_files.py

build: build/compiled/.built ## a copy of the package with its hot modules compiled, in build/compiled

bench: build ## speed and memory against the usual proxies (BENCH="http", "identity", "postgres" or "ssh" only, BENCH_ARGS="--quick" for short runs)
	tools/system_packages.sh bench
	set -e; for name in $(BENCH); do \
	    PYTHONPATH=$(CURDIR)/build/compiled $(PY) -m benchmarks.$$name $(BENCH_ARGS); \
	done

fuzz: .venv/.fuzz ## every fuzz target for FUZZ_SECONDS; inputs that fail are kept in build/fuzz
	mkdir -p build/fuzz
	set -e; for target in tests/fuzz/fuzz_*.py; do \
	    $(PY) $$target -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=build/fuzz/; \
	done

docs: venv ## regenerate the reference parts of the documentation
	$(PY) -m tools.reference

clean: ## remove what was built, except .venv
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests benchmarks tools -name '__pycache__' -prune -exec rm -rf {} +
	find src -name '*.so' -delete

.venv/.installed: pyproject.toml constraints.txt setup.py
	tools/venv.sh demo,notify,test,check
	@touch $@

.venv/.fuzz: .venv/.installed
	tools/venv.sh fuzz
	@touch $@

build/ansible/.installed: # a licence of its own, and never a requirement of ours
	python3 -m venv --clear build/ansible
	build/ansible/bin/python -m pip install --quiet ansible-core
	@touch $@

build/compiled/.built: .venv/.installed $(SOURCES)
	rm -rf build/compiled build/lib* build/bdist* build/temp*
	$(PY) -m pip install --quiet --no-build-isolation --no-deps --target build/compiled .
	@touch $@
