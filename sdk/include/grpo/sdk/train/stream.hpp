// stream.hpp: one completion, told while it is made, for a person who reads along.
//
// Main idea. A sampler delivers whole completions; a model's grpo.decode/1 gives tokens. So one sequence is decoded
// here, a token a step, and its text handed on as soon as it is whole characters and cannot become a stop text any
// more. A conversation goes on in the same slot: what the cache holds of the next prompt is not computed again. Where
// the model has no decoder (an engine behind a sampler), the completion comes in one piece at its end.
//
//     TextStream stream(session);
//     auto reply = stream.reply(prompt_ids, sampling, key, [](std::string_view text) { std::cout << text; });
//
// The tokens are those that the sampler gives for a request with this key.
#ifndef GRPO_SDK_TRAIN_STREAM_HPP
#define GRPO_SDK_TRAIN_STREAM_HPP

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "grpo/sdk/plugins/sampler.hpp"
#include "grpo/sdk/train/session.hpp"

namespace grpo::train {

struct StreamedReply {
  std::vector<std::int32_t> ids;  // exactly what was sampled, the stop token included
  std::string text;               // what was handed on: special tokens and the stop text left out
  std::int32_t finish = 0;        // GRPO_FINISH_*; cancelled: `stop` said so
  std::int64_t reused = 0;        // tokens of the prompt that the cache held already
  double prefill_seconds = 0, decode_seconds = 0;
};

// [same thread as the session]
class TextStream {
 public:
  explicit TextStream(Session& session);
  ~TextStream();
  TextStream(const TextStream&) = delete;
  TextStream& operator=(const TextStream&) = delete;

  bool streams() const;  // false: no decoder, a completion comes in one piece

  // on_text gets whole UTF-8 characters. stop is asked after each token; true ends the completion; may be null. key: of
  // a request; this is its sample 0. Throws grpo::Error: an empty or too long prompt, a sampling option that the engine
  // does not have (it is named); and what the plugins throw.
  StreamedReply reply(const std::vector<std::int32_t>& prompt, const plugins::Sampling& sampling, std::uint64_t key,
                      const std::function<void(std::string_view)>& on_text,
                      const std::function<bool()>& stop = nullptr);

 private:
  struct Slot;
  StreamedReply decoded(const std::vector<std::int32_t>& prompt, const plugins::Sampling& sampling, std::uint64_t key,
                        const std::function<void(std::string_view)>& on_text, const std::function<bool()>& stop);
  StreamedReply sampled(const std::vector<std::int32_t>& prompt, const plugins::Sampling& sampling, std::uint64_t key,
                        const std::function<void(std::string_view)>& on_text);

  Session& session_;
  std::unique_ptr<Slot> slot_;
};

// Text on its way to a reader: holds back what may yet become one of the stop texts. [one at a time]
class StopTextFilter {
 public:
  explicit StopTextFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {}
  // The part of all pushed text that can be shown now. found(): a stop text is complete; it and what follows is left
  // out.
  std::string push(std::string_view text);
  std::string finish();  // what was held back, when no more comes
  bool found() const { return found_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool found_ = false;
};

}  // namespace grpo::train

#endif
