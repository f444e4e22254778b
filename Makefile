# make without a target lists the targets. All tools are pinned in go.mod.

SHELL   := /bin/bash
.SHELLFLAGS := -euo pipefail -c
GO      ?= go
SEEDS   ?= 200
TIMEOUT ?= 15m

.PHONY: help run test race sim chaos bench check check-fast build plugins

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: build ## build gchost and its demo's service, start the demo
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o bin/quickstart ./examples/quickstart
	bin/gchost demo

# The version in the binary is git's: the go command stamps tag and revision.
build: ## build the static binary bin/gchost
	CGO_ENABLED=0 $(GO) build -buildvcs=auto -trimpath -ldflags '-s -w' -o bin/gchost ./cmd/gchost

# A binary is built for the platform that its manifest names.
plugins: build ## build and pack the shipped plugins: bin/plugins/NAME.gcplugin, unsigned
	@work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; mkdir -p bin/plugins; \
	of() { sed -nE "s/^$$1: *([^ #]+).*/\1/p" "$$2"; }; \
	for yaml in plugins/*/*/plugin.yaml; do \
	  dir=$${yaml%/plugin.yaml}; name=$$(of name "$$yaml"); mkdir "$$work/$$name"; cp "$$yaml" "$$work/$$name/"; \
	  if [[ $$(of runtime "$$yaml") == wasm ]]; then target='GOOS=wasip1 GOARCH=wasm'; mode=-buildmode=c-shared; \
	  else target=$$(sed -nE 's/^platform: *\{os: *([a-z0-9]+), *arch: *([a-z0-9]+)\}.*/GOOS=\1 GOARCH=\2/p' "$$yaml"); mode=-buildmode=exe; fi; \
	  env CGO_ENABLED=0 $$target $(GO) build -trimpath $$mode -ldflags '-s -w' -o "$$work/$$name/$$(of file "$$yaml")" "./$$dir"; \
	  bin/gchost plugin pack "$$work/$$name" --out "bin/plugins/$$name.gcplugin"; \
	done

# The mutants are faults planted in the protocol: the simulator has to find
# each of them, or its silence proves nothing. Guests are compiled in the test's
# own process, which the race detector makes ten times slower.
test: ## all tests of a few minutes, race detector on, and the planted mutants
	@status=0; \
	$(GO) test -race -timeout $(TIMEOUT) ./... || status=1; \
	$(GO) test -timeout $(TIMEOUT) -tags mutant ./host/sim/ || status=1; \
	$(GO) test -timeout $(TIMEOUT) -run 'HookPlugin|PolicyPlugin' . || status=1; \
	exit $$status

race: ## the race detector again, each test five times
	$(GO) test -race -count=5 -timeout 60m ./...

sim: ## simulate SEEDS seeds (default 200); a failing seed is printed
	$(GO) test -count=1 -timeout 60m ./host/sim/ -seeds $(SEEDS)

chaos: ## faults on real processes in network namespaces (needs root)
	CHAOS=long $(GO) test -count=1 -timeout 60m -v ./cmd/gchost/chaos/

bench: ## figures, one a line: name, value, unit, separated by tabs
	@{ $(GO) test -run '^$$' -bench . -benchmem ./...; cd bench && $(GO) test -run '^$$' -bench . -benchtime 1x ./...; } | awk ' \
	  /^pkg: / { pkg = $$2; sub(/^github.com\/ozanturksever\/go-cluster\/?/, "", pkg) } \
	  /^Benchmark/ { name = $$1; sub(/^Benchmark/, "", name); sub(/-[0-9]+$$/, "", name); \
	    for (i = 3; i < NF; i += 2) print (pkg == "" ? "" : pkg ".") name "\t" $$i "\t" $$(i+1) } \
	  /^(FAIL|panic)/ { print > "/dev/stderr"; bad = 1 } \
	  END { exit bad }'

check: check-fast ## everything that needs no run: gofmt, vet, staticcheck, tidy, layout, house
	GOOS=darwin $(GO) vet ./...
	GOOS=windows $(GO) vet ./...
	$(GO) vet -tags mutant ./...
	$(GO) tool staticcheck ./...
	$(GO) mod tidy -diff

check-fast: ## gofmt, vet for this system, layout and house rules
	@unformatted=$$(gofmt -l .); [[ -z $$unformatted ]] || { echo "run gofmt -w on: $$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) test -count=1 -run 'Layout|House' .
