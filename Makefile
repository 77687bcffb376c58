# The two commands a newcomer needs are `make demo` and `make test`; both do all set-up.

CARGO ?= cargo
# CI keeps its build outside the checkout, so that the next run starts warm.
ifdef CI
export CARGO_TARGET_DIR ?= $(HOME)/.cache/windlass/target
endif

.PHONY: help setup demo test soak lint fuzz bench docs

help:
	@echo 'make demo   run the tour on embedded parts'
	@echo 'make test   set up, check and test everything'
	@echo 'make soak   kill and storm commands for a long time, from a new seed'
	@echo 'make lint   formatting, clippy, layers, licences'
	@echo 'make docs   regenerate docs/reference'
	@echo 'make fuzz   bounded fuzzing of the statement parser'
	@echo 'make bench  measure against peers on this machine'

setup:
	@bash scripts/setup.sh

demo:
	@$(CARGO) run --quiet --locked -p windlass -- demo

lint:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) xtask check
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --offline check bans licenses sources; else bash scripts/deny.sh; fi

test: setup lint
	INSTA_UPDATE=no PROPTEST_RNG_SEED=$${PROPTEST_RNG_SEED:-1} $(CARGO) test --workspace --locked

# Repeat a round that failed with the seed that it names. Other seeds come from the clock.
soak: export WINDLASS_SEED ?= $(shell date +%s)
soak: setup
	@echo "WINDLASS_SEED=$$WINDLASS_SEED"
	WINDLASS_KILL_ROUNDS=200 $(CARGO) test --locked -p windlass --test trouble -- --nocapture
	WINDLASS_KILL_ROUNDS=100 $(CARGO) test --locked -p windlass --test writing killed -- --nocapture
	WINDLASS_ROUNDS=40 $(CARGO) test --locked -p windlass -p windlass-transfer --test model

docs:
	WINDLASS_UPDATE_DOCS=1 $(CARGO) test --locked -p windlass --test reference

fuzz:
	$(CARGO) run --quiet --locked -p windlass-sql --example fuzz

bench:
	@bash bench/run.sh
