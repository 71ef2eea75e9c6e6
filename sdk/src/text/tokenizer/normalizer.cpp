#include "normalizer.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "grpo/sdk/error.hpp"
#include "pattern.hpp"
#include "unicode.hpp"

namespace grpo::text {
namespace {

struct Range {
  char32_t first, last;
};

template <std::size_t n>
bool is_between(char32_t c, const Range (&ranges)[n]) {
  const Range* const found =
      std::lower_bound(ranges, ranges + n, c, [](const Range& r, char32_t x) { return r.last < x; });
  return found != ranges + n && found->first <= c;
}

// The original's normaliser is of Unicode 9. To it the marks that came later neither move nor compose (here), and later
// characters have no compatibility decomposition (below). U+11930 and U+11938 are a later composition. U+11A7 is where
// utf8proc 2.8 errs: it swallows one that follows a Hangul syllable. All are starters to the original, so that the text
// on either side can be normalised by itself.
constexpr Range foreign[] = {
    {0x7FD, 0x7FD},     {0x898, 0x89F},     {0x8CA, 0x8D3},     {0x9FE, 0x9FE},     {0xC3C, 0xC3C},
    {0xD3B, 0xD3C},     {0xEBA, 0xEBA},     {0x11A7, 0x11A7},   {0x1715, 0x1715},   {0x1ABF, 0x1ACE},
    {0x1DF6, 0x1DFA},   {0xA82C, 0xA82C},   {0x10D24, 0x10D27}, {0x10EAB, 0x10EAC}, {0x10EFD, 0x10EFF},
    {0x10F46, 0x10F50}, {0x10F82, 0x10F85}, {0x11070, 0x11070}, {0x1133B, 0x1133B}, {0x1145E, 0x1145E},
    {0x11839, 0x1183A}, {0x11930, 0x11930}, {0x11938, 0x11938}, {0x1193D, 0x1193E}, {0x11943, 0x11943},
    {0x119E0, 0x119E0}, {0x11A34, 0x11A34}, {0x11A47, 0x11A47}, {0x11A99, 0x11A99}, {0x11D42, 0x11D42},
    {0x11D44, 0x11D45}, {0x11D97, 0x11D97}, {0x11F41, 0x11F42}, {0x16FF0, 0x16FF1}, {0x1E08F, 0x1E08F},
    {0x1E130, 0x1E136}, {0x1E2AE, 0x1E2AE}, {0x1E2EC, 0x1E2EF}, {0x1E4EC, 0x1E4EF}};
constexpr Range foreign_compatible[] = {{0x32FF, 0x32FF},   {0xA7F2, 0xA7F4},   {0xAB69, 0xAB69},  {0x10781, 0x107BA},
                                        {0x1E030, 0x1E06D}, {0x1F16C, 0x1F16C}, {0x1FBF0, 0x1FBF9}};

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

  bool is_left_alone(char32_t c) const {
    return is_between(c, foreign) || ((options_ & UTF8PROC_COMPAT) && is_between(c, foreign_compatible));
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
