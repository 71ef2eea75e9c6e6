// completions_file.hpp: completions.jsonl of an evaluation, a line a completion.
#ifndef GRPO_SRC_TRAIN_COMPLETIONS_FILE_HPP
#define GRPO_SRC_TRAIN_COMPLETIONS_FILE_HPP

#include <filesystem>
#include <fstream>
#include <string>

#include "grpo/sdk/train/rollout.hpp"
#include "grpo/sdk/train/scoring.hpp"

namespace grpo::train {

// What a grader that knows only text and truth makes of a completion.
struct Graded {
  bool known = false;  // there is a ground truth
  bool strict = false, lenient = false;
};

class CompletionsFile {
 public:
  // Replaces a file of this name. Throws grpo::Error naming it.
  explicit CompletionsFile(std::filesystem::path path);
  void write(const std::string& dataset, const char* way, const Prompt& prompt, std::size_t index, const Sample& sample,
             bool right, const Graded& graded, const std::vector<WeightedReward>& rewards);
  void flush();  // throws when the disk is full

 private:
  std::filesystem::path path_;
  std::ofstream out_;
};

}  // namespace grpo::train

#endif
