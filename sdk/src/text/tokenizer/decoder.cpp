#include "decoder.hpp"

#include <cctype>
#include <type_traits>

#include "unicode.hpp"

namespace grpo::text {
namespace {

// The end of the chain.
class Collector final : public DecoderWorker {
 public:
  explicit Collector(std::string& out) : out_(out) {}
  void push(std::string_view piece) override { out_ += piece; }
  void finish() override {}

 private:
  std::string& out_;
};

class Worker : public DecoderWorker {
 public:
  explicit Worker(std::unique_ptr<DecoderWorker> next) : next_(std::move(next)) {}
  void finish() override { next_->finish(); }

 protected:
  std::unique_ptr<DecoderWorker> next_;
};

class JoinWorker final : public Worker {
 public:
  using Worker::Worker;
  void push(std::string_view piece) override {
    if (!first_) next_->push(" ");
    first_ = false;
    next_->push(piece);
  }

 private:
  bool first_ = true;
};

// Tokens spell bytes; a token that does not is text. Holds back the bytes of a character that is not complete.
class ByteLevelWorker final : public Worker {
 public:
  ByteLevelWorker(bool raw, std::unique_ptr<DecoderWorker> next) : Worker(std::move(next)), raw_(raw) {}

  void push(std::string_view piece) override {
    if (!append_spelled_bytes(held_, piece)) held_ += piece;
    pass_on(false);
  }
  void finish() override {
    pass_on(true);
    next_->finish();
  }

 private:
  void pass_on(bool all) {
    std::size_t end = held_.size();
    if (!all && !raw_) end -= unfinished_tail();
    const std::string_view ready = std::string_view(held_).substr(0, end);
    if (!ready.empty()) next_->push(raw_ ? std::string(ready) : to_valid_utf8(ready));
    held_.erase(0, end);
  }

  std::size_t unfinished_tail() const {
    for (std::size_t length = 1; length <= 3 && length <= held_.size(); ++length) {
      const std::string_view tail = std::string_view(held_).substr(held_.size() - length);
      if ((static_cast<unsigned char>(tail[0]) & 0xC0) == 0x80) continue;
      const Utf8Sequence sequence = first_sequence(tail);
      return sequence.state == Utf8State::unfinished && sequence.length == length ? length : 0;
    }
    return 0;
  }

  bool raw_;
  std::string held_;
};

// <0xHH> tokens in a row are bytes. A row that is not UTF-8 as a whole becomes one U+FFFD a byte, so it must be seen to
// its end.
class ByteFallbackWorker final : public Worker {
 public:
  ByteFallbackWorker(bool raw, std::unique_ptr<DecoderWorker> next) : Worker(std::move(next)), raw_(raw) {}

  void push(std::string_view piece) override {
    if (const std::optional<char> byte = byte_of(piece)) {
      row_ += *byte;
      return;
    }
    end_row();
    next_->push(piece);
  }
  void finish() override {
    end_row();
    next_->finish();
  }

 private:
  static std::optional<char> byte_of(std::string_view token) {
    if (token.size() != 6 || token.substr(0, 3) != "<0x" || token[5] != '>') return std::nullopt;
    int value = 0;
    for (const char c : token.substr(3, 2)) {
      if (!std::isxdigit(static_cast<unsigned char>(c))) return std::nullopt;
      value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return static_cast<char>(value);
  }

  void end_row() {
    if (row_.empty()) return;
    if (raw_ || is_valid_utf8(row_)) {
      next_->push(row_);
    } else {
      for (std::size_t i = 0; i < row_.size(); ++i) next_->push("\xEF\xBF\xBD");
    }
    row_.clear();
  }

  bool raw_;
  std::string row_;
};

// A stage that needs to see a whole token. Behind one that fuses, all is one token, known at the end.
class WholeTokenWorker : public Worker {
 public:
  WholeTokenWorker(bool fused, std::unique_ptr<DecoderWorker> next) : Worker(std::move(next)), fused_(fused) {}

  void push(std::string_view piece) override {
    if (fused_) {
      held_ += piece;
    } else {
      token(piece);
    }
  }
  void finish() override {
    if (fused_) token(held_);
    next_->finish();
  }

 protected:
  virtual void token(std::string_view token) = 0;

 private:
  bool fused_;
  std::string held_;
};

class ReplaceWorker final : public WholeTokenWorker {
 public:
  ReplaceWorker(const ReplaceDecoder& stage, bool fused, std::unique_ptr<DecoderWorker> next)
      : WholeTokenWorker(fused, std::move(next)), stage_(stage) {}
  void token(std::string_view token) override { next_->push(stage_.pattern.replace_all(token, stage_.content)); }

 private:
  const ReplaceDecoder& stage_;
};

class MetaspaceWorker final : public WholeTokenWorker {
 public:
  MetaspaceWorker(const MetaspaceDecoder& stage, bool fused, std::unique_ptr<DecoderWorker> next)
      : WholeTokenWorker(fused, std::move(next)), stage_(stage) {}

  void token(std::string_view token) override {
    std::string text;
    for (std::size_t at = 0; at < token.size();) {
      const std::size_t begin = at;
      if (next_character(token, at) != stage_.replacement) {
        text += token.substr(begin, at - begin);
      } else if (!(first_ && stage_.drops_first)) {
        text += ' ';
      }
    }
    first_ = false;
    next_->push(text);
  }

 private:
  const MetaspaceDecoder& stage_;
  bool first_ = true;
};

class StripWorker final : public WholeTokenWorker {
 public:
  StripWorker(const StripDecoder& stage, bool fused, std::unique_ptr<DecoderWorker> next)
      : WholeTokenWorker(fused, std::move(next)), stage_(stage) {}

