// What ships, the examples, and the faulty plugins without their fault pass.
#include <gtest/gtest.h>

#include <filesystem>

#include "suite.hpp"

namespace grpo::plugins {
namespace {

void expect_sound(const std::vector<std::string>& files, const std::vector<nlohmann::json>& options = {}) {
  std::vector<Validation> out(files.size());
  side_by_side(files.size(), [&](std::size_t i) {
    ValidateSettings with = settings();
    with.quick = true;
    if (!options.empty()) with.options = options[i].dump();
    out[i] = validate(files[i], with);
  });
  for (const Validation& v : out) {
    EXPECT_TRUE(v.passed()) << table_of(v);
    EXPECT_GT(v.count(Verdict::pass), 20) << table_of(v);
  }
}

TEST(Sound, WhatShips) { expect_sound({SHIPPED}); }
TEST(Sound, WhatShipsOnLibTorch) {
  const std::vector<std::string> files{SHIPPED_TORCH};
  if (files.empty()) GTEST_SKIP() << "built without LibTorch";
  expect_sound(files);
}
TEST(Sound, TheExamples) { expect_sound({EXAMPLES}); }
TEST(Sound, TheFaultyOnesWithoutTheirFault) {
  std::vector<std::string> files{broken("library_none")};
  std::vector<nlohmann::json> options{nlohmann::json::object()};
  for (const char* kind : {"reward", "sampler", "model", "optimizer"}) {
    files.push_back(broken(kind));
    options.push_back(with_fault(kind, ""));
  }
  files.push_back(broken("sampler"));  // this one is none
  options.push_back(with_fault("sampler", "updates"));
  expect_sound(files, options);
}

}  // namespace
}  // namespace grpo::plugins
