# Drover. `make demo` shows it, `make test` proves it; `make help` lists the rest.
SHELL    := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
GO       ?= go
MODULES  := core taskfiles sdk cni drivers-exec drivers-iis drivers-java drivers-qemu plugins drivers-docker
# Tests of these start an engine or virtual machines; CI and soak run them.
RUNTIMES := drivers-docker drivers-qemu
BIN      := bin
# A semantic version always, as plugins must report one: the tag, or what comes next with the commit behind the plus.
VERSION  := $(shell git describe --tags --dirty 2>/dev/null || echo 0.1.0-dev+$$(git describe --always --dirty 2>/dev/null || echo unknown))
COMMIT   := $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
# grpc's own tag leaves out its tracing pages, a third of a plugin's idle memory.
TAGS     := -tags grpcnotrace
LDFLAGS  := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
PACKAGES := $(addsuffix /...,$(addprefix ./,$(MODULES)))
QUICK    := $(addsuffix /...,$(addprefix ./,$(filter-out $(RUNTIMES),$(MODULES))))
SLOW     := $(addsuffix /...,$(addprefix ./,$(RUNTIMES)))

# Plugins that are built: the last part of each directory is the binary's name.
PLUGINS  := drivers-exec/cmd/drover-driver-raw-exec drivers-exec/cmd/drover-driver-exec drivers-docker/cmd/drover-driver-docker \
            drivers-java/cmd/drover-driver-java drivers-qemu/cmd/drover-driver-qemu cni/cmd/drover-network-cni
# Device plugins, built apart: an operator copies those that fit the machine to plugin_dir. The binary of
# plugins/device-x is drover-device-x.
DEVICES  := plugins/device-host plugins/device-usb plugins/device-pci plugins/device-nvidia
# Those that exist on Windows.
WINDOWS  := drivers-exec/cmd/drover-driver-raw-exec drivers-docker/cmd/drover-driver-docker drivers-java/cmd/drover-driver-java \
            drivers-iis/cmd/drover-driver-iis
GOBUILD  := $(GO) build $(TAGS) -trimpath -ldflags '$(LDFLAGS)'

# The reference CNI plugins are built as they are, from a module of their own; keep the version in step with its go.mod.
CNI      := github.com/containernetworking/plugins

.PHONY: help build windows demo cluster test ci root soak chaos-plugins bench bench-placement lint generate stale cross cross-windows cross-arm64 deps clean
help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

