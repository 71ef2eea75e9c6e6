// engine.hpp: one pass of the transformer over rows of cached sequences; what a decode session runs on.
//
// Main idea. A row is one token with its place in one sequence. A pass writes the keys and values of all its rows into
// the cache, then lets each row see its sequence up to itself. So a step is a pass with one row a sequence, a prefill a
// pass with several, and chunks need nothing special.
#ifndef GRPO_TRANSFORMER_ENGINE_HPP
#define GRPO_TRANSFORMER_ENGINE_HPP

#include <cstdint>
#include <functional>
#include <memory>

#include "config.hpp"

namespace grpo::transformer {

constexpr std::int64_t block_tokens = 16;  // the cache is handed out in blocks of so many tokens

struct EngineRow {
  std::int32_t token = 0;
  std::int32_t position = 0;            // in its sequence
  const std::int32_t* block = nullptr;  // the sequence's blocks, position / block_tokens of them and one more
};

struct Sampling;

// A sequence that goes on by several tokens without the host between them.
struct AheadRow {
  const std::int32_t* token = nullptr;  // [length] all so far; the last one is pending
  std::int64_t length = 0, n_new = 0;   // n_new: since it was assigned
  std::int64_t remaining = 0;           // it ends by its length after so many tokens
  const std::int32_t* block = nullptr;  // enough for min(room, remaining) tokens more
  std::uint64_t key = 0;
  const Sampling* sampling = nullptr;
  std::int32_t force = -1;  // the first token; -1: choose
};

// As in grpo_decode_step: [n][room] and [n]. The last two may be null.
struct AheadResult {
  std::int32_t *token, *count, *ended;
  float *logprob, *logprob_sampled;
};

// [same thread]. Memory is set aside by the constructor of the implementation.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual std::int64_t max_rows() const = 0;    // in one pass
  virtual std::int64_t max_logits() const = 0;  // rows of logits at once

  // Rows of a sequence come in order, without gaps. With a place >= 0 what is computed goes into the model's record, to
  // n places from that one on.
  virtual void run(const EngineRow* rows, std::int64_t n, std::int64_t place) = 0;
  // Logits after rows [first, first + n) of the last pass: [n, vocabulary] in host memory, valid until the next call.
  virtual const float* logits(std::int64_t first, std::int64_t n) = 0;

  // Whether the engine chooses tokens itself. Up to `room` of them for each row; should it throw, nothing has happened.
  virtual bool runs_ahead() const { return false; }
  virtual void run_ahead(const AheadRow*, std::int64_t, std::int64_t, const std::function<void()>&,
                         const AheadResult&) {}

  virtual void copy_block(std::int32_t from, std::int32_t to) = 0;
};

// How the fast engine stores the weights of matrices. automatic: bfloat16 if that loses nothing.
enum class DecodeType { automatic, float32, bfloat16 };

class Record;
class Recorder;
class Weights;
class PackedWeights;

// What the engines of one model share.
struct EngineModel {
  const Config& config;
  Weights& weights;
  const std::uint64_t& version;           // changes when the weights do
  std::shared_ptr<PackedWeights> packed;  // of the fast engine; made on first use
  bool flash = false;                     // attention by flash.hpp
  Recorder* recorder = nullptr;           // null: passes are launched operation by operation
  DecodeType decode_type = DecodeType::automatic;
  Record* record = nullptr;  // null: nothing is recorded; only the fast engine can
};

// longest: tokens in one sequence.
std::unique_ptr<Engine> make_cpu_engine(EngineModel& model, std::int64_t blocks, std::int64_t longest);
std::unique_ptr<Engine> make_portable_engine(EngineModel& model, std::int64_t blocks);

}  // namespace grpo::transformer

#endif
