#include <cerrno>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "grpo/kit/nesting.hpp"
#include "grpo/sdk/error.hpp"
#include "implementation.hpp"
#include "unicode.hpp"

namespace grpo::text {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw Error(path.string() + ": cannot be opened: " + std::strerror(errno));
  const std::streamoff size = file.tellg();
  std::string text(size > 0 ? static_cast<std::size_t>(size) : 0, '\0');
  file.seekg(0);
  if (size < 0 || !file.read(text.data(), size)) throw Error(path.string() + ": cannot be read");
  return text;
}

nlohmann::json parse_json(std::string_view text, const std::string& name) {
  if (kit::nested_too_deeply(text))
    throw Error(name + ": is nested deeper than " + std::to_string(kit::deepest_json) + " levels");
  try {
    return nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& error) {
    std::string what = error.what();  // "[json.exception...] parse error at line 2, column 1: ..."
    if (const auto at = what.find("] "); at != what.npos) what.erase(0, at + 2);
    throw Error(name + ": is not JSON, or is cut short: " + what);
  }
}

namespace {

AddedToken read_added_token(const Field& field) {
  AddedToken token;
  token.id = field.at("id").token_id();
  token.content = field.at("content").string();
  token.special = field.boolean("special", false);
  token.single_word = field.boolean("single_word", false);
  token.lstrip = field.boolean("lstrip", false);
  token.rstrip = field.boolean("rstrip", false);
  token.normalized = field.boolean("normalized", !token.special);
  return token;
}

void add_token(const Field& field, Tokenizer::Impl& tokenizer) {
  const AddedToken token = read_added_token(field);
  if (token.content.empty()) return;
  const std::optional<int32_t> known = tokenizer.vocabulary.id(token.content);
  if (known && *known != token.id) {
    field.fail("the token " + in_quotes(token.content) + " has the id " + std::to_string(token.id) + " here and " +
               std::to_string(*known) + " in model.vocab");
  }
  if (!known && !tokenizer.vocabulary.add(token.content, token.id)) {
    field.fail("the id " + std::to_string(token.id) + " of the token " + in_quotes(token.content) + " belongs to " +
               in_quotes(tokenizer.vocabulary.token(token.id).value_or("")));
  }
  if (token.special) tokenizer.special.insert(token.id);
  if (token.normalized) {
    const std::string spelling = tokenizer.normalizer.apply(token.content);
    tokenizer.normalized_tokens.add(token, spelling);
    if (spelling != token.content) tokenizer.normalized_spellings.emplace(token.id, spelling);
  } else {
    tokenizer.raw_tokens.add(token, token.content);
  }
}

}  // namespace

std::unique_ptr<Tokenizer::Impl> read_tokenizer(std::string_view text, std::string name) {
  auto tokenizer = std::make_unique<Tokenizer::Impl>();
  tokenizer->name = std::move(name);
  const nlohmann::json document = parse_json(text, tokenizer->name);
  const Field root(document, tokenizer->name);
  if (!root.find("model")) root.fail("has no \"model\": this is not a tokenizer.json of Hugging Face");
  tokenizer->normalizer = Normalizer::read(root.find("normalizer"));
  tokenizer->pre_tokenizer = PreTokenizer::read(root.find("pre_tokenizer"));
  tokenizer->model.emplace(root.at("model"), tokenizer->vocabulary, tokenizer->pre_tokenizer.ends_in_bytes());
  if (const std::optional<Field> added = root.find("added_tokens")) {
    for (std::size_t i = 0; i < added->size(); ++i) add_token(added->at(i), *tokenizer);
  }
  tokenizer->post_processor = PostProcessor::read(root.find("post_processor"));
  tokenizer->decoder = Decoder::read(root.find("decoder"));
  return tokenizer;
}

}  // namespace grpo::text
