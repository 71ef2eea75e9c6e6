// find.hpp: which Python.
#ifndef GRPO_REWARD_PYTHON_FIND_HPP
#define GRPO_REWARD_PYTHON_FIND_HPP

#include <string>

namespace grpo_python {

// The interpreter: `option` (a file, or a virtual environment's folder), else the one in $VIRTUAL_ENV, else python3 in
// PATH. Throws grpo::failure that says where it looked. Whether it is new enough it tells itself when it starts.
std::string find_python(const std::string& option);

}  // namespace grpo_python

#endif
