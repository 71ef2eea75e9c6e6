// stop_text.hpp: where a stop text is completed.
//
// Tokens and texts do not share borders: a stop text may begin inside one token and end inside another, and a character
// may be spread over several. So after each token the last few are decoded together, with and without it, and a stop
// text counts when it ends in the part that this token added.
#ifndef LOCAL_STOP_TEXT_HPP
#define LOCAL_STOP_TEXT_HPP

#include <grpo/sampler.hpp>
#include <string>
#include <vector>

namespace local {

class stop_text_finder {
 public:
  // Of ids[0 .. n), those from `from` on are new. The number of ids up to and including the first new one that
  // completes a stop text, or 0. Special tokens count with their written form. A text that is complete before min_new
  // tokens are there is passed over, as a stop id would be. Throws grpo::failure if the tokenizer cannot decode an id.
  int64_t find(const grpo_tokenizer* tokenizer, const grpo_sampling& sampling, const int32_t* ids, int64_t from,
               int64_t n);

 private:
  void decode(const grpo_tokenizer* tokenizer, const int32_t* ids, int64_t n, std::string& text);
  std::string before_, after_;     // kept for their memory
  std::vector<int32_t> readable_;  // likewise
};

}  // namespace local

#endif
