#include "pre_tokenizer.hpp"

#include "pattern.hpp"
#include "unicode.hpp"

namespace grpo::text {
namespace {

enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

Behavior read_behavior(const Field& field) {
  const std::string& name = field.string();
  if (name == "Removed") return Behavior::removed;
  if (name == "Isolated") return Behavior::isolated;
  if (name == "MergedWithPrevious") return Behavior::merged_with_previous;
  if (name == "MergedWithNext") return Behavior::merged_with_next;
  if (name == "Contiguous") return Behavior::contiguous;
  field.fail_unsupported(name, "Removed, Isolated, MergedWithPrevious, MergedWithNext and Contiguous");
}

// Collects what a delimiter and the text around it become, one run at a time, from left to right.
class Cutter {
 public:
  Cutter(Behavior behavior, std::vector<std::pair<std::size_t, std::size_t>>& out) : behavior_(behavior), out_(out) {}

  void begin_piece() {
    first_ = out_.size();
    has_previous_ = false;
  }

  void run(std::size_t begin, std::size_t end, bool delimiter) {
    switch (behavior_) {
      case Behavior::removed:
        if (!delimiter) put(begin, end);
        break;
      case Behavior::isolated:
        put(begin, end);
        break;
      case Behavior::contiguous:
        if (has_previous_ && previous_ == delimiter && out_.size() > first_) {
          out_.back().second = end;
        } else {
          put(begin, end);
        }
        break;
      case Behavior::merged_with_previous:
        if (delimiter && !(has_previous_ && previous_) && out_.size() > first_) {
          out_.back().second = end;
        } else {
          put(begin, end);
        }
        break;
      case Behavior::merged_with_next:  // joins the run before it, if that is a delimiter that has not been used
        if (!delimiter && has_previous_ && previous_ && !previous_empty_) {
          out_.back().second = end;
        } else {
          put(begin, end);
        }
        break;
    }
    previous_ = delimiter;
    previous_empty_ = begin == end;
    has_previous_ = true;
  }

 private:
  void put(std::size_t begin, std::size_t end) {
    if (begin != end) out_.emplace_back(begin, end);
  }

  Behavior behavior_;
  std::vector<std::pair<std::size_t, std::size_t>>& out_;
  std::size_t first_ = 0;
  bool has_previous_ = false, previous_ = false, previous_empty_ = false;
};

class SplitByPattern final : public PreTokenizerStep {
 public:
  SplitByPattern(Pattern pattern, Behavior behavior, bool invert)
      : pattern_(std::move(pattern)), behavior_(behavior), invert_(invert) {}

  void apply(Pieces& pieces) const override {
    std::vector<std::pair<std::size_t, std::size_t>> ranges;
    ranges.reserve(pieces.ranges.size() * 2 + pieces.text.size() / 5);
    Cutter cutter(behavior_, ranges);
    for (std::size_t i = 0; i < pieces.ranges.size(); ++i) {
      const std::size_t offset = pieces.ranges[i].first;
      cutter.begin_piece();
      pattern_.for_each(pieces[i], [&](std::size_t begin, std::size_t end, bool is_match) {
        cutter.run(offset + begin, offset + end, is_match != invert_);
      });
    }
    pieces.ranges = std::move(ranges);
  }

 private:
  Pattern pattern_;
  Behavior behavior_;
  bool invert_;
};

// Every character of a kind is a delimiter of its own.
class SplitByCharacter final : public PreTokenizerStep {
 public:
  SplitByCharacter(bool (*is_delimiter)(char32_t), Behavior behavior)
      : is_delimiter_(is_delimiter), behavior_(behavior) {}

  void apply(Pieces& pieces) const override {
    std::vector<std::pair<std::size_t, std::size_t>> ranges;
    ranges.reserve(pieces.ranges.size() + 16);
    Cutter cutter(behavior_, ranges);
    for (const auto& [begin, end] : pieces.ranges) {
      cutter.begin_piece();
      std::size_t covered = begin;
      for (std::size_t at = begin; at < end;) {
        const std::size_t character = at;
        if (!is_delimiter_(next_character(pieces.text, at))) continue;
        if (covered != character) cutter.run(covered, character, false);
        cutter.run(character, at, true);
        covered = at;
      }
      if (covered != end) cutter.run(covered, end, false);
    }
    pieces.ranges = std::move(ranges);
  }

