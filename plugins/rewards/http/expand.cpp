#include "expand.hpp"

#include <cstdlib>
#include <grpo/author.hpp>

namespace grpo_http {

std::string expanded(const std::string& text, const std::string& option) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t open = text.find("${", at), close = text.find('}', open);
    if (open == text.npos || close == text.npos) return out + text.substr(at);
    const std::string name = text.substr(open + 2, close - open - 2);
    const char* value = std::getenv(name.c_str());
    if (!value)
      throw grpo::failure(GRPO_STATUS_INVALID,
                          "the option " + option + " asks for the environment variable " + name + ", which is not set");
    out.append(text, at, open - at).append(value);
    at = close + 1;
  }
  return out;
}

}  // namespace grpo_http
