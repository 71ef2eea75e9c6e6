// fuzz.hpp: a plugin on inputs that nobody thought of, in a process of its own.
//
// Main idea. Rounds of made-up calls are written as a recording; a child process (`grpo-host plugins replay`) makes
// them and records its answers; what is missing or wrong in those is a finding. The input that did it is made smaller
// as long as the finding stays, and written as a recording again, for `plugins replay`.
//
// Inputs: texts that are empty, huge, full of zero bytes, of rare Unicode, of nested LaTeX, tags and JSON, the words
// that the library itself holds, and pieces of all these; columns of every type with the worst numbers; options within
// their schema; batches from a recording, changed. All drawn from the seed, so that the same seed gives the same run.
#ifndef GRPO_SDK_PLUGINS_FUZZ_HPP
#define GRPO_SDK_PLUGINS_FUZZ_HPP

#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

namespace grpo::plugins {

struct FuzzSettings {
  std::string host;                         // the program that replays: grpo-host
  std::string library;                      // the plugin's file
  std::string component;                    // empty: the only reward or optimizer in it
  const nlohmann::json* options = nullptr;  // these as they are, the others are made up; null: all are
  std::string corpus;                       // a recording to start from; empty: none
  std::string output;                       // failing cases: OUTPUT.crash.calls, ...; empty: the component's name
  std::uint64_t seed = 1;
  std::int64_t runs = 2000;       // batches (an optimizer: sequences of steps)
  double seconds = 60;            // for all of it; making cases smaller comes on top, at most as long again
  int tries = 400;                // to make a case smaller
  double timeout_seconds = 10;    // for one call; longer is a hang
  std::int64_t memory_mb = 4096;  // that the child may take; 0: no limit
  std::function<void(std::int64_t runs, std::size_t findings)> progress = {};
};

struct Finding {
  std::string kind;    // "crash", "exit", "hang", "score", "repeat", "order", "split", "open"
  std::string what;    // for people: "SIGSEGV", "a sample that is ok has no finite score: NaN"
  std::string input;   // the smallest that does it, in words
  std::string output;  // the end of what the plugin printed, if it crashed
  std::string file;    // the recording
  std::int64_t run = 0;
};

struct FuzzReport {
  std::int64_t runs = 0, calls = 0;
  double seconds = 0;
  std::int64_t refused = 0;       // options that the plugin refused with a message, which is its right
  std::int64_t failed = 0;        // batches that it refused as a whole
  std::string failure;            // the text of the first of them
  std::vector<Finding> findings;  // one of each kind
};

// Throws grpo::Error: no such component, one that cannot be fuzzed, a corpus that is no recording of its interface, a
// program that cannot be started.
FuzzReport fuzz(const FuzzSettings& settings);

}  // namespace grpo::plugins

#endif
