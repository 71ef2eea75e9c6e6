// failure.hpp: how this plugin's code gives up, and the border where that becomes a status.
//
// Inside, a failure is thrown; `guarded` is the only way out, so no exception leaves the library.
#ifndef LOCAL_FAILURE_HPP
#define LOCAL_FAILURE_HPP

#include <grpo/base.h>

#include <exception>
#include <new>
#include <string>

namespace local {

struct failure {
  grpo_status status;
  std::string text;  // empty: whoever failed first has said it already
};

// The functions of the model say what went wrong through the call they were given.
inline void need(grpo_status status) {
  if (status != GRPO_STATUS_OK) throw failure{status, {}};
}

template <class Body>
grpo_status guarded(const grpo_call* call, Body&& body) noexcept {
  try {
    body();
    return GRPO_STATUS_OK;
  } catch (const failure& e) {
    return e.text.empty() ? e.status : grpo_fail(call, e.status, e.text.c_str());
  } catch (const std::bad_alloc&) {
    return grpo_fail(call, GRPO_STATUS_NO_MEMORY, "sampler local: no memory for the tokens of its slots");
  } catch (const std::exception& e) {
    return grpo_fail(call, GRPO_STATUS_FAILED, e.what());
  } catch (...) {
    return grpo_fail(call, GRPO_STATUS_FAILED, "sampler local: unknown exception");
  }
}

}  // namespace local

#endif
