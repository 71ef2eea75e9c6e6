// checkpoint.hpp: the state of a run on disk, whole or not there at all.
//
// A checkpoint is a directory <output_dir>/checkpoint-<step>: a model directory that `transformers` loads (weights,
// config.json, tokenizer), and beside it
//   optimizer.safetensors   the optimizer's state by name, and the parameters in full precision where the saved weights
//                           are narrower
//   trainer_state.json      step, position in the data, counters, and what must not change between stop and resume
//   run.yaml                the configuration as it was
// What exists for resuming alone, renewed often and never two of them, has the same form under the name
// recover-<step>.
// It is written to a hidden sibling, flushed to the disk and renamed. Older ones are pruned after that, so a full disk
// or a kill at any moment leaves the last good one.
#ifndef GRPO_SDK_TRAIN_CHECKPOINT_HPP
#define GRPO_SDK_TRAIN_CHECKPOINT_HPP

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>

#include "grpo/kit/adapter.hpp"
#include "grpo/sdk/algorithm/entropy_control.hpp"
#include "grpo/sdk/plugins/model.hpp"
#include "grpo/sdk/plugins/optimizer.hpp"

namespace grpo::train {

// Where a run is.
struct TrainerState {
  std::string stage;                 // "train" or "sft"
  std::int64_t step = 0;             // steps done
  std::int64_t optimizer_steps = 0;  // of which a step may have several
  std::int64_t position = 0;         // in the data's order: prompts used
  std::int64_t num_tokens = 0;
  double completion_length = 0;               // mean of the last step: what the next is planned with; 0: not known
  std::optional<double> kl_coefficient = {};  // where an adaptive one is
  std::optional<algorithm::EntropyBonus> entropy_bonus = {};  // likewise
  double seconds = 0;                                         // trained so far
  std::map<std::string, std::string> fixed;                   // key -> value as text: must be the same on resume
};

struct CheckpointOptions {
  std::filesystem::path output_dir;
  std::filesystem::path model_directory;     // where the files beside the weights come from
  std::string dtype = "float32";             // of the saved weights
  std::optional<kit::Adapter> adapter = {};  // of a model with adapters: they are saved, and the weights are not
  bool optimizer_state = true;
  std::int64_t keep = 2;  // newest ones; 0: all
  std::string run_yaml = {};
  bool recover = false;  // as recover-<step>, in place of an older one
  // Writes what else belongs to the state of the run into the directory. May be null.
  std::function<void(const std::filesystem::path&)> further = {};
};

// Throws grpo::Error if save_checkpoint could not save this model and optimizer (state on a device, a type that a file
// cannot hold): to be told before training, not after hours of it.
void check_can_save(const CheckpointOptions& options, plugins::Model& model, plugins::Optimizer& optimizer);

// Returns the checkpoint's path. Older ones beyond `keep` are removed, this one never; a recover-<step> before it too.
// Throws grpo::Error; earlier checkpoints are then untouched.
std::filesystem::path save_checkpoint(const CheckpointOptions& options, const TrainerState& state,
                                      plugins::Model& model, plugins::Optimizer& optimizer);

// The newest complete checkpoint in output_dir, of either name, if there is one.
std::optional<std::filesystem::path> find_checkpoint(const std::filesystem::path& output_dir);

// Removes what processes that were killed while saving left in output_dir.
void remove_unfinished_checkpoints(const std::filesystem::path& output_dir);

// Moves checkpoints and metrics.jsonl of a run that is not resumed to output_dir/earlier-<n>, so that the new run's are
// never mixed with them. Returns that directory; nothing when there was nothing to move.
std::optional<std::filesystem::path> set_earlier_run_aside(const std::filesystem::path& output_dir);

// Throws grpo::Error: not a checkpoint to resume from, another stage, or values of `fixed` that have changed (each with
// key, old and new value).
TrainerState read_trainer_state(const std::filesystem::path& checkpoint, const TrainerState& now);

// The optimizer's state, and full-precision parameters if the checkpoint has them, which are then committed.
// Throws grpo::Error naming a tensor that is missing or has another shape.
void restore_optimizer(const std::filesystem::path& checkpoint, plugins::Model& model, plugins::Optimizer& optimizer,
                       std::int64_t version);

}  // namespace grpo::train

#endif