 private:
  bool (*is_delimiter_)(char32_t);
  Behavior behavior_;
};

// Rewrites each piece; the ranges follow.
template <class Rewrite>
void rewrite(Pieces& pieces, Rewrite&& write) {
  std::string text;
  text.reserve(pieces.text.size() + pieces.ranges.size());
  for (std::size_t i = 0; i < pieces.ranges.size(); ++i) {
    const std::size_t begin = text.size();
    write(text, pieces[i], i);
    pieces.ranges[i] = {begin, text.size()};
  }
  pieces.text = std::move(text);
}

class PrependSpace final : public PreTokenizerStep {
 public:
  void apply(Pieces& pieces) const override {
    rewrite(pieces, [](std::string& text, std::string_view piece, std::size_t) {
      if (piece.front() != ' ') text += ' ';
      text += piece;
    });
  }
};

class SpellBytes final : public PreTokenizerStep {
 public:
  void apply(Pieces& pieces) const override {
    rewrite(pieces,
            [](std::string& text, std::string_view piece, std::size_t) { append_byte_characters(text, piece); });
  }
};

class Metaspace final : public PreTokenizerStep {
 public:
  enum class Prepend { first, always, never };

  Metaspace(std::string replacement, Prepend prepend, bool split)
      : replacement_(std::move(replacement)), prepend_(prepend) {
    if (split) split_ = std::make_unique<SplitByPattern>(Pattern(replacement_), Behavior::merged_with_next, false);
  }

  void apply(Pieces& pieces) const override {
    const Pattern space{std::string(" ")};
    rewrite(pieces, [&](std::string& text, std::string_view piece, std::size_t i) {
      const std::string replaced = space.replace_all(piece, replacement_);
      const bool wanted = prepend_ == Prepend::always || (prepend_ == Prepend::first && i == 0 && pieces.at_start);
      if (wanted && replaced.compare(0, replacement_.size(), replacement_) != 0) text += replacement_;
      text += replaced;
    });
    if (split_) split_->apply(pieces);
  }

  static Prepend read_prepend(const Field& field) {
    if (!field.boolean("add_prefix_space", true)) return Prepend::never;  // what older files say
    const std::optional<Field> scheme = field.find("prepend_scheme");
    if (!scheme || scheme->string() == "always") return Prepend::always;
    if (scheme->string() == "first") return Prepend::first;
    if (scheme->string() == "never") return Prepend::never;
    scheme->fail_unsupported(scheme->string(), "first, always and never");
  }

 private:
  std::string replacement_;
  Prepend prepend_;
  std::unique_ptr<SplitByPattern> split_;
};

// How GPT-2 splits text.
constexpr std::string_view gpt2_expression =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

}  // namespace

PreTokenizer PreTokenizer::read(const std::optional<Field>& field) {
  PreTokenizer pre_tokenizer;
  if (field) pre_tokenizer.add(*field);
  return pre_tokenizer;
}

void PreTokenizer::add(const Field& field) {
  const std::string& type = field.at("type").string();
  if (type == "Sequence") {
    const Field steps = field.at("pretokenizers");
    for (std::size_t i = 0; i < steps.size(); ++i) add(steps.at(i));
    return;
  }
  spell_pending_bytes();
  if (type == "ByteLevel") {
    add_byte_level(field);
  } else if (type == "Split") {
    steps_.push_back(std::make_shared<SplitByPattern>(
        Pattern::read(field.at("pattern")), read_behavior(field.at("behavior")), field.boolean("invert", false)));
  } else if (type == "Digits") {
    const bool individual = field.boolean("individual_digits", false);
    steps_.push_back(
        std::make_shared<SplitByCharacter>(is_numeric, individual ? Behavior::isolated : Behavior::contiguous));
  } else if (type == "Punctuation") {
    const std::optional<Field> behavior = field.find("behavior");
    steps_.push_back(
        std::make_shared<SplitByCharacter>(is_punctuation, behavior ? read_behavior(*behavior) : Behavior::isolated));
  } else if (type == "WhitespaceSplit") {
    steps_.push_back(std::make_shared<SplitByCharacter>(is_white_space, Behavior::removed));
  } else if (type == "Metaspace") {
    steps_.push_back(std::make_shared<Metaspace>(field.at("replacement").string(), Metaspace::read_prepend(field),
                                                 field.boolean("split", true)));
  } else {
    field.at("type").fail_unsupported(type,
                                      "ByteLevel, Split, Digits, Punctuation, WhitespaceSplit, Metaspace and Sequence");
  }
}

void PreTokenizer::add_byte_level(const Field& field) {
  if (field.boolean("add_prefix_space", true)) steps_.push_back(std::make_shared<PrependSpace>());
  if (field.boolean("use_regex", true)) {
    steps_.push_back(std::make_shared<SplitByPattern>(Pattern(Regex(gpt2_expression)), Behavior::isolated, false));
  }
  ends_in_bytes_ = true;
}

void PreTokenizer::spell_pending_bytes() {
  if (ends_in_bytes_) steps_.push_back(std::make_shared<SpellBytes>());
  ends_in_bytes_ = false;
}

Pieces PreTokenizer::apply(std::string text, bool at_start) const {
  Pieces pieces{std::move(text), {}, at_start};
  if (!pieces.text.empty()) pieces.ranges.emplace_back(0, pieces.text.size());
  for (const auto& step : steps_) step->apply(pieces);
  return pieces;
}

}  // namespace grpo::text
