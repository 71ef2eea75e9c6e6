// post_processor.hpp: the "post_processor" of a tokenizer.json: tokens around the encoded text, such as BOS.
#ifndef GRPO_SRC_TEXT_TOKENIZER_POST_PROCESSOR_HPP
#define GRPO_SRC_TEXT_TOKENIZER_POST_PROCESSOR_HPP

#include <cstdint>
#include <optional>
#include <vector>

#include "field.hpp"

namespace grpo::text {

class PostProcessor {
 public:
  static PostProcessor read(const std::optional<Field>& field);

  // `ids` with the tokens around it.
  std::vector<int32_t> apply(std::vector<int32_t> ids) const;

 private:
  void add(const Field& field);
  void add_template(const Field& field);
  std::vector<int32_t> before_, after_;
};

}  // namespace grpo::text

#endif
