// Which tokens open, end and pad a text. The tokenizer's own files name tokens; the model's files give ids, and may
// list several that end a generation (a chat model ends a turn with one token and a document with another).
#include <algorithm>
#include <nlohmann/json.hpp>

#include "grpo/sdk/error.hpp"
#include "implementation.hpp"

namespace grpo::text {
namespace {

struct Reader {
  const std::filesystem::path& directory;
  Tokenizer::Impl& tokenizer;

  // Calls use(Field) if there is such a file.
  template <class Use>
  void with(const char* file, Use&& use) const {
    const std::filesystem::path path = directory / file;
    if (!std::filesystem::exists(path)) return;
    const std::string name = path.string();
    const nlohmann::json document = parse_json(read_file(path), name);
    use(Field(document, name));
  }

  // "bos_token": "<s>" or {"content": "<s>", ...}.
  void read_token(const Field& config, std::string_view key, std::optional<int32_t>& id) const {
    const std::optional<Field> field = config.find(key);
    if (id || !field) return;
    const std::string& token = field->value().is_object() ? field->at("content").string() : field->string();
    id = tokenizer.vocabulary.id(token);
    if (!id) field->fail("the token " + in_quotes(token) + " is not in " + tokenizer.name);
  }

  // "eos_token_id": 2 or [2, 3]; -1 stands for none.
  static std::vector<int32_t> read_ids(const Field& config, std::string_view key) {
    std::vector<int32_t> ids;
    const std::optional<Field> field = config.find(key);
    if (!field) return ids;
    const auto add = [&](const Field& value) {
      if (value.integer() != -1) ids.push_back(value.token_id());
    };
    if (!field->value().is_array()) {
      add(*field);
    } else {
      for (std::size_t i = 0; i < field->size(); ++i) add(field->at(i));
    }
    return ids;
  }
};

}  // namespace

void read_special_ids(const std::filesystem::path& directory, Tokenizer::Impl& tokenizer) {
  const Reader reader{directory, tokenizer};
  for (const char* file : {"tokenizer_config.json", "special_tokens_map.json"}) {
    reader.with(file, [&](const Field& config) {
      reader.read_token(config, "bos_token", tokenizer.bos);
      reader.read_token(config, "eos_token", tokenizer.eos);
      reader.read_token(config, "pad_token", tokenizer.pad);
    });
  }
  std::vector<int32_t> ends;
  for (const char* file : {"generation_config.json", "config.json"}) {
    reader.with(file, [&](const Field& config) {
      const auto first = [&](std::string_view key, std::optional<int32_t>& id) {
        const std::vector<int32_t> ids = Reader::read_ids(config, key);
        if (!id && !ids.empty()) id = ids.front();
      };
      first("bos_token_id", tokenizer.bos);
      first("pad_token_id", tokenizer.pad);
      if (ends.empty()) ends = Reader::read_ids(config, "eos_token_id");
    });
  }
  if (tokenizer.eos) tokenizer.eos_all.push_back(*tokenizer.eos);
  for (const int32_t id : ends) {
    if (std::count(tokenizer.eos_all.begin(), tokenizer.eos_all.end(), id) == 0) tokenizer.eos_all.push_back(id);
  }
  if (!tokenizer.eos_all.empty()) tokenizer.eos = tokenizer.eos_all.front();
}

}  // namespace grpo::text
