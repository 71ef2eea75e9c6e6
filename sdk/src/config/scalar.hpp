// scalar.hpp: YAML values as JSON values, typed by the core schema of YAML 1.2 (so 1e-6 is a number, yes is a text).
#ifndef GRPO_SRC_CONFIG_SCALAR_HPP
#define GRPO_SRC_CONFIG_SCALAR_HPP

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace YAML {
class Node;
}

namespace grpo::config {

// The value of an unquoted scalar: null, boolean, integer, number, else a string. An integer too big for 64 bits
// becomes a number.
nlohmann::ordered_json plain_scalar(const std::string& text);

// A whole node; visit(path, line) is called for every value in it, path as "a.0.b" ("" for the node itself), line
// from 1. Throws std::runtime_error with a text that starts with "line N: ": a key twice, a key that is no text,
// infinity, an anchor that contains itself.
nlohmann::ordered_json to_json(const YAML::Node& node, const std::function<void(const std::string&, int)>& visit = {});

// What it is, for "expects ..., found ...": "the text `fast`", "a list", "nothing".
std::string found(const YAML::Node& node);

}  // namespace grpo::config

#endif
