// changed_settings.hpp: with what a resumed run goes on otherwise than it was.
#ifndef GRPO_TRAIN_CHANGED_SETTINGS_HPP
#define GRPO_TRAIN_CHANGED_SETTINGS_HPP

#include <filesystem>
#include <string>
#include <vector>

#include "grpo/sdk/config/config.hpp"

namespace grpo::train {

// "optimizer.learning_rate was 1.0e-05 and is now 3.0e-05", for each key that bears on what is trained. run_yaml: the
// checkpoint's, of the configuration that was in effect. Empty where it cannot be read: an older host's may have had
// other keys.
std::vector<std::string> changed_settings(const std::filesystem::path& run_yaml, const config::Config& now);

}  // namespace grpo::train

#endif
