// loading.hpp: helpers of these tests.
#ifndef GRPO_TESTS_CONFIG_LOADING_HPP
#define GRPO_TESTS_CONFIG_LOADING_HPP

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <grpo/sdk/config/config.hpp>
#include <grpo/sdk/error.hpp>
#include <string>
#include <vector>

inline grpo::config::Config load_text(const std::string& text, const std::vector<std::string>& overrides = {}) {
  return grpo::config::load(grpo::config::Source{"run.yaml", text, "/configs"}, overrides);
}

// The message of the error that loading ends in, or "" when it ends in none.
inline std::string error_of(const std::string& text, const std::vector<std::string>& overrides = {}) {
  try {
    load_text(text, overrides);
  } catch (const grpo::Error& error) {
    return error.what();
  }
  return "";
}

#endif
