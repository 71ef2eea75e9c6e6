#include "completions_file.hpp"

#include <grpo/base.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/plugins/sampler.hpp"

namespace grpo::train {
namespace {

const char* finish_name(std::int32_t finish) {
  return finish == GRPO_FINISH_STOP ? "stop" : finish == GRPO_FINISH_LENGTH ? "length" : "cancelled";
}

nlohmann::ordered_json or_null(double value) {
  return std::isfinite(value) ? nlohmann::ordered_json(value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

CompletionsFile::CompletionsFile(std::filesystem::path path)
    : path_(std::move(path)), out_(path_, std::ios::binary | std::ios::trunc) {
  if (!out_) throw Error(path_.string() + ": cannot be written: " + std::strerror(errno));
}

void CompletionsFile::write(const std::string& dataset, const char* way, const Prompt& prompt, std::size_t index,
                            const Sample& sample, bool right, const Graded& graded,
                            const std::vector<WeightedReward>& rewards) {
  nlohmann::ordered_json row = {{"dataset", dataset},
                                {"row", prompt.row},
                                {"way", way},
                                {"index", index},
                                {"right", right},
                                {"prompt", prompt.text},
                                {"completion", sample.text},
                                {"ground_truth", prompt.ground_truth},
                                {"length", sample.ids.size()},
                                {"finish", finish_name(sample.finish)},
                                {"reward", or_null(sample.reward)}};
  if (graded.known) {
    row["strict"] = graded.strict;
    row["lenient"] = graded.lenient;
  }
  auto& scores = row["scores"] = nlohmann::ordered_json::object();
  for (std::size_t r = 0; r < rewards.size(); ++r) scores[rewards[r].name] = or_null(sample.scores[r]);
  out_ << row.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) << '\n';
}

void CompletionsFile::flush() {
  if (!out_.flush()) throw Error(path_.string() + ": cannot be written: " + std::strerror(errno));
}

}  // namespace grpo::train
