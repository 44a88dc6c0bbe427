# The commands of the project. Each prepares this checkout by itself (.venv/ and .tools/) and leaves nothing running.

PYTHON ?= python3
ARGS ?=
SETUP = PYTHONPATH=host $(PYTHON) -m ashibar.setup
BIN = .venv/bin
# Debian keeps daemons in sbin, which is not on an ordinary user's PATH.
export PATH := $(CURDIR)/.tools/bin:$(PATH):/usr/sbin:/sbin

.PHONY: help demo test check clean

help:
	@echo "make demo [ARGS='--no-browser --seconds 30']   the whole chain on a virtual node, with its page"
	@echo "make test                                      everything: lint, types, all tests"
	@echo "make check                                     the fast part: lint, types, core tests"
	@echo "make soak | faults | loss-table | endurance | outage   long campaigns against kills, cuts and silence"
	@echo "make fault-table                               what each fault looks like, observed"
	@echo "make bench | bench-{replay,journal,steady,memory,influx}   what it costs"
	@echo "make clean                                     removes what the others made, .venv/ and .tools/ too"

demo:
	@$(SETUP) demo
	@exec $(BIN)/ashibar demo $(ARGS)

check:
	@$(SETUP) check
	@$(MAKE) --no-print-directory lint
	$(BIN)/pytest -q tests/core

test:
	@$(SETUP) test
	@$(MAKE) --no-print-directory lint
	@if [ -x .tools/bin/playwright-node ]; then export PLAYWRIGHT_NODEJS_PATH=$(CURDIR)/.tools/bin/playwright-node; fi; \
	$(BIN)/pytest -q -n 4 --dist loadfile --no-loadscope-reorder -m "not alone and not soak" && $(BIN)/pytest -q -n 2 --dist loadfile -m "alone and not soak"

.PHONY: lint
lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --config-file firmware/mypy.ini firmware/barnode firmware/main.py firmware/boot.py firmware/loader.py

# The long ones: each prints a table and ends with 1 if what it shows does not hold.
.PHONY: ready soak faults loss-table endurance outage fault-table
.PHONY: bench bench-replay bench-journal bench-steady bench-memory bench-influx
ready:
	@$(SETUP) test

soak: ready
	$(BIN)/python tests/firmware/chaos/chaos_run.py --minutes 30 $(ARGS)

faults: ready
	$(BIN)/python tests/faults/campaign.py --kills 208 $(ARGS)

loss-table: ready
	$(BIN)/python tests/faults/loss_table.py $(ARGS)

endurance: ready
	$(BIN)/python tests/faults/endurance.py $(ARGS)

outage: ready
	$(BIN)/python tests/faults/outage.py $(ARGS)

fault-table: ready
	$(BIN)/python tests/firmware/fault_table.py $(ARGS)

bench: ready
	$(BIN)/python tests/bench/throughput.py $(ARGS)

bench-replay: ready
	$(BIN)/python tests/bench/replay_bench.py $(ARGS)

bench-journal: ready
	$(BIN)/python tests/bench/journal.py $(ARGS)

bench-steady: ready
	$(BIN)/python tests/bench/steady.py $(ARGS)

bench-memory: ready
	$(BIN)/python tests/bench/memory.py $(ARGS)

bench-influx: ready
	$(BIN)/python tests/bench/influx_points.py $(ARGS)

clean:
	rm -rf .venv .tools .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist host/ashibar/web/static/vendor
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
