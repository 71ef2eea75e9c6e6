#include "grpo/sdk/plugins/recorded.hpp"

#include "grpo/sdk/error.hpp"
#include "recorder.hpp"

namespace grpo::plugins {
namespace {

// The recorder of a file. Two that wrote into one file would spoil it, so those that are at work are known.
std::shared_ptr<record::Recorder> recorder_of(const Component& component, const RecordSettings& settings) {
  static std::mutex mutex;
  static std::map<std::filesystem::path, std::weak_ptr<record::Recorder>> at_work;
  const std::lock_guard lock(mutex);
  auto& known = at_work[std::filesystem::weakly_canonical(std::filesystem::absolute(settings.file))];
  if (auto there = known.lock()) {
    if (there->records(component)) return there;
    throw Error(settings.file.string() + ": another plugin is being recorded there; " + component.label() +
                " needs a file of its own");
  }
  auto made = std::make_shared<record::Recorder>(settings.file, component, settings.host);
  known = made;
  return made;
}

}  // namespace

std::shared_ptr<const Component> recorded(std::shared_ptr<const Component> inner, const RecordSettings& settings) {
  const std::string kind = kind_of(inner->manifest.interface_id);
  static const std::map<std::string, decltype(&record::record_reward)> layers = {
      {"reward", record::record_reward},
      {"optimizer", record::record_optimizer},
      {"model", record::record_model},
      {"sampler", record::record_sampler}};
  const auto layer = layers.find(kind);
  if (layer == layers.end())
    throw Error(inner->label() + ": calls of " + inner->manifest.interface_id + " cannot be recorded");
  auto to = recorder_of(*inner, settings);
  return layer->second(std::move(inner), std::move(to));
}

}  // namespace grpo::plugins