  void token(std::string_view token) override {
    std::size_t begin = 0, end = token.size();
    for (std::size_t i = 0, at = 0; i < stage_.start && at < end && next_character(token, at) == stage_.content; ++i) {
      begin = at;
    }
    for (std::size_t i = 0, at = end; i < stage_.stop && at > begin && previous_character(token, at) == stage_.content;
         ++i) {
      end = at;
    }
    next_->push(token.substr(begin, end - begin));
  }

 private:
  const StripDecoder& stage_;
};

// Takes characters off the front of the whole text, which comes in pieces.
class StripFrontWorker final : public Worker {
 public:
  StripFrontWorker(const StripDecoder& stage, std::unique_ptr<DecoderWorker> next)
      : Worker(std::move(next)), stage_(stage), left_(stage.start) {}

  void push(std::string_view piece) override {
    std::size_t begin = 0;
    for (std::size_t at = 0; left_ > 0 && at < piece.size(); --left_) {
      if (next_character(piece, at) != stage_.content) {
        left_ = 0;
        break;
      }
      begin = at;
    }
    next_->push(piece.substr(begin));
  }

 private:
  const StripDecoder& stage_;
  std::size_t left_;
};

bool fuses(const DecoderStage& stage) {
  return std::holds_alternative<ByteLevelDecoder>(stage) || std::holds_alternative<FuseDecoder>(stage);
}

std::unique_ptr<DecoderWorker> worker_for(const DecoderStage& stage, bool fused, bool raw,
                                          std::unique_ptr<DecoderWorker> next) {
  return std::visit(
      [&](const auto& what) -> std::unique_ptr<DecoderWorker> {
        using Stage = std::decay_t<decltype(what)>;
        if constexpr (std::is_same_v<Stage, JoinWithSpaces>) {
          return std::make_unique<JoinWorker>(std::move(next));
        } else if constexpr (std::is_same_v<Stage, ByteLevelDecoder>) {
          return std::make_unique<ByteLevelWorker>(raw, std::move(next));
        } else if constexpr (std::is_same_v<Stage, ByteFallbackDecoder>) {
          return std::make_unique<ByteFallbackWorker>(raw, std::move(next));
        } else if constexpr (std::is_same_v<Stage, FuseDecoder>) {
          return std::move(next);  // later stages know, by `fused`
        } else if constexpr (std::is_same_v<Stage, ReplaceDecoder>) {
          return std::make_unique<ReplaceWorker>(what, fused, std::move(next));
        } else if constexpr (std::is_same_v<Stage, StripDecoder>) {
          if (fused && what.stop == 0) return std::make_unique<StripFrontWorker>(what, std::move(next));
          return std::make_unique<StripWorker>(what, fused, std::move(next));
        } else {
          return std::make_unique<MetaspaceWorker>(what, fused, std::move(next));
        }
      },
      stage);
}

char32_t single_character(const Field& field) {
  const std::string& text = field.string();
  std::size_t end = 0;
  if (text.empty()) field.fail("is empty, but must be one character");
  const char32_t character = next_character(text, end);
  if (end != text.size()) field.fail("is \"" + text + "\", but must be one character");
  return character;
}

std::size_t count(const Field& field) {
  const int64_t number = field.integer();
  if (number < 0) field.fail("is negative");
  return static_cast<std::size_t>(number);
}

}  // namespace

Decoder Decoder::read(const std::optional<Field>& field) {
  Decoder decoder;
  if (field) {
    decoder.add(*field);
  } else {
    decoder.stages_.emplace_back(JoinWithSpaces{});
  }
  return decoder;
}

void Decoder::add(const Field& field) {
  const std::string& type = field.at("type").string();
  if (type == "Sequence") {
    const Field decoders = field.at("decoders");
    for (std::size_t i = 0; i < decoders.size(); ++i) add(decoders.at(i));
  } else if (type == "ByteLevel") {
    stages_.emplace_back(ByteLevelDecoder{});
  } else if (type == "ByteFallback") {
    stages_.emplace_back(ByteFallbackDecoder{});
  } else if (type == "Fuse") {
    stages_.emplace_back(FuseDecoder{});
  } else if (type == "Replace") {
    stages_.emplace_back(ReplaceDecoder{Pattern::read(field.at("pattern")), field.at("content").string()});
  } else if (type == "Strip") {
    stages_.emplace_back(
        StripDecoder{single_character(field.at("content")), count(field.at("start")), count(field.at("stop"))});
  } else if (type == "Metaspace") {
    const bool prepends =
        field.boolean("add_prefix_space", true) && field.string("prepend_scheme", "always") != "never";
    stages_.emplace_back(MetaspaceDecoder{single_character(field.at("replacement")), prepends});
  } else {
    field.at("type").fail_unsupported(type, "ByteLevel, ByteFallback, Fuse, Replace, Strip, Metaspace and Sequence");
  }
}

DecoderRun Decoder::start(bool raw) const {
  auto out = std::make_unique<std::string>();
  std::size_t first_fusing = 0;
  while (first_fusing < stages_.size() && !fuses(stages_[first_fusing])) ++first_fusing;
  std::unique_ptr<DecoderWorker> chain = std::make_unique<Collector>(*out);
  for (std::size_t i = stages_.size(); i-- > 0;)
    chain = worker_for(stages_[i], i > first_fusing, raw, std::move(chain));
  return DecoderRun(std::move(chain), std::move(out));
}

}  // namespace grpo::text
