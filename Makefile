# make help lists what can be made.

GO       = $(shell scripts/find-go)
VERSION  = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
SRT_PKG  = $(shell dpkg-query -W -f '$${Version}' libsrt-openssl-dev 2>/dev/null || pkg-config --modversion srt)
FUZZTIME = 30s
SOAKTIME = 10m
RACE     = -race

export GOTOOLCHAIN = auto
# libsrt, OpenSSL and libstdc++ go into brume-srt itself: its sandbox has no files to load them from, and it starts twice as fast.
STATIC_SRT = -Wl,--as-needed -Wl,-Bstatic -lsrt -lcrypto -lstdc++ -Wl,-Bdynamic -lm -ldl -lpthread -static-libgcc

.DEFAULT_GOAL := help

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: build ## Build and start the server with no configuration
	@bin/brume serve

.PHONY: build
build: deps pages programs ## Build bin/brume and bin/brume-srt

.PHONY: deps
deps:
	@scripts/deps build

.PHONY: test-deps
test-deps:
	@scripts/deps test

.PHONY: programs
programs:
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/brume ./cmd/brume
	CGO_ENABLED=1 CGO_LDFLAGS='$(STATIC_SRT)' $(GO) build -trimpath -ldflags '-s -w -X main.packageVersion=$(SRT_PKG)' -o bin/brume-srt ./cmd/brume-srt

# For the tests: a connection process that behaves as if it had been taken over.
HOSTILE = bin/brume-srt-hostile

.PHONY: hostile
hostile:
	CGO_ENABLED=1 CGO_LDFLAGS='$(STATIC_SRT)' $(GO) build -tags hostile -trimpath -ldflags '-s -w -X main.packageVersion=$(SRT_PKG)' -o $(HOSTILE) ./cmd/brume-srt

.PHONY: pages
pages: web/dist/.built
web/dist/.built: web/package.json web/package-lock.json $(shell find web -maxdepth 1 '(' -name '*.html' -o -name '*config*' ')') $(shell find web/src web/public -type f 2>/dev/null)
	cd web && npm ci --no-audit --no-fund --loglevel=error && npm run build
	@touch $@

# For the tests: generators of clients of the API, and judges of its document.
.PHONY: clients
clients: test/clients/node_modules/.installed
test/clients/node_modules/.installed: test/clients/package.json test/clients/package-lock.json
	cd test/clients && npm ci --no-audit --no-fund --loglevel=error
	@touch $@

.PHONY: test
test: test-deps clients pages programs ## Install what the tests need and run all of them
	$(GO) test $(RACE) -count=1 -timeout 20m ./...

.PHONY: soak
soak: test-deps pages programs ## Ten minutes through losses, beside what make test does in one
	$(GO) test -count=1 -timeout 60m ./test -run '^TestSoak$$' -v -soak $(SOAKTIME)

.PHONY: soak-players
soak-players: test-deps pages programs ## Ten shapes of streams at once, each in a browser, for SOAKTIME
	$(GO) test -count=1 -timeout 3h ./test -run '^TestSoakPlayers$$' -v -soak $(SOAKTIME) -soak-players

.PHONY: players
players: test-deps pages programs ## Play streams of many shapes in Chromium and ffmpeg, in about ten minutes; needs an idle machine
	$(GO) test -count=1 -timeout 60m ./test -run '^TestPlayers$$' -v -soak 40m -players

.PHONY: lint
lint: deps pages ## Check format, vet and staticcheck
	@bad=$$($(GO) tool gofumpt -l .); [ -z "$$bad" ] || { echo "not formatted by gofumpt:"; echo "$$bad"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags hostile ./cmd/brume-srt
	$(GO) tool staticcheck ./...
	$(GO) tool staticcheck -tags hostile ./cmd/brume-srt

.PHONY: bench
bench: test-deps pages programs ## Measure the speed; docs/performance.md explains the figures
	scripts/bench

.PHONY: fuzz
fuzz: deps pages ## Fuzz every parser for FUZZTIME each
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
	    echo "$$pkg $$target"; $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 0x $$pkg || exit 1; \
	  done; \
	done

.PHONY: demo
demo: test-deps build ## Start the server and publish a test picture to it
	scripts/demo

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin web/dist/* web/dist/.built web/node_modules test/clients/node_modules
