// rules.hpp: what needs more than another name, a file a system. Each line says with which option of theirs a value
// came.
#ifndef GRPO_SRC_CONFIG_CONVERT_RULES_HPP
#define GRPO_SRC_CONFIG_CONVERT_RULES_HPP

#include <algorithm>
#include <cmath>

#include "draft.hpp"

namespace grpo::config {

void verl(Draft& d);
void easyr1(Draft& d);
void areal_1(Draft& d);
void areal_02(Draft& d);
void mindspeed(Draft& d);
void trl(Draft& d);

// What several of them share.

void tensorboard(Draft& d, const std::string& option, const std::string& metric_names);
// Optimizer steps a step: both sizes in prompts.
void minibatches(Draft& d, const std::string& batch, double batch_default, const std::string& mini,
                 double mini_default);
void lora(Draft& d, const std::string& rank, const std::string& alpha, const std::string& targets,
          const std::string& dropout = "");
void adam(Draft& d, const std::string& beta1, const std::string& beta2, const std::string& epsilon);
// GSM8K's files have the columns question and answer.
void gsm8k_columns(Draft& d, const std::string& path_option);
void needs_file(Draft& d, const std::string& option);
void needs_directory(Draft& d, const std::string& option);
void held_out(Draft& d, const std::string& option);
// math, where the reward is chosen by code of theirs.
void math(Draft& d, const std::string& why, json options = json::object());
void python_reward(Draft& d, const std::string& path_option, const std::string& name_option,
                   const std::string& kwargs_option);
void filter_overlong(Draft& d, bool filters, const std::string& truncation, const std::string& comment);

}  // namespace grpo::config

#endif
