// words.hpp: a grading function that costs little, called directly and as a plugin.
#ifndef GRPO_BENCH_CONTRACT_WORDS_HPP
#define GRPO_BENCH_CONTRACT_WORDS_HPP

#include <string_view>

namespace bench {

// 1 for one word, less for more.
inline double brevity(std::string_view text) {
  int words = 0;
  for (std::size_t i = 0; i < text.size(); ++i) words += text[i] != ' ' && (i == 0 || text[i - 1] == ' ');
  return 1.0 / (words > 0 ? words : 1);
}

}  // namespace bench

#endif
