# `make` alone prints the targets.
.DEFAULT_GOAL := help
SHELL := bash

GOLANGCI_LINT := bin/tools/golangci-lint-v2.15.0
ACTIONLINT := bin/tools/actionlint-v1.7.12
K6 := bin/tools/k6-v1.8.1
VEGETA := bin/tools/vegeta-v12.13.0
export CGO_ENABLED ?= 0

.PHONY: help
help: ## print this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: engine build predictor ## measure the reference matrix from nothing: engine, service, sweep, answer (about ten minutes)
	bin/sweep run experiments/matrix.yaml

.PHONY: build
build: ## build bin/sweep and bin/predictor, static
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/sweep ./cmd/predictor

.PHONY: test
test: engine compose build predictor fastapi locust calibration servers ## run every test, those on live Docker too
	go test -timeout 30m -p 1 ./...

.PHONY: race
race: engine compose build predictor fastapi locust calibration servers ## run every test with the race detector (needs a C compiler)
	CGO_ENABLED=1 go test -race -timeout 30m -p 1 ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) $(ACTIONLINT) ## check style, the walls between packages, workflows and scripts
	$(GOLANGCI_LINT) run ./...
	$(GOLANGCI_LINT) fmt --diff ./...
	$(ACTIONLINT) -shellcheck= -pyflakes=
	for script in .ci/*; do bash -n "$$script" || exit 1; done

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## format the code
	$(GOLANGCI_LINT) fmt ./...

# Pinned: a linter that changes by itself breaks yesterday's commit.
$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin/tools go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(lastword $(subst -v, v,$(notdir $@)))
	mv bin/tools/golangci-lint $@

$(ACTIONLINT):
	GOBIN=$(CURDIR)/bin/tools go install github.com/rhysd/actionlint/cmd/actionlint@$(lastword $(subst -v, v,$(notdir $@)))
	mv bin/tools/actionlint $@

.PHONY: bench
bench: engine build predictor ## measure what the orchestration costs a trial, and what a prediction costs
	go test -run '^$$' -bench . -skip '^Benchmark(Load|Locust|Calibrate|Nights)$$' -benchtime 1x ./cmd/sweep
	go test -run '^$$' -bench . ./cmd/predictor/... ./pkg/...

# One part of it: make bench-load PART=flat (or users, or many).
.PHONY: bench-load
bench-load: build $(K6) $(VEGETA) ## measure the load generator beside wrk, hey, k6 and vegeta (about ten minutes)
	@.ci/load-tools
	SWEEP=$(CURDIR)/bin/sweep K6=$(CURDIR)/$(K6) VEGETA=$(CURDIR)/$(VEGETA) \
		go test -run '^$$' -bench '^BenchmarkLoad$$/$(PART)' -benchtime 1x -timeout 60m ./cmd/sweep

.PHONY: bench-locust
bench-locust: engine build fastapi locust ## the same cells by the native generator and by Locust: brackets, and what the load costs (about ten minutes)
	go test -run '^$$' -bench '^BenchmarkLocust$$' -benchtime 1x -timeout 60m ./cmd/sweep

# One service of it, more often: make calibrate SERVICE=cpu ROUNDS=5; faster, by
# ramps alone: PRESET=quick. With KEEP=DIR the experiments and their results stay
# there.
ROUNDS := 1
.PHONY: calibrate
calibrate: engine build calibration ## hold what sweep finds against services whose capacity and fault are known (about a quarter of an hour a round)
	SWEEP=$(CURDIR)/bin/sweep go test -run '^$$' -bench '^BenchmarkCalibrate$$/$(SERVICE)' -benchtime 1x \
		-timeout 120m ./cmd/sweep -rounds $(ROUNDS) $(if $(PRESET),-preset $(PRESET)) -keep '$(if $(KEEP),$(abspath $(KEEP)))'

NIGHTS := 10
.PHONY: nights
nights: engine build calibration ## nights of sweep check on live Docker: is it red where it should be, and only there? (about three quarters of an hour)
	go test -run '^$$' -bench '^BenchmarkNights$$' -benchtime 1x -timeout 240m ./cmd/sweep -nights $(NIGHTS)

KILLS := 50
.PHONY: kill
kill: engine build predictor ## kill sweep at fifty moments, and see that the container in whose place it was is as it was (about ten minutes)
	go test -count=1 -v -run '^TestASweepThatIsKilledPutsTheContainerBack$$' -timeout 60m ./cmd/sweep -kills $(KILLS)

# Pinned too, and programs of their own: nothing of them is linked into ours.
$(K6):
	GOBIN=$(CURDIR)/bin/tools go install go.k6.io/k6@$(lastword $(subst -v, v,$(notdir $@)))
	mv bin/tools/k6 $@

$(VEGETA):
	GOBIN=$(CURDIR)/bin/tools go install github.com/tsenart/vegeta/v12@$(lastword $(subst -v, v,$(notdir $@)))
	mv bin/tools/vegeta $@

.PHONY: engine
engine: ## make sure that a Docker engine answers
	@.ci/engine

.PHONY: compose
compose: engine ## make sure that docker compose is there, or docker-compose: tests sweep what it runs
	@docker compose version >/dev/null 2>&1 || command -v docker-compose >/dev/null || \
		{ apt-get update -q && apt-get install -y -q --no-install-recommends docker-compose; }

.PHONY: image
image: engine build ## build the image of sweep itself, for machines without Go and for those that make load
	docker build --quiet --tag sweep .

.PHONY: predictor
predictor: engine build ## build the image of the embedded prediction service
	docker build --quiet --tag sweep/predictor:dev --file cmd/predictor/Dockerfile bin

.PHONY: calibration
calibration: engine ## build the image of the services of known capacity
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/sweep/internal/calibration
	docker build --quiet --tag sweep/calibration:dev --file cmd/sweep/internal/calibration/Dockerfile bin

.PHONY: base-image
base-image: engine ## make debian:bookworm-slim where no registry has it (about a minute)
	@compose/base-image.sh

.PHONY: fastapi
fastapi: base-image ## build the image of the FastAPI service (a few minutes the first time)
	docker build --quiet --tag sweep/fastapi:dev compose/fastapi

.PHONY: locust
locust: base-image ## build the image of Locust (a minute the first time)
	docker build --quiet --tag sweep/locust:dev compose/locust

# Where to: make publish IMAGE=registry.example.com/team/prediction:v1; after
# `docker login registry.example.com`. FROM is any image of the engine's.
FROM := sweep/fastapi:dev
.PHONY: publish
publish: engine $(if $(filter sweep/fastapi:dev,$(FROM)),fastapi) ## tag an image as IMAGE=registry/name:tag and push it (FROM=sweep/fastapi:dev)
	@[[ -n '$(IMAGE)' ]] || { echo 'publish: where to? make publish IMAGE=registry/name:tag [FROM=$(FROM)]' >&2; exit 2; }
	docker image tag '$(FROM)' '$(IMAGE)'
	docker push --quiet '$(IMAGE)'
	@docker image inspect --format '{{range .RepoDigests}}{{println .}}{{end}}' '$(IMAGE)' | grep --fixed-strings "$$(sed -E 's,:[^:/]+$$,,' <<<'$(IMAGE)')@"

.PHONY: servers
servers: ## make sure that the servers and the browser are here which tests need
	@.ci/load-tools test

.PHONY: schema
schema: ## write experiments/schema.json from the types
	go generate ./pkg/experiment

.PHONY: clean
clean: ## remove what was built, not what was measured
	rm -rf bin
	-docker image rm --force sweep/predictor:dev sweep/fastapi:dev sweep/locust:dev sweep/calibration:dev 2>/dev/null
