// cadence.hpp: what happens every so many steps, epochs or seconds, whichever comes first.
#ifndef GRPO_SDK_TRAIN_CADENCE_HPP
#define GRPO_SDK_TRAIN_CADENCE_HPP

#include <chrono>
#include <cmath>
#include <cstdint>

namespace grpo::train {

// Seconds count from when it was made, and from the last time that it was due: a run that resumes starts anew. Steps
// and epochs are those of the run, so they fall where they would have without a stop.
class Cadence {
 public:
  struct Every {
    std::int64_t steps = 0;  // each 0: not by this
    double epochs = 0, seconds = 0;
    bool ever() const { return steps > 0 || epochs > 0 || seconds > 0; }
  };
  using Clock = std::chrono::steady_clock;

  explicit Cadence(Every every, Clock::time_point now = Clock::now()) : every_(every), last_(now) {}

  // Whether it is due after step number `step` (from 1), which took the run from one place in the data to another, in
  // epochs.
  bool due(std::int64_t step, double epoch_before, double epoch, Clock::time_point now = Clock::now()) {
    const bool is_due = (every_.steps > 0 && step % every_.steps == 0) ||
                        (every_.epochs > 0 && times(epoch) > times(epoch_before)) ||
                        (every_.seconds > 0 && std::chrono::duration<double>(now - last_).count() >= every_.seconds);
    if (is_due) last_ = now;
    return is_due;
  }
  const Every& every() const { return every_; }

 private:
  // Epochs are sums of fractions: a hair below a whole number is that number.
  double times(double epoch) const { return std::floor(epoch / every_.epochs + 1e-9); }

  Every every_;
  Clock::time_point last_;
};

}  // namespace grpo::train

#endif
