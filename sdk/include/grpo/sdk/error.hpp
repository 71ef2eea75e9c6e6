// error.hpp: the one exception of the host side.
//
// Its text is for a person: it names the file, line, key or tensor, says what is wrong and what to do. Nothing catches
// it to guess at its kind; the host prints it and exits, and the C side turns it into a status and a message.
#ifndef GRPO_SDK_ERROR_HPP
#define GRPO_SDK_ERROR_HPP

#include <stdexcept>
#include <string>

namespace grpo {

class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace grpo

#endif
