#include "grpo/sdk/text/tokenizer.hpp"

#include "implementation.hpp"
#include "unicode.hpp"

namespace grpo::text {

Tokenizer Tokenizer::load(const std::filesystem::path& directory_or_file) {
  const bool is_directory = std::filesystem::is_directory(directory_or_file);
  const std::filesystem::path file = is_directory ? directory_or_file / "tokenizer.json" : directory_or_file;
  std::unique_ptr<Impl> impl = read_tokenizer(read_file(file), file.string());
  read_special_ids(file.parent_path(), *impl);
  return Tokenizer(std::move(impl));
}

Tokenizer Tokenizer::from_json(std::string_view json, std::string name) {
  return Tokenizer(read_tokenizer(json, std::move(name)));
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

std::vector<int32_t> Tokenizer::encode(std::string_view text, bool add_special_tokens) const {
  return impl_->encode(text, add_special_tokens, false);
}

std::vector<int32_t> Tokenizer::encode_plain(std::string_view text, bool add_special_tokens) const {
  return impl_->encode(text, add_special_tokens, true);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens) const {
  return impl_->decode(ids, skip_special_tokens, false);
}

std::string Tokenizer::decode_bytes(std::span<const int32_t> ids, bool skip_special_tokens) const {
  return impl_->decode(ids, skip_special_tokens, true);
}

std::size_t Tokenizer::vocabulary_size() const { return impl_->vocabulary.size(); }
std::size_t Tokenizer::token_count() const { return impl_->vocabulary.count(); }
std::optional<int32_t> Tokenizer::id(std::string_view token) const { return impl_->vocabulary.id(token); }
std::optional<std::string_view> Tokenizer::token(int32_t id) const { return impl_->vocabulary.token(id); }
bool Tokenizer::is_special(int32_t id) const { return impl_->special.count(id) != 0; }
std::optional<int32_t> Tokenizer::bos_id() const { return impl_->bos; }
std::optional<int32_t> Tokenizer::eos_id() const { return impl_->eos; }
const std::vector<int32_t>& Tokenizer::eos_ids() const { return impl_->eos_all; }
std::optional<int32_t> Tokenizer::pad_id() const { return impl_->pad; }
const std::string& Tokenizer::name() const { return impl_->name; }

namespace {

// One text on its way through the pipeline.
class Encoding {
 public:
  Encoding(const Tokenizer::Impl& tables, bool plain_special) : tables_(tables), plain_special_(plain_special) {}

  std::vector<int32_t> run(std::string_view text) {
    for (const Stretch& stretch : tables_.raw_tokens.split(text, plain_special_)) {
      if (stretch.id >= 0) {
        ids_.push_back(stretch.id);
      } else {
        normalize(text.substr(stretch.begin, stretch.end - stretch.begin), stretch.begin == 0);
      }
    }
    return std::move(ids_);
  }

 private:
  void normalize(std::string_view text, bool at_start) {
    const std::string normal = tables_.normalizer.apply(text);
    if (tables_.normalized_tokens.empty()) return split(normal, at_start);
    for (const Stretch& stretch : tables_.normalized_tokens.split(normal, plain_special_)) {
      if (stretch.id >= 0) {
        ids_.push_back(stretch.id);
      } else {
        split(normal.substr(stretch.begin, stretch.end - stretch.begin), at_start && stretch.begin == 0);
      }
    }
  }

  void split(std::string text, bool at_start) {
    const Pieces pieces = tables_.pre_tokenizer.apply(std::move(text), at_start);
    ids_.reserve(ids_.size() + pieces.ranges.size() + pieces.ranges.size() / 2);
    for (std::size_t i = 0; i < pieces.ranges.size(); ++i) tables_.model->encode(pieces[i], ids_);
  }

  const Tokenizer::Impl& tables_;
  bool plain_special_;
  std::vector<int32_t> ids_;
};

}  // namespace

std::vector<int32_t> Tokenizer::Impl::encode(std::string_view text, bool add_special_tokens, bool plain_special) const {
  std::string repaired;
  if (!is_valid_utf8(text)) {
    repaired = to_valid_utf8(text);
    text = repaired;
  }
  std::vector<int32_t> ids = Encoding(*this, plain_special).run(text);
  return add_special_tokens ? post_processor.apply(std::move(ids)) : ids;
}

std::optional<std::string_view> Tokenizer::Impl::spelling(int32_t id, bool skip_special_tokens) const {
  if (skip_special_tokens && special.count(id) != 0) return std::nullopt;
  const auto normalized = normalized_spellings.find(id);
  if (normalized != normalized_spellings.end()) return normalized->second;
  return vocabulary.token(id);
}

std::string Tokenizer::Impl::decode(std::span<const int32_t> ids, bool skip_special_tokens, bool raw) const {
  DecoderRun run = decoder.start(raw);
  for (const int32_t id : ids) {
    if (const auto token = spelling(id, skip_special_tokens)) run.push(*token);
  }
  run.finish();
  return run.take();
}

struct StreamDecoder::State {
  std::shared_ptr<const Tokenizer::Impl> tables;
  bool skip_special_tokens;
  DecoderRun run;
};

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special_tokens)
    : state_(new State{tokenizer.impl_, skip_special_tokens, tokenizer.impl_->decoder.start(false)}) {}
StreamDecoder::~StreamDecoder() = default;
StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder& StreamDecoder::operator=(StreamDecoder&&) noexcept = default;

std::string StreamDecoder::push(int32_t id) {
  if (const auto token = state_->tables->spelling(id, state_->skip_special_tokens)) state_->run.push(*token);
  return state_->run.take();
}

std::string StreamDecoder::finish() {
  state_->run.finish();
  std::string rest = state_->run.take();
  state_->run = state_->tables->decoder.start(false);
  return rest;
}

}  // namespace grpo::text
