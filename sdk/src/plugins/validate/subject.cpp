#include <unistd.h>

#include "check.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::plugins::conformance {

Subject::Subject(std::string path, std::string interface_id, std::string name, nlohmann::json options, bool quick)
    : path_(std::move(path)),
      interface_id_(std::move(interface_id)),
      name_(std::move(name)),
      options_(std::move(options)),
      quick_(quick) {}

const Manifest& Subject::manifest() {
  if (manifest_) return *manifest_;
  try {
    manifest_ = std::make_unique<Manifest>(read_manifest(path_));
  } catch (const Error& e) {
    throw Failed{e.what(), "write GRPO_MANIFEST({...}) as docs/plugin-author.md shows"};
  }
  return *manifest_;
}

const ComponentManifest& Subject::component() {
  for (const ComponentManifest& c : manifest().components)
    if (c.interface_id == interface_id_ && c.name == name_) return c;
  throw Failed{"the manifest lists no " + interface_id_ + " '" + name_ + "'", "name it in \"components\""};
}

std::shared_ptr<const Component> Subject::loaded() {
  if (loaded_) return loaded_;
  RegistrySettings settings;
  settings.host_name = "grpo-plugin-check";
  settings.isolate_first_load = false;  // this process is the one that may crash
  settings.probe_cache.clear();
  registry_ = std::make_unique<Registry>(settings);
  registry_->add_file(path_);
  at("loading the library and calling its entry");
  try {
    loaded_ = registry_->load(interface_id_, name_);
  } catch (const Error& e) {
    throw Failed{e.what(), "docs/plugin-author.md, \"When it is refused\", says what to do"};
  }
  return loaded_;
}

void Subject::at(const std::string& what) const { tell_parent(nlohmann::json{{"at", what}}.dump()); }

void tell_parent(const std::string& line) {
  const std::string text = line + '\n';
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(3, text.data() + done, text.size() - done);
    if (n < 0 && errno != EINTR) ::_exit(2);
    if (n > 0) done += static_cast<std::size_t>(n);
  }
}

std::vector<Check> all_checks() {
  std::vector<Check> all;
  for (const auto part :
       {library_checks(), component_checks(), reward_checks(), sampler_checks(), model_checks(), optimizer_checks()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace grpo::plugins::conformance
