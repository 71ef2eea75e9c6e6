// normalizer.hpp: the "normalizer" of a tokenizer.json: rewrites text before it is split.
#ifndef GRPO_SRC_TEXT_TOKENIZER_NORMALIZER_HPP
#define GRPO_SRC_TEXT_TOKENIZER_NORMALIZER_HPP

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "field.hpp"

namespace grpo::text {

class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  virtual void apply(std::string& text) const = 0;
};

class Normalizer {
 public:
  // Reads the field, which may be missing: then text stays as it is.
  static Normalizer read(const std::optional<Field>& field);

  bool empty() const { return steps_.empty(); }
  std::string apply(std::string_view text) const;

 private:
  void add(const Field& field);
  std::vector<std::shared_ptr<const NormalizerStep>> steps_;
};

}  // namespace grpo::text

#endif
