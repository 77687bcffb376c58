# The two commands a newcomer needs are `make demo` and `make test`; both do all set-up.

CARGO ?= cargo
# CI keeps its build outside the checkout, so that the next run starts warm.
ifdef CI
export CARGO_TARGET_DIR ?= $(HOME)/.cache/windlass/target
endif

.PHONY: help setup demo test lint fuzz bench docs

help:
	@echo 'make demo   run the tour on embedded parts'
	@echo 'make test   set up, check and test everything'
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
	INSTA_UPDATE=no $(CARGO) test --workspace --locked

docs:
	WINDLASS_UPDATE_DOCS=1 $(CARGO) test --locked -p windlass --test reference

fuzz:
	$(CARGO) run --quiet --locked -p windlass-sql --example fuzz

bench:
	@bash bench/run.sh
