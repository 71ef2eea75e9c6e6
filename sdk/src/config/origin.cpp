#include <cstdlib>
#include <grpo/sdk/config/config.hpp>

namespace grpo::config {

std::string Origin::text() const {
  switch (kind) {
    case Kind::built_in:
      return "default";
    case Kind::derived:
      return "derived";
    case Kind::file:
      return file + ":" + std::to_string(line);
    case Kind::command_line:
      break;
  }
  return "command line";
}

Path resolve_path(const Path& base, const std::string& given) {
  if (given.empty()) return {};
  const char* home = std::getenv("HOME");
  if (given.starts_with("~/") && home) return (Path(home) / given.substr(2)).lexically_normal();
  return (base / given).lexically_normal();
}

Origin Config::origin(std::string_view key) const {
  const auto found = origins.find(std::string(key));
  return found == origins.end() ? Origin{} : found->second;
}

std::string Config::where(std::string_view key) const {
  const Origin from = origin(key);
  if (from.kind == Origin::Kind::built_in || from.kind == Origin::Kind::derived)
    return std::string(key) + " (" + from.text() + ")";
  return from.text() + ": " + std::string(key);
}

}  // namespace grpo::config
