// expand.hpp: ${NAME} in an option, which keeps tokens out of files.
#ifndef GRPO_REWARD_HTTP_EXPAND_HPP
#define GRPO_REWARD_HTTP_EXPAND_HPP

#include <string>

namespace grpo_http {

// With the values of environment variables. Throws grpo::failure that names `option` and a variable that is not set.
std::string expanded(const std::string& text, const std::string& option);

}  // namespace grpo_http

#endif
