#include "stop_text.hpp"

#include <algorithm>
#include <string_view>

namespace local {

void stop_text_finder::decode(const grpo_tokenizer* tokenizer, const int32_t* ids, int64_t n, std::string& text) {
  // A model's vocabulary is often padded beyond the tokenizer's; such ids have no text.
  readable_.clear();
  for (int64_t i = 0; i < n; ++i)
    if (ids[i] >= 0 && ids[i] < tokenizer->vocabulary) readable_.push_back(ids[i]);
  const auto count = static_cast<int64_t>(readable_.size());
  text.resize(std::max(text.capacity(), std::size_t{64}));
  int64_t size = 0;
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto room = static_cast<int64_t>(text.size());
    size = tokenizer->decode(tokenizer, GRPO_TOKENIZER_SPECIAL, readable_.data(), count, text.data(), room);
    if (size < 0) throw grpo::failure(GRPO_STATUS_FAILED, "the tokenizer cannot decode what the model made");
    const bool fits = size <= room;
    text.resize(static_cast<std::size_t>(size));
    if (fits) return;
  }
  throw grpo::failure(GRPO_STATUS_FAILED, "the tokenizer gives the same ids texts of different sizes");
}

int64_t stop_text_finder::find(const grpo_tokenizer* tokenizer, const grpo_sampling& sampling, const int32_t* ids,
                               int64_t from, int64_t n) {
  int64_t longest = 0;
  for (int32_t i = 0; i < sampling.n_stop_text; ++i) longest = std::max(longest, sampling.stop_text[i].size);
  // A token has a byte at least; a few more tokens keep what the cut does to the first of them away from the match.
  const int64_t window = longest + 4;
  for (int64_t last = std::max(from, int64_t{sampling.min_new}); last < n; ++last) {
    const int64_t first = std::max(int64_t{0}, last + 1 - window);
    decode(tokenizer, ids + first, last - first, before_);
    decode(tokenizer, ids + first, last + 1 - first, after_);
    // Not before_.size(): an unfinished character may have been written as a replacement until now.
    const auto shared = static_cast<std::size_t>(
        std::mismatch(before_.begin(), before_.end(), after_.begin(), after_.end()).first - before_.begin());
    for (int32_t i = 0; i < sampling.n_stop_text; ++i) {
      const std::string_view stop(sampling.stop_text[i].data, static_cast<std::size_t>(sampling.stop_text[i].size));
      const std::size_t begin = shared + 1 > stop.size() ? shared + 1 - stop.size() : 0;
      if (std::string_view(after_).find(stop, begin) != std::string_view::npos) return last + 1;
    }
  }
  return 0;
}

}  // namespace local
