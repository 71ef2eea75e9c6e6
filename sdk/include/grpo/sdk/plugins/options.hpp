// options.hpp: a component's options, checked against the schema in its manifest.
//
// The schema: {key: {type, default, minimum, maximum, enum, required, description}} with the types number, integer,
// boolean, string, list, object. What the user leaves out is filled in from `default`; what has no default and is not
// required stays absent. {format: "path"} marks a string, or a list of them, that names files: see
// train::resolve_option_paths.
#ifndef GRPO_SDK_PLUGINS_OPTIONS_HPP
#define GRPO_SDK_PLUGINS_OPTIONS_HPP

#include <grpo/base.h>

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace grpo::plugins {

class Options {
 public:
  // `where` opens every message: "rewards.math" gives "rewards.math.wrong: ...". Throws grpo::Error: an unknown key
  // (the nearest known one and the list are named), a wrong type, a value out of range or not among `enum`, one that is
  // required and missing, or a schema that is itself wrong. null counts as absent.
  Options(const nlohmann::json& values, const nlohmann::json& schema, const std::string& where);
  ~Options();
  Options(Options&&) noexcept;
  Options& operator=(Options&&) noexcept;

  const nlohmann::json& values() const;                 // checked, defaults filled in
  const grpo_options* get() const;                      // as long as this object
  void set_component(const grpo_component* component);  // the one that is opened with them
  operator const grpo_options*() const { return get(); }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Throws grpo::Error if the schema is not one; `where` opens the message. Manifests are checked with it when read.
void check_option_schema(const nlohmann::json& schema, const std::string& where);

}  // namespace grpo::plugins

#endif
