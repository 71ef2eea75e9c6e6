# The two commands: `make demo` and `make test`. Each sets up what is missing, builds, and runs.
JOBS ?= $(shell nproc)
BUILD := build/release

.PHONY: demo test build setup format check-format clean

demo: build
	$(BUILD)/bin/grpo-host --plugins $(BUILD)/plugins

# The tests on the real model are skipped, with a message, where it cannot be had.
test: build
	-tools/get-smollm2
	cd $(BUILD) && ctest --output-on-failure -j$(JOBS)

build: setup
	@[ -f $(BUILD)/build.ninja ] || cmake --preset release
	cmake --build $(BUILD) -j$(JOBS)

setup:
	tools/setup

format:
	tools/format

check-format:
	tools/format --check

clean:
	rm -rf build
