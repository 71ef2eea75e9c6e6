// Checkpoint: one file or many, as one set of names.
#include <fstream>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dtype.hpp"

namespace grpo::kit {
namespace {

using nlohmann::json;

// tensor -> shard, as the index says
std::map<std::string, std::string> read_index(const std::filesystem::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error(path.string() + ": cannot be opened");
  json index;
  try {
    index = json::parse(file);
  } catch (const json::exception& e) {
    throw std::runtime_error(path.string() + ": not JSON: " + e.what());
  }
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object())
    throw std::runtime_error(path.string() + ": lacks the object \"weight_map\"");
  std::map<std::string, std::string> map;
  for (const auto& [tensor, shard] : index["weight_map"].items()) {
    if (!shard.is_string())
      throw std::runtime_error(path.string() + ": weight_map of \"" + tensor + "\" is not a file name");
    const auto name = shard.get<std::string>();
    if (name.empty() || name.find('/') != std::string::npos)
      throw std::runtime_error(path.string() + ": weight_map of \"" + tensor + "\" names \"" + name +
                               "\", which is no file of this directory");
    map[tensor] = name;
  }
  return map;
}

}  // namespace

Checkpoint::Checkpoint(std::filesystem::path directory) : directory_(std::move(directory)) {
  const auto index_path = directory_ / "model.safetensors.index.json";
  const auto single = directory_ / "model.safetensors";
  if (!std::filesystem::exists(index_path)) {
    if (!std::filesystem::exists(single))
      throw std::runtime_error(directory_.string() +
                               ": no weights: it holds neither model.safetensors nor model.safetensors.index.json");
    files_.emplace_back(single);
    for (const auto& tensor : files_[0].tensors()) index_.emplace(tensor.name, Place{0, &tensor});
    return;
  }
  const auto map = read_index(index_path);
  std::map<std::string, std::size_t> opened;
  for (const auto& [tensor, shard] : map) {
    if (opened.count(shard)) continue;
    if (!std::filesystem::exists(directory_ / shard))
      throw std::runtime_error((directory_ / shard).string() + ": missing, but " + index_path.string() +
                               " says it holds tensor \"" + tensor + "\"");
    opened.emplace(shard, files_.size());
    files_.emplace_back(directory_ / shard);
  }
  for (const auto& [tensor, shard] : map) {
    const auto file = opened.at(shard);
    const auto* view = files_[file].find(tensor);
    if (!view)
      throw std::runtime_error(files_[file].path().string() + ": has no tensor \"" + tensor + "\", which " +
                               index_path.string() + " promises");
    index_.emplace(tensor, Place{file, view});
  }
}

std::vector<std::string> Checkpoint::names() const {
  std::vector<std::string> names;
  for (const auto& [name, place] : index_) names.push_back(name);
  return names;
}

const TensorView* Checkpoint::find(std::string_view name) const {
  const auto at = index_.find(name);
  return at == index_.end() ? nullptr : at->second.tensor;
}

const TensorView& Checkpoint::at(std::string_view name) const {
  if (const auto* tensor = find(name)) return *tensor;
  throw std::runtime_error(directory_.string() + ": no file of it has tensor \"" + std::string(name) + "\"");
}

const std::filesystem::path& Checkpoint::file_of(std::string_view name) const {
  at(name);
  return files_[index_.find(name)->second.file].path();
}

}  // namespace grpo::kit
