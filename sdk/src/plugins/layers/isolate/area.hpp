// area.hpp: the shared memory in which batches go to a plugin's process and scores come back.
//
// A mapped memfd that one call at a time uses: a page for the cancel flag, the batch, the results. Both sides walk the
// batch in the same order, so a message carries counts and column names and nothing else. The file is sealed: nobody
// can cut it short, which would end the host with SIGBUS when it reads. What the host reads from it may be anything: it
// is copied once, then checked.
#ifndef GRPO_PLUGINS_ISOLATE_AREA_HPP
#define GRPO_PLUGINS_ISOLATE_AREA_HPP

#include <grpo/reward.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <vector>

#include "channel.hpp"

namespace grpo::wire {
class Score;
}

namespace grpo::plugins::isolate {

class Area {
 public:
  Area() = default;
  static Area create(std::size_t size);           // throws grpo::Error
  Area(Descriptor descriptor, std::size_t size);  // maps another's; throws grpo::Error
  ~Area();
  Area(Area&& other) noexcept;
  Area& operator=(Area&& other) noexcept;

  char* data() const { return data_; }
  std::size_t size() const { return size_; }
  int fd() const { return descriptor_.get(); }
  std::atomic<bool>& cancelled() const { return *reinterpret_cast<std::atomic<bool>*>(data_); }

 private:
  Descriptor descriptor_;
  char* data_ = nullptr;
  std::size_t size_ = 0;
};
static_assert(std::atomic<bool>::is_always_lock_free && sizeof(std::atomic<bool>) == 1);

inline constexpr std::size_t input_at = 64;      // in the area
inline constexpr std::size_t most_columns = 64;  // components of a reward

// Where a text lies among the texts of the results.
struct TextPlace {
  std::int64_t at, size;
};

// The results of n samples, from `base` on.
struct Outputs {
  double* score;
  std::int32_t* status;
  TextPlace* message;
  double* component;  // [most_columns][n]
  char* text;
  std::size_t text_room;
};
Outputs outputs_at(char* base, std::int64_t n_samples);
std::size_t output_size(std::int64_t n_samples);

std::size_t input_size(const grpo_reward_batch& batch);
// Writes the batch at input_at and its counts into the message.
void pack(const grpo_reward_batch& batch, Area& area, wire::Score& message);

// The batch as the plugin gets it; texts and numbers stay in the area.
class BatchInArea {
 public:
  // Throws grpo::Error when the area does not hold what the message says.
  void read(const Area& area, const wire::Score& message);
  const grpo_reward_batch* get() const { return &batch_; }

 private:
  class Reader;
  void read_columns(Reader& reader, const wire::Score& message, bool by_sample);
  grpo_reward_batch batch_{};
  std::vector<grpo_str> prompt_, messages_, ground_truth_, completion_;
  std::deque<std::vector<grpo_str>> column_texts_;
  std::deque<grpo_column> columns_;
  std::vector<const grpo_column*> row_columns_, sample_columns_;
};

}  // namespace grpo::plugins::isolate

#endif