build: ## bin/drover, bin/drover-taskfiles, bin/plugins/*, bin/devices/*, bin/drivers/* and bin/cni/*
	@mkdir -p $(BIN)/plugins $(BIN)/devices $(BIN)/drivers $(BIN)/examples
	$(GOBUILD) -o $(BIN)/drover ./core/cmd/drover
	CGO_ENABLED=0 $(GOBUILD) -o $(BIN)/drover-taskfiles ./taskfiles/cmd/drover-taskfiles
	@for d in $(PLUGINS); do echo "go build ./$$d"; $(GOBUILD) -o $(BIN)/plugins/$${d##*/} ./$$d; done
	@for d in $(DEVICES); do echo "go build ./$$d"; $(GOBUILD) -o $(BIN)/devices/drover-$${d##*/} ./$$d; done
	cd cni/plugins && GOWORK=off CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X $(CNI)/pkg/utils/buildversion.BuildVersion=v1.9.1' -o ../../$(BIN)/cni/ tool
	$(GOBUILD) -o $(BIN)/drivers/drover-driver-systemd-unit ./plugins/driver-systemd-unit
	$(GOBUILD) -o $(BIN)/examples/drover-driver-mock ./plugins/driver-mock
	$(GOBUILD) -o $(BIN)/examples/drover-network-mock ./plugins/network-mock
	$(GOBUILD) -o $(BIN)/examples/drover-driver-rogue ./plugins/driver-rogue
	CGO_ENABLED=0 $(GOBUILD) -o $(BIN)/examples/hello-web ./docs/examples/hello-web/main.go

windows: ## bin/windows/drover.exe and bin/windows/plugins/*.exe
	@mkdir -p $(BIN)/windows/plugins
	CGO_ENABLED=0 GOOS=windows $(GOBUILD) -o $(BIN)/windows/drover.exe ./core/cmd/drover
	CGO_ENABLED=0 GOOS=windows $(GOBUILD) -o $(BIN)/windows/plugins/drover-driver-windows-service.exe ./plugins/driver-windows-service
	CGO_ENABLED=0 GOOS=windows $(GOBUILD) -o $(BIN)/windows/drover-taskfiles.exe ./taskfiles/cmd/drover-taskfiles
	@for d in $(WINDOWS); do echo "GOOS=windows go build ./$$d"; CGO_ENABLED=0 GOOS=windows $(GOBUILD) -o $(BIN)/windows/plugins/$${d##*/}.exe ./$$d; done

demo: build ## run the example jobs on a throw-away agent; Ctrl-C ends it
	@cd e2e && GOWORK=off $(GO) build $(TAGS) -trimpath -o ../$(BIN)/examples/demo ./demo
	@cd e2e && exec ../$(BIN)/examples/demo -bin ../$(BIN) -examples ../docs/examples

cluster: build ## three servers and two nodes in network namespaces to play with; needs root, Ctrl-C ends it
	@cd e2e && GOWORK=off $(GO) build -trimpath -o ../$(BIN)/examples/cluster ./playground
	@cd e2e && exec ../$(BIN)/examples/cluster -bin ../$(BIN)

deps: ## install the Debian packages that the tests need
	@./.ci/deps

# -count=1 below e2e: what is tested there are binaries, which the cache of test results does not look at.
test: deps build windows ## unit, golden and end-to-end tests (about 10 minutes)
	$(GO) test -timeout 10m $(QUICK)
	cd e2e && GOWORK=off $(GO) test -count=1 -timeout 10m $$(GOWORK=off $(GO) list ./... | grep -v /runtimes)
	cd e2e/thirdparty && GOWORK=off $(GO) test -count=1 -timeout 10m ./...
	cd e2e/thirdparty/sdkhost && GOWORK=off $(GO) test -count=1 -timeout 10m ./...

ci: root deps lint stale cross build ## what CI runs, as root: everything, small counts, race detector
	$(GO) test -race -timeout 20m $(QUICK)
	$(GO) test -p 1 -timeout 20m $(SLOW)
	cd sdk && GOWORK=off $(GO) test ./...
	cd e2e && GOWORK=off DROVER_TIER=ci $(GO) test -count=1 -timeout 20m $$(GOWORK=off $(GO) list ./... | grep -v /runtimes)
	cd e2e && GOWORK=off DROVER_TIER=ci $(GO) test -count=1 -timeout 20m ./runtimes
	cd e2e/thirdparty && GOWORK=off $(GO) test -count=1 -timeout 10m ./...
	cd e2e/thirdparty/sdkhost && GOWORK=off $(GO) test -count=1 -timeout 10m ./...

root:
	@[ "$$(id -u)" = 0 ] || { echo "this needs root: without it the tests of isolation, networks, devices and engines are skipped" >&2; exit 1; }

soak: root deps build windows ## the same with full counts (hours)
	DROVER_TIER=soak $(GO) test -timeout 4h $(PACKAGES)
	cd e2e && GOWORK=off DROVER_TIER=soak $(GO) test -count=1 -timeout 8h ./...

chaos-plugins: build ## swap a driver's binary SWAPS times (1000) under 50 tasks
	cd e2e && GOWORK=off SWAPS=$(or $(SWAPS),1000) $(GO) test -v -count=1 -timeout 8h ./chaos

bench: build ## the figures of docs/benchmarks.md
	cd e2e && GOWORK=off $(GO) run $(TAGS) -trimpath ./bench -bin ../$(BIN) $(BENCHFLAGS)
	cd e2e && GOWORK=off DROVER_TIER=bench $(GO) test -count=1 -v -run TestMaliciousPlugins ./malicious | grep -E 'median|^(---|ok|FAIL)'
	cd e2e && GOWORK=off DROVER_TIER=bench FAILOVERS=$(or $(FAILOVERS),50) $(GO) test -count=1 -v -timeout 1h -run TestFailoverTime ./cluster | grep -E 'median|^(---|ok|FAIL)'

# What is measured: NODES, JOBS, COUNT, TYPE=service|batch; SPREAD=1 and CONSTRAINTS=1 add them; PLACEMENTFLAGS for more.
bench-placement: export NODES ?= 5000
bench-placement: ## placements per second: the scheduler alone, then end to end with simulated nodes
	@mkdir -p $(BIN)
	NODES=$(NODES) COUNT=$(or $(ALONE),1200) $(GO) test ./core/scheduler -run '^$$' -bench '^BenchmarkPlacement$$'
	$(GOBUILD) -o $(BIN)/drover ./core/cmd/drover
	$(GOBUILD) -o $(BIN)/drover-nodesim ./core/cmd/drover-nodesim
	cd e2e && GOWORK=off $(GO) run ./placement -bin ../$(BIN) -nodes $(NODES) -jobs $(or $(JOBS),100) -count $(or $(COUNT),100) \
		-type $(or $(TYPE),service) $(if $(SPREAD),-spread) $(if $(CONSTRAINTS),-constraints) $(PLACEMENTFLAGS)

lint: ## formatting and vet
	@out=$$(gofmt -l $(MODULES) e2e docs); if [ -n "$$out" ]; then echo "not formatted (run gofmt -w):"; echo "$$out"; exit 1; fi
	$(GO) vet $(PACKAGES)
	cd e2e && GOWORK=off $(GO) vet ./...
	cd e2e/thirdparty && GOWORK=off $(GO) vet ./...
	cd e2e/thirdparty/sdkhost && GOWORK=off $(GO) vet ./...

generate: ## generated code (needs protoc: package protobuf-compiler); CI fails when it is stale
	./sdk/proto/generate.sh

stale: generate ## fail when generated code is not what `make generate` makes
	@git diff --exit-code --stat -- sdk/proto || { echo "generated code is stale: commit what make generate makes"; exit 1; }

cross: cross-windows cross-arm64 ## build and vet for Windows and for linux/arm64

cross-windows: windows
	CGO_ENABLED=0 GOOS=windows $(GO) build ./core/... ./sdk/... ./plugins/...
	CGO_ENABLED=0 GOOS=windows $(GO) vet ./core/... ./sdk/... ./plugins/... ./drivers-exec/... ./drivers-docker/... ./drivers-iis/... ./drivers-java/...
	cd sdk && CGO_ENABLED=0 GOOS=windows GOWORK=off $(GO) vet ./...

cross-arm64:
	CGO_ENABLED=0 GOARCH=arm64 $(GO) build $(PACKAGES)
	CGO_ENABLED=0 GOARCH=arm64 $(GO) vet $(PACKAGES)

clean: ## remove what was built
	rm -rf $(BIN)
