# build, demo, test and help need Go, git and make only. What the others need, they install.

# RECORDINGS is the directory that the demo takes recordings from; without it the demo makes its own.
export RECORDINGS
# FUZZTIME is how long each fuzz target runs.
FUZZTIME ?= 30s
# PEERS_TIMEOUT bounds the peer tests of one package.
PEERS_TIMEOUT ?= 40m
# SOAK is how long soak looks for faults.
SOAK ?= 1h

# The version of buf stands in generate.go alone.
BUF         = go run $(shell sed -n 's,^//go:generate go run \(github.com/bufbuild/buf/[^ ]*\) .*,\1,p' generate.go)
STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@v0.8.2
GO_FILES    = $(shell git ls-files --cached --others --exclude-standard '*.go')

.PHONY: help
help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1	/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '%-14s%s\n' "$$name" "$$text"; done

.PHONY: build
build: ## build wolkvox-server, wolkvox-agent and wolkvox-witness into bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./agent/cmd/wolkvox-agent ./server/cmd/wolkvox-server ./witness/cmd/wolkvox-witness

.PHONY: demo
demo: build ## run a night on this machine, with kills; RECORDINGS=dir for recordings of yours
	CGO_ENABLED=0 go run ./test/demo

.PHONY: test
test: ## run the tests that need nothing but Go and git
	CGO_ENABLED=0 go test ./...

.PHONY: test-peers
test-peers: build peers ## run all tests with the race detector, against real peers; may need root
	PATH="$(CURDIR)/bin/peers:$$PATH" CGO_ENABLED=1 go test -race -tags peers -count=1 -timeout $(PEERS_TIMEOUT) ./...
	node --test $(or $(wildcard test/verifier/*.test.*js),$(error test/verifier has no tests))

.PHONY: peers
peers: ## install what test-peers and bench need: Debian packages, pinned Go programs
	test/peers/install.sh

.PHONY: soak
soak: ## simulate schedules of faults that nobody has run before, for SOAK (1h)
	CGO_ENABLED=0 GOGC=400 go test -v -count=1 -timeout 0 -run '^TestSoak$$' ./test/simulation -args -soak $(SOAK)

.PHONY: test-windows
test-windows: ## run tests as Windows programs under Wine; installs Wine
	test/windows/install.sh
	test/windows/run.sh ./internal/ledger ./internal/durable ./internal/store ./agent/internal/state ./agent/internal/dest/localdest ./agent/internal/secret

.PHONY: bench
bench: build peers ## measure a night's copy beside rsync, rclone, sftp, smbclient and s5cmd; BENCH=sftp,... for some parts
	PATH="$(CURDIR)/bin/peers:$$PATH" CGO_ENABLED=0 go run ./test/bench $(if $(BENCH),-part $(BENCH))

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (30s)
	@set -e; grep -Eo '^func Fuzz[A-Za-z0-9_]*' /dev/null $(addprefix ./,$(filter %_test.go,$(GO_FILES))) | \
	sed 's,^\(.*\)/[^/]*:func \(.*\),\1 \2,' | sort | while read -r package target; do \
		echo "$$package $$target"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x "$$package" </dev/null; \
	done

.PHONY: fuzz-short
fuzz-short: ## give every fuzz target some hundreds of inputs, as continuous integration does
	@$(MAKE) --no-print-directory fuzz FUZZTIME=500x

.PHONY: generate
generate: ## generate gen/ from proto/
	go generate .

.PHONY: lint
lint: lint-format lint-proto lint-vet lint-static lint-build ## check all that needs no test: format, vet, staticcheck, buf, cross builds

.PHONY: lint-format
lint-format:
	@out=$$(gofmt -l $(GO_FILES)); if [ -n "$$out" ]; then echo "not formatted by gofmt:"; echo "$$out"; exit 1; fi
	go mod tidy -diff
	go fix -diff -tags peers ./...

.PHONY: lint-proto
lint-proto:
	$(BUF) lint
	@rm -rf bin/fresh
	$(BUF) generate --output bin/fresh
	@diff -rq bin/fresh/gen gen || { echo "gen/ is not what proto/ generates: run make generate"; exit 1; }

.PHONY: lint-vet
lint-vet:
	go vet ./...
	go vet -tags peers ./...
	GOOS=windows GOARCH=amd64 go vet ./...

# One run over all ways to build, so that what only one of them uses does not count as unused.
.PHONY: lint-static
lint-static:
	printf '%s\n' 'linux: GOOS=linux' 'peers: GOOS=linux -tags=peers' 'windows: GOOS=windows GOARCH=amd64' | $(STATICCHECK) -matrix ./...

.PHONY: lint-build
lint-build:
	GOOS=windows GOARCH=amd64 CGO_ENABLED=0 go build ./...
	GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build ./...

.PHONY: clean
clean: ## remove bin/
	rm -rf bin
