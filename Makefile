# Tasks of this repository. They need python3 (3.10 to 3.13) with its venv module, and make; everything else comes into
# virtual environments here. Another interpreter: make test PYTHON=python3.13. Options of a command: make demo ARGS=--fast

PYTHON ?= python3
ARGS ?=
DATA ?= ../shared/data
PEERS ?= ../shared/peers
DETECTOR ?= $(PEERS)/yunet_2023mar.onnx
MINUTES ?= 7
KILLS ?= 300
CUTS ?= 50
MESSAGES ?= 200000
CASES ?= 20000
PLATFORM ?= aarch64
PY ?= 3.11 3.13
EXTRAS ?=
# What packages hold beyond the monitor: their users cannot add to them by pip.
DEB_EXTRAS ?= can,dashboard,history,metrics,vss
# When the sources were last changed, and who then changed them: the same commit gives the same files.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null)
MAINTAINER ?= $(shell git log -1 --format='%an <%ae>' 2>/dev/null)
CODENAME ?= bookworm
FOLDER ?= dist
KEY ?=
# What the soak plays beside the demo's clip; none of it is needed.
CLIPS ?= $(wildcard ../shared/data/clips/*)
FLOAT ?= runs/expression/expression_float.tflite
CLIP ?=
OUT ?=

VENV := .venv
FLEET := .venv-fleet
TRAINING := .venv-training
TFLITE := .venv-tflite
DOCS := .venv-docs
PACKAGING := .venv-packaging
# Material says with every run that it will be followed by another tool in 2027.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs
SQLITE := .sqlite/sqlite3
# looks for barriers in the dashboard's pages; the wheel is a box for the file and nothing of it is installed
AXE := .axe/axe_playwright_python/axe.min.js
# What depends on the TFLite runtime; the second run of the suite is these tests.
RUNTIME_TESTS := tests/vision tests/test_pipeline.py tests/tools/demo

.DELETE_ON_ERROR:
.PHONY: help demo test test-tflite check docs docs-serve bench bench-step instructions roofline train-face train-follow train-expression train-cues train-eyes \
	evaluate-face evaluate-follow evaluate-expression evaluate-eyes evaluate-robustness evaluate-fairness evaluate-clips figures contact-sheet evaluate-decisions evaluate-holding evaluate-fatigue yawns-and-nods night-figure usual presets generate trade-off trade-off-figure demo-clip demo-figure evidence-figure tutorials robustness-figure chaos brokers homeassistant clients clouds cab-latency cellular damage collect-load fleet fuzz soak \
	wheelhouse board vehicle clean python

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS='	' read -r name text; do printf '%-21s %s\n' "$$name" "$$text"; done

demo: $(VENV)/.demo ## Play the bundled clip against a broker in the same process; no camera, no network
	$(VENV)/bin/evenkeel demo $(ARGS)

test: $(VENV)/.dev ## Run the test suite on LiteRT, then what depends on the runtime on tflite-runtime
	$(VENV)/bin/pytest $(ARGS)
	@$(MAKE) --no-print-directory test-tflite

test-tflite: python ## Run the tests that depend on the TFLite runtime on tflite-runtime 2.14.0
	@if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info >= (3, 12))'; then \
		echo "tflite-runtime: SKIPPED, its last release has no wheel for $$($(PYTHON) --version); it needs Python 3.10 or 3.11"; \
	elif ! $(MAKE) --no-print-directory $(TFLITE)/.dev; then \
		echo "tflite-runtime: SKIPPED, it cannot be installed here; pip's reason stands above"; \
		[ -z "$$CI" ]; \
	else \
		echo "tflite-runtime: running $(RUNTIME_TESTS)"; \
		EVENKEEL_VISION__RUNTIME=tflite $(TFLITE)/bin/pytest $(RUNTIME_TESTS) $(ARGS) && \
		echo "both runtimes: comparing" && \
		$(TFLITE)/bin/pytest tests/vision/test_models.py -k both_runtimes; \
	fi

check: $(VENV)/.dev ## Lint, format, types, that rooms import only downwards, that generated files are up to date
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python -m edge.tools.generate --check
	$(VENV)/bin/shellcheck --external-sources --source-path=systemd --source-path=. systemd/*.sh systemd/evenkeel systemd/packages/*.sh \
		systemd/packages/debian/evenkeel-allow systemd/packages/debian/evenkeel-alive systemd/packages/debian/*.p??inst systemd/packages/debian/*.p??rm

docs: $(DOCS)/.docs ## Build the documentation as a site into build/site; a broken link fails it
	$(MKDOCS) build --strict --site-dir build/site $(ARGS)
	@echo "build/site/index.html"

docs-serve: $(DOCS)/.docs ## Show the site on 127.0.0.1:8000, made anew with every change of a page
	$(MKDOCS) serve --dev-addr 127.0.0.1:8000 $(ARGS)

bench: $(VENV)/.dev ## Time every stage on this machine, then the step against the peer's from PEERS, taking turns
	$(VENV)/bin/evenkeel bench $(ARGS)
	$(VENV)/bin/python -m benchmarks.ratios --peers $(PEERS) --clips $(DATA)/clips

bench-step: $(VENV)/.dev ## Time the step and the peer's under pytest-benchmark
	EVENKEEL_PEERS=$(PEERS) $(VENV)/bin/pytest benchmarks/test_step.py $(ARGS)

instructions: $(VENV)/.dev ## Count a step's instructions under valgrind, compare with those stored; ARGS=--update
	$(VENV)/bin/python -m benchmarks.instructions $(ARGS)

roofline: $(TRAINING)/.training ## Hold the models' speed against what this machine does at best
	$(TRAINING)/bin/python -m benchmarks.roofline $(ARGS)

chaos: $(VENV)/.dev ## Kill broker, devices and collector KILLS times, cut the network CUTS times, count what the database holds
	$(VENV)/bin/python -m benchmarks.chaos --kills $(KILLS) --cuts $(CUTS) $(ARGS)

brokers: $(VENV)/.dev ## Try the device on real brokers with their tightest limits; ARGS=--install gets them first
	$(VENV)/bin/python -m benchmarks.brokers $(ARGS)

clients: $(VENV)/.dev build/clients/.made ## Follow a device with Node-RED, Prometheus, mqtt.js, aiomqtt and more while all of them are killed
	$(VENV)/bin/python -m benchmarks.clients $(ARGS)

clouds: $(VENV)/.dev ## Play the demo's clip to brokers that are as strict as the documents of those in the cloud
	EVERY_CLOUD=1 $(VENV)/bin/pytest tests/mqtt/test_clouds.py $(ARGS)

cellular: $(VENV)/.dev ## Measure on simulated cellular links what mqtt.answer_s costs: false disconnects against time to notice
	$(VENV)/bin/python -m benchmarks.cellular $(ARGS)

cab-latency: $(VENV)/.dev ## Time warnings from decision to sound card and pin, steps with all outputs on against none; ARGS=--write
	$(VENV)/bin/python -m benchmarks.cab_latency $(ARGS)

homeassistant: $(VENV)/.dev ## Try the device with a real Home Assistant, which is installed below .home-assistant, as root; ARGS=--write
	$(VENV)/bin/python -m benchmarks.home_assistant $(ARGS)

board: $(VENV)/.dev ## Install, replay and test on emulated arm64 boards (Debian 12 and 13, or SUITE=12), as root
	$(VENV)/bin/python -m benchmarks.board $(if $(SUITE),--debian $(SUITE)) $(ARGS)

vehicle: $(VENV)/.dev ## Boot whole emulated machines (SUITE=12 ARCH=amd64) and break camera, disk, clock and power, as root; ARGS=--write
	$(VENV)/bin/python -m benchmarks.vehicle $(if $(SUITE),--debian $(SUITE)) $(if $(ARCH),--arch $(ARCH)) $(ARGS)

collect-load: $(VENV)/.dev ## Time alerts from decision to the collector's database, and a thousand devices at once
	$(VENV)/bin/python -m benchmarks.collect_load $(ARGS)

fleet: $(FLEET)/.fleet ## Put up to 4,000 simulated devices on one mosquitto and plot how it bears them
	$(FLEET)/bin/python -m benchmarks.fleet $(ARGS)

damage: $(VENV)/.dev $(SQLITE) ## Damage CASES outboxes at random, hold what is left against what sqlite3's .recover reads
	$(VENV)/bin/python -m benchmarks.damage --cases $(CASES) --sqlite $(SQLITE) $(ARGS)

soak: $(VENV)/.dev ## Run two devices for MINUTES while broker and camera come and go; plot it, fail where something grows
	$(VENV)/bin/python -m benchmarks.soak --minutes $(MINUTES) $(addprefix --clip ,$(CLIPS)) $(ARGS)

fuzz: $(VENV)/.dev ## Send MESSAGES random messages to a device's command topics
	FUZZ_MESSAGES=$(MESSAGES) $(VENV)/bin/pytest tests/mqtt/test_fuzz.py --timeout 600 $(ARGS)

train-face: $(TRAINING)/.training ## Train the face model from DATA; goes on where it stopped
	$(TRAINING)/bin/python -m models.training.train_face --data $(DATA) $(ARGS)

train-follow: $(TRAINING)/.training ## Train the model that follows a face, from DATA and the face model; goes on where it stopped
	$(TRAINING)/bin/python -m models.training.train_follow --data $(DATA) $(ARGS)

train-expression: $(TRAINING)/.training ## Train the expression model from DATA; goes on where it stopped
	$(TRAINING)/bin/python -m models.training.train_expression --data $(DATA) $(ARGS)

train-cues: $(TRAINING)/.training ## Add valence, arousal and cues to the expression model: ARGS='--weights RUN'
	$(TRAINING)/bin/python -m models.training.train_cues --data $(DATA) $(ARGS)

train-eyes: $(TRAINING)/.training ## Train the eye model from DATA; ARGS=--clean trains eyes-clean on drawn eyes alone
	$(TRAINING)/bin/python -m models.training.train_eyes --data $(DATA) $(ARGS)

evaluate-face: $(VENV)/.dev ## Measure the face model
	$(VENV)/bin/python -m models.training.evaluate_face --data $(DATA) $(ARGS)

evaluate-follow: $(VENV)/.dev ## Measure the model that follows a face, beside the face model
	$(VENV)/bin/python -m models.training.evaluate_follow --data $(DATA) --peers $(PEERS) $(ARGS)

evaluate-expression: $(VENV)/.dev ## Measure the expression model
	$(VENV)/bin/python -m models.training.evaluate_expression --data $(DATA) $(ARGS)

evaluate-eyes: $(VENV)/.dev ## Measure the eye models, and what reading eyes costs a step
	$(VENV)/bin/python -m models.training.evaluate_eyes --data $(DATA) $(ARGS)

evaluate-robustness: $(VENV)/.dev ## Measure the expression model under what a cabin does to a picture
	$(VENV)/bin/python -m models.training.robustness --data $(DATA) $(ARGS)

evaluate-fairness: $(VENV)/.dev ## Measure the expression model by group
	$(VENV)/bin/python -m models.training.fairness --data $(DATA) $(ARGS)

figures: $(VENV)/.dev ## Measure the models and write figures, plots and the model card's tables
	$(VENV)/bin/python -m models.training.figures --data $(DATA) --float $(FLOAT) $(ARGS)

evaluate-clips: $(VENV)/.dev ## Play recorded clips that are hard to read, hold the alerts against what is wanted
	$(VENV)/bin/python -m calibration.clips --data $(DATA) $(ARGS)

contact-sheet: $(VENV)/.dev ## Draw how the driver in CLIP is followed into the folder OUT (it will hold pictures)
	@[ -n "$(CLIP)" ] && [ -n "$(OUT)" ] || { echo "make: name them: make contact-sheet CLIP=drive.mp4 OUT=/tmp/sheets" >&2; exit 2; }
	$(VENV)/bin/python -m models.training.contact_sheet $(CLIP) --out $(OUT) $(ARGS)

evaluate-decisions: $(VENV)/.dev ## Measure the decision on simulated drives made from DATA, peers' rules beside it
	$(VENV)/bin/python -m calibration.evaluate_decisions --data $(DATA) $(ARGS)

evaluate-holding: $(VENV)/.dev ## Decide the simulated drives and the clips with every frame read and with calm readings held, side by side
	$(VENV)/bin/python -m calibration.evaluate_holding --data $(DATA) --peers $(PEERS) $(ARGS)

evaluate-fatigue: $(VENV)/.dev ## Measure the judge of fatigue on simulated drives of eyes made from DATA, plain thresholds beside it
	$(VENV)/bin/python -m calibration.evaluate_fatigue --data $(DATA) $(ARGS)

yawns-and-nods: $(VENV)/.dev ## Judge simulated drives with yawns and nods laid over them, with and without these
	$(VENV)/bin/python -m calibration.yawns_and_nods --data $(DATA) $(ARGS)

night-figure: $(VENV)/.dev ## Draw openness, PERCLOS and alerts of a simulated night into calibration/night.png
	$(VENV)/bin/python -m calibration.night_figure calibration/night.png --data $(DATA) $(ARGS)

usual: $(VENV)/.dev ## Fit [usual] of an expression model's manifest (ARGS='--expression-model M.toml --write')
	$(VENV)/bin/python -m calibration.usual --data $(DATA) $(ARGS)

presets: $(VENV)/.dev ## Measure the sensitivities on simulated drives made from DATA and write what shows it; ARGS=--choose: choose them first
	$(VENV)/bin/python -m calibration.presets --data $(DATA) $(ARGS)
	@$(MAKE) --no-print-directory generate

generate: $(VENV)/.dev ## Write what is made from the code: example configuration, key tables, reference, JSON Schemas, AsyncAPI
	$(VENV)/bin/python -m edge.tools.generate

trade-off: $(VENV)/.dev ## Hold other ways to follow an expression beside it; writes calibration/trade-off.json, draws trade-off.png
	$(VENV)/bin/python -m calibration.trade_off --data $(DATA) $(ARGS)

trade-off-figure: $(VENV)/.dev ## Draw calibration/trade-off.png again from the figures beside it
	$(VENV)/bin/python -m calibration.trade_off --drawn-from calibration/trade-off.json

demo-clip: $(VENV)/.dev ## Make the demo's clip from DATA, with the YuNet detector at DETECTOR
	$(VENV)/bin/python -m models.training.demo_clip --data $(DATA) --detector $(DETECTOR) $(ARGS)

robustness-figure: $(VENV)/.dev ## Draw models/figures/robustness.png again from the figures beside it
	$(VENV)/bin/python -m models.training.robustness --drawn-from models/figures/robustness.json --plot models/figures/robustness.png

evidence-figure: $(VENV)/.dev ## Draw how a frame becomes evidence into docs/evidence.svg, from the judge itself
	$(VENV)/bin/python -m calibration.evidence docs/evidence.svg

tutorials: $(VENV)/.dev ## Play the tutorials and write what their commands print into the pages
	$(VENV)/bin/python -m docs.tutorials

demo-figure: $(VENV)/.dev ## Draw what the demo's clip comes to with the shipped models, and what a subscriber sees of it, into docs/
	$(VENV)/bin/python -m models.training.demo_figure docs/demo-clip.jpg
	$(VENV)/bin/python -m docs.demo_view docs/demo.svg

.PHONY: axe
axe: $(AXE) ## Fetch axe-core, with which the browser tests look for barriers in the dashboard's pages

.PHONY: pictures
pictures: $(VENV)/.dev ## Play the demo and write pictures of the dashboard's pages into docs/pages; ARGS='now tune': only these
	$(VENV)/bin/python -m docs.pictures $(ARGS)

wheelhouse: $(VENV)/.demo ## Collect in wheelhouse/ what boards of PLATFORM with Pythons PY (and EXTRAS=dashboard) need without a network
	systemd/wheelhouse.sh $(VENV)/bin/python $(PLATFORM) "$(PY)" wheelhouse $(EXTRAS)

.PHONY: deb deb-try
deb: $(VENV)/.demo ## Make Debian packages in dist/ for boards of PLATFORM with Pythons PY of Debian 12 and 13 or Ubuntu 24.04
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) systemd/wheelhouse.sh $(VENV)/bin/python $(PLATFORM) "$(PY)" \
		build/deb/wheels-$(PLATFORM) $(DEB_EXTRAS)
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(VENV)/bin/python -m systemd.packages.deb --wheels build/deb/wheels-$(PLATFORM) \
		--machine $(PLATFORM) --python $(PY) --extras $(DEB_EXTRAS) --work build/deb --out dist --maintainer '$(MAINTAINER)'

.PHONY: release reproducible sums
release: $(PACKAGING)/.packages ## Beside the packages of dist/: wheel, source archive, what is inside (CycloneDX), SHA256SUMS; KEY=FILE signs
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) $(PACKAGING)/bin/python -m systemd.packages.release --out dist --work build/release \
		--trees $(wildcard build/deb/*-arm64 build/deb/*-amd64)
	@$(MAKE) --no-print-directory sums

sums: ## Sum up FOLDER (default dist) in SHA256SUMS; KEY=FILE signs that
	systemd/packages/sums.sh $(FOLDER) $(KEY)

reproducible: $(PACKAGING)/.packages ## Make release and packages twice, in two places, time zones and umasks: the same bytes?
	systemd/packages/twice.sh $(PACKAGING)/bin/python $(PLATFORM) "$(PY)" $(DEB_EXTRAS) build/twice

deb-try: ## Try the packages of dist/ for this processor in a fresh CODENAME: install, upgrade, downgrade, purge; as root
	systemd/packages/try-deb.sh $(CODENAME) build/deb $(if $(filter trixie,$(CODENAME)),deb13,deb12) dist

.PHONY: image
image: ## Make an OCI image of the package in dist/ for PLATFORM in CODENAME, without daemon or registry; as root
	SOURCE_DATE_EPOCH=$(SOURCE_DATE_EPOCH) systemd/packages/image.sh $(CODENAME) \
		dist/evenkeel_*+$(if $(filter trixie,$(CODENAME)),deb13,deb12)_$(if $(filter x86_64,$(PLATFORM)),amd64,arm64).deb \
		dist/evenkeel-$(CODENAME)-$(PLATFORM).oci.tar

clean: ## Remove the virtual environments, caches and build products; training runs stay
	rm -rf $(VENV) $(FLEET) $(TRAINING) $(TFLITE) $(DOCS) $(PACKAGING) $(dir $(SQLITE)) .axe build dist wheelhouse *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find edge models tests benchmarks calibration -name __pycache__ -type d -prune -exec rm -rf {} +

# Debian 12 builds its sqlite3 without what .recover needs; npm's package of that name carries SQLite's own sources.
$(SQLITE):
	rm -rf $(@D) && mkdir $(@D)
	cd $(@D) && npm pack --silent sqlite3@5.1.7 >/dev/null && tar xzf sqlite3-5.1.7.tgz && \
		tar xzf package/deps/sqlite-autoconf-*.tar.gz
	cd $(@D)/sqlite-autoconf-* && $(CC) -O1 -DSQLITE_ENABLE_DBPAGE_VTAB -DSQLITE_THREADSAFE=0 \
		-DSQLITE_OMIT_LOAD_EXTENSION shell.c sqlite3.c -lm -o ../sqlite3

build/clients/.made: benchmarks/clients/package.json benchmarks/clients/requirements.txt | python
	mkdir -p $(@D) && cp $< $(@D)
	npm install --silent --no-audit --no-fund --prefix $(@D)
	$(PYTHON) -m venv $(@D)/venv
	$(@D)/venv/bin/pip install --quiet --disable-pip-version-check --requirement benchmarks/clients/requirements.txt
	@touch $@

$(AXE): $(VENV)/.dev
	$(VENV)/bin/pip download --quiet --disable-pip-version-check --no-deps --dest .axe axe-playwright-python==0.1.8
	$(VENV)/bin/python -m zipfile --extract .axe/axe_playwright_python-*.whl .axe
	rm .axe/*.whl .axe/axe_playwright_python/*.py

python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null || { \
		echo "make: needs Python 3.10 to 3.13 as '$(PYTHON)'; choose one with make PYTHON=python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
		echo "make: '$(PYTHON)' has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }

# The environments: made anew when pyproject.toml changes. 'python' only checks, so it is no reason to make them anew.
$(VENV)/.demo: extras := demo
$(VENV)/.dev: extras := calibration,demo,dev,postgresql
$(FLEET)/.fleet: extras := fleet
$(DOCS)/.docs: extras := docs
$(PACKAGING)/.packages: extras := packages
$(TRAINING)/.training: extras := training
$(TFLITE)/.dev: extras := demo,dev,tflite

# Static: a pattern with several targets would be one recipe that makes them all at once.
$(VENV)/.demo $(VENV)/.dev $(FLEET)/.fleet $(DOCS)/.docs $(PACKAGING)/.packages $(TRAINING)/.training $(TFLITE)/.dev: pyproject.toml | python
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --editable '.[$(extras)]'
	@touch $@
