#include "normalizer.hpp"

#include <utf8proc.h>

#include <cstdlib>

#include "grpo/sdk/error.hpp"
#include "pattern.hpp"
#include "unicode.hpp"

namespace grpo::text {
namespace {

class UnicodeForm final : public NormalizerStep {
 public:
  UnicodeForm(unsigned options, char32_t first_affected) : options_(options), first_affected_(first_affected) {}

  void apply(std::string& text) const override {
    if (is_unaffected(text)) return;
    std::string result;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t character = at;
      if (!is_left_alone(next_character(text, at))) continue;
      append_form(result, std::string_view(text).substr(begin, character - begin));
      result.append(text, character, at - character);
      begin = at;
    }
    append_form(result, std::string_view(text).substr(begin));
    text = std::move(result);
  }

 private:
  void append_form(std::string& result, std::string_view text) const {
    if (text.empty()) return;
    utf8proc_uint8_t* form = nullptr;
    const utf8proc_ssize_t length =
        utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()), static_cast<utf8proc_ssize_t>(text.size()),
                     &form, static_cast<utf8proc_option_t>(options_ | UTF8PROC_STABLE));
    const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(form, std::free);
    if (length < 0) throw Error(std::string("Unicode normalisation failed: ") + utf8proc_errmsg(length));
    result.append(reinterpret_cast<const char*>(form), static_cast<std::size_t>(length));
  }

  // Characters newer than the Unicode of the original's normaliser (12): it knows no decomposition of them. They are
  // starters that compose with nothing, so that the text on either side can be normalised by itself.
  bool is_left_alone(char32_t c) const {
    if (c < 0x32FF) return false;
    if (options_ & UTF8PROC_COMPAT) {
      if (c == 0x32FF || (c >= 0xA7F2 && c <= 0xA7F4) || c == 0xAB69 || (c >= 0x10781 && c <= 0x107BA) ||
          (c >= 0x1E030 && c <= 0x1E06D) || c == 0x1F16C || (c >= 0x1FBF0 && c <= 0x1FBF9)) {
        return true;
      }
    }
    return c == 0x11938;
  }

  bool is_unaffected(std::string_view text) const {
    for (std::size_t position = 0; position < text.size();) {
      if (next_character(text, position) >= first_affected_) return false;
    }
    return true;
  }

  unsigned options_;
  char32_t first_affected_;  // text of lower characters only is its own normal form
};

class Prepend final : public NormalizerStep {
 public:
  explicit Prepend(std::string text) : prefix_(std::move(text)) {}
  void apply(std::string& text) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }

 private:
  std::string prefix_;
};

class Replace final : public NormalizerStep {
 public:
  Replace(Pattern pattern, std::string content) : pattern_(std::move(pattern)), content_(std::move(content)) {}
  void apply(std::string& text) const override { text = pattern_.replace_all(text, content_); }

 private:
  Pattern pattern_;
  std::string content_;
};

class Lowercase final : public NormalizerStep {
 public:
  void apply(std::string& text) const override {
    std::string lower;
    lower.reserve(text.size());
    for (std::size_t position = 0; position < text.size();) append_lowercase(lower, next_character(text, position));
    text = std::move(lower);
  }
};

class Strip final : public NormalizerStep {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  void apply(std::string& text) const override {
    std::size_t begin = 0, end = text.size();
    if (left_) {
      for (std::size_t next = 0; next < text.size() && is_white_space(next_character(text, next));) begin = next;
    }
    if (right_) {
      for (std::size_t next = end; next > begin && is_white_space(previous_character(text, next));) end = next;
    }
    text = text.substr(begin, end - begin);
  }

 private:
  bool left_, right_;
};

}  // namespace

Normalizer Normalizer::read(const std::optional<Field>& field) {
  Normalizer normalizer;
  if (field) normalizer.add(*field);
  return normalizer;
}

void Normalizer::add(const Field& field) {
  const std::string& type = field.at("type").string();
  if (type == "Sequence") {
    const Field steps = field.at("normalizers");
    for (std::size_t i = 0; i < steps.size(); ++i) add(steps.at(i));
  } else if (type == "NFC") {
    steps_.push_back(std::make_shared<UnicodeForm>(UTF8PROC_COMPOSE, 0x300));
  } else if (type == "NFD") {
    steps_.push_back(std::make_shared<UnicodeForm>(UTF8PROC_DECOMPOSE, 0xC0));
  } else if (type == "NFKC") {
    steps_.push_back(std::make_shared<UnicodeForm>(UTF8PROC_COMPOSE | UTF8PROC_COMPAT, 0xA0));
  } else if (type == "NFKD") {
    steps_.push_back(std::make_shared<UnicodeForm>(UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, 0xA0));
  } else if (type == "Prepend") {
    steps_.push_back(std::make_shared<Prepend>(field.at("prepend").string()));
  } else if (type == "Replace") {
    steps_.push_back(std::make_shared<Replace>(Pattern::read(field.at("pattern")), field.at("content").string()));
  } else if (type == "Lowercase") {
    steps_.push_back(std::make_shared<Lowercase>());
  } else if (type == "Strip") {
    steps_.push_back(std::make_shared<Strip>(field.boolean("strip_left", true), field.boolean("strip_right", true)));
  } else {
    field.at("type").fail_unsupported(type, "NFC, NFD, NFKC, NFKD, Prepend, Replace, Lowercase, Strip and Sequence");
  }
}

std::string Normalizer::apply(std::string_view text) const {
  std::string result(text);
  for (const auto& step : steps_) step->apply(result);
  return result;
}

}  // namespace grpo::text
