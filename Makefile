# A thin face over meson. Every target says what it does; as root or with sudo it installs what is missing.
BUILD ?= build
PREFIX ?= /usr/local
PORT ?= 8080
ADMIN ?= 8081
# Workers are nobody when root starts them, and nobody may not look into root's folders.
AS_ROOT = $(if $(filter 0,$(shell id -u)),-g 'user root;')
SEEDS ?= 5000
SECS ?= 60

all: deps $(BUILD)/build.ninja  ## build everything into build/
	@ninja -C $(BUILD)

run: program                    ## serve the project's own site on http://127.0.0.1:8080/ (PORT=... ADMIN=...)
	@mkdir -p $(BUILD)/run/run && ln -sfn $(CURDIR)/docs/site $(BUILD)/run/site
	@sed 's/listen 8080;/listen $(PORT);/; s/127.0.0.1:8081/127.0.0.1:$(ADMIN)/' examples/weir.conf >$(BUILD)/run/weir.conf
	@echo "weir: open http://127.0.0.1:$(PORT)/, status at http://127.0.0.1:$(ADMIN)/ (stop with Ctrl-C)"
	@exec $(BUILD)/weir -p $(abspath $(BUILD))/run -c $(abspath $(BUILD))/run/weir.conf $(AS_ROOT)

test: test-deps                 ## everything that must hold: lint, gcc, clang, sanitizers, wire tests, simulator
	@tools/run_tests

sim: all                        ## the simulator over SEEDS=5000 seeds
	@$(BUILD)/sim/weir-sim --seeds 1..$(SEEDS)

patients: test-deps all         ## weir doctor before misbehaving servers and their healthy twins; the matrix of rules
	@WEIR_BUILD=$(abspath $(BUILD)) tests/patients/patients.py

patients-healthy: test-deps all ## weir doctor before real servers at rest and under load: it must stay silent
	@WEIR_BUILD=$(abspath $(BUILD)) tests/patients/healthy.py

nights: test-deps all           ## the nights of the five notebooks, replayed with the doctor beside them; writes docs/nights.md
	@tools/install_deps nights
	@WEIR_BUILD=$(abspath $(BUILD)) tests/nights/nights.py --write docs/nights.md

bench: test-deps all            ## the figures of docs/benchmarks.md, against the peers, side by side
	@perf/run

bench-peers: deps all           ## the server beside nginx, h2o, lighttpd, haproxy, caddy: CPU per request, memory
	@tools/install_deps peers
	@perf/peers/peers.py all

bench-doctor: all               ## what `weir doctor` costs on a server with 9,500 and 19,000 connections, and what a server under load feels of it (root)
	@perf/doctor_cost.py 9500
	@perf/doctor_cost.py 19000
	@perf/doctor_p99.py

fuzz: test-deps                 ## every fuzz target for SECS=60 seconds each; findings land in build-fuzz/
	@tools/run_fuzz $(SECS)

oracle: test-deps               ## nginx's and weir's answers once more, weir built with sanitizers (make test asks without)
	@tools/run_tests oracle

valgrind: test-deps all         ## the unit tests once under valgrind
	@tools/run_valgrind

install: all                    ## install the program, the library, headers and man pages below PREFIX=/usr/local
	@meson configure $(BUILD) -Dprefix=$(PREFIX) && meson install -C $(BUILD) --quiet
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then /sbin/ldconfig; fi
	@echo "installed below $(DESTDIR)$(PREFIX)"

format:                         ## write every C file as clang-format does
	@tools/check_format --fix

clean:                          ## remove every build folder
	rm -rf $(BUILD) build-clang build-asan build-fuzz build-install

help:                           ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## /  make \1\t/p' Makefile | expand -t 18

$(BUILD)/build.ninja:
	@meson setup $(BUILD) -Dlto=true

program: deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) weir

deps:
	@tools/install_deps build

test-deps:
	@tools/install_deps build test

.PHONY: all program run test sim patients patients-healthy nights bench bench-doctor bench-peers fuzz oracle valgrind install format clean help deps test-deps
