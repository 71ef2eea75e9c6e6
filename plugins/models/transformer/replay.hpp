// replay.hpp: a pass of device operations that is run again and again, launched as one.
//
// Main idea. A decode step is some hundred small kernels; launching them is expected to take a host longer than running
// them takes a GPU (bench/gpu/run, "few rows", with graphs and without). Where all that changes from pass to pass lies
// in tensors that stay where they are, and the pass itself moves it on, it can be recorded once (a CUDA graph) and
// started as a whole. Such a pass does not read anything back, and decides nothing on the host.
//
// CUDA's runtime is asked for by name: this plugin links none of it. Whether recording works is tried when a model is
// opened, as with flash.hpp; a pass that cannot be recorded is run as before.
#ifndef GRPO_TRANSFORMER_REPLAY_HPP
#define GRPO_TRANSFORMER_REPLAY_HPP

#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace grpo::transformer {

class Recording {
 public:
  virtual ~Recording() = default;  // waits for what it started
  virtual void start() = 0;        // throws c10::Error
};

// [same thread]
class Recorder {
 public:
  virtual ~Recorder() = default;

  // Runs `work` where passes can be recorded: after all that was asked of the device before, before all that comes
  // after. Tensors made in it are for use in it.
  virtual void inside(const std::function<void()>& work) = 0;

  // In `work`. What the pass would do is kept and not done. The pass has run once before, in the same shapes. No other
  // tensors may be made until the last start. Null where it cannot be done, from then on; the log says why.
  virtual std::unique_ptr<Recording> record(const std::function<void()>& pass) = 0;
};

// `pass` so many times, `before` before each, which ends it all by false (not on a device) or by throwing. Keep what
// comes back, which may be null, until the results have been waited for: it would wait itself.
[[nodiscard]] std::unique_ptr<Recording> repeat(std::int64_t times, Recorder* recorder,
                                                const std::function<bool()>& before, const std::function<void()>& pass);

// Null where there are no CUDA graphs; `say` is told why.
std::unique_ptr<Recorder> make_cuda_recorder(c10::Device device, const std::function<void(const std::string&)>& say);

}  // namespace grpo::transformer

#endif
