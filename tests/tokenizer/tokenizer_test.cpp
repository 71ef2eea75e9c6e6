#include "grpo/sdk/text/tokenizer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "golden.hpp"
#include "grpo/sdk/error.hpp"

namespace {

using grpo::text::StreamDecoder;
using grpo::text::Tokenizer;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<int32_t>;
using nlohmann::json;

// A byte-level tokenizer of a few tokens, to break and to extend.
json small() {
  return json::parse(
      R"json({"added_tokens": [{"id": 6, "content": "<s>", "special": true}, {"id": 7, "content": "<t>"}],
    "normalizer": null, "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false}, "post_processor": null,
    "decoder": {"type": "ByteLevel"},
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2, "Ã": 3, "©": 4, "Ġ": 5}, "merges": ["a b"]}})json");
}

std::string error_of(const std::string& text) {
  try {
    Tokenizer::from_json(text, "dir/tokenizer.json");
  } catch (const grpo::Error& error) {
    return error.what();
  }
  return "no error";
}

std::string error_with(const char* pointer, const json& value) {
  json document = small();
  document[json::json_pointer(pointer)] = value;
  return error_of(document.dump());
}

// tests/golden/make/tokenizer_bos_eos.py: with a tokenizer.json, transformers goes by its post-processor alone.
TEST(Tokenizer, AddsBosAndEosAsTransformersDoes) {
  std::ifstream in(GRPO_SOURCE_DIR "/tests/tokenizer/bos_eos.json");
  const json golden = json::parse(in);
  const std::filesystem::path directory = testing::TempDir() + "grpo-bos-eos";
  std::filesystem::create_directories(directory);
  const std::string text = golden["text"];
  for (const json& one : golden["cases"]) {
    const std::string name = one["tokenizer"];
    std::ofstream(directory / "tokenizer.json") << golden["tokenizers"][name];
    std::ofstream(directory / "tokenizer_config.json") << one["config"];
    const auto tokenizer = Tokenizer::load(directory);
    EXPECT_EQ(tokenizer.encode(text, true), one["ids"].get<Ids>()) << name << " " << one["config"];
    EXPECT_EQ(tokenizer.encode(text), one["plain"].get<Ids>()) << name << " " << one["config"];
    EXPECT_EQ(tokenizer.bos_id(), 1);
  }
  EXPECT_GE(golden["cases"].size(), 100u);
  std::filesystem::remove_all(directory);
}

TEST(Tokenizer, KnowsItsVocabulary) {
  const Tokenizer tokenizer = Tokenizer::from_json(small().dump(), "small");
  EXPECT_EQ(tokenizer.vocabulary_size(), 8u);
  EXPECT_EQ(tokenizer.token_count(), 8u);
  EXPECT_EQ(tokenizer.id("ab"), 2);
  EXPECT_EQ(tokenizer.id("nothing"), std::nullopt);
  EXPECT_EQ(tokenizer.token(6), "<s>");
  EXPECT_EQ(tokenizer.token(8), std::nullopt);
  EXPECT_EQ(tokenizer.token(-1), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(6));
  EXPECT_FALSE(tokenizer.is_special(7));
  EXPECT_EQ(tokenizer.bos_id(), std::nullopt);
  EXPECT_EQ(tokenizer.name(), "small");
}

TEST(Tokenizer, LeavesGapsInTheIds) {
  json document = small();
  document["added_tokens"][1]["id"] = 20;
  const Tokenizer tokenizer = Tokenizer::from_json(document.dump(), "small");
  EXPECT_EQ(tokenizer.vocabulary_size(), 21u);
  EXPECT_EQ(tokenizer.token_count(), 8u);
  EXPECT_THAT(tokenizer.encode("ab<t>"), ElementsAre(2, 20));
  EXPECT_EQ(tokenizer.decode(Ids{0, 13, 20}), "a<t>");
}

TEST(Tokenizer, KeepsSpecialTokensOutOfPlainText) {
  const Tokenizer tokenizer = Tokenizer::from_json(small().dump(), "small");
  EXPECT_THAT(tokenizer.encode("a<s><t>"), ElementsAre(0, 6, 7));
  EXPECT_THAT(tokenizer.encode_plain("a<s><t>"), ElementsAre(0, 7));  // "<s>" is text without tokens here
  EXPECT_EQ(tokenizer.decode(Ids{0, 6, 7}, true), "a<t>");
}

TEST(Tokenizer, DecodesBytes) {
  const Tokenizer tokenizer = Tokenizer::from_json(small().dump(), "small");
  EXPECT_EQ(tokenizer.decode(Ids{3, 4}), "\xC3\xA9");
  EXPECT_EQ(tokenizer.decode(Ids{0, 3}), "a\xEF\xBF\xBD");
  EXPECT_EQ(tokenizer.decode_bytes(Ids{0, 3}), "a\xC3");
}

TEST(Tokenizer, ReadsBrokenUtf8AsReplacementCharacters) {
  const Tokenizer tokenizer = Tokenizer::load(golden::data("qwen2.json"));
  const auto same = [&](const std::string& broken, const std::string& repaired) {
    EXPECT_EQ(tokenizer.encode(broken), tokenizer.encode(repaired));
  };
  const std::string mark = "\xEF\xBF\xBD";
  same("a\xFFz", "a" + mark + "z");
  same("\xE4\xBDx", mark + "x");             // cut short
  same("\xED\xA0\x80", mark + mark + mark);  // a surrogate
  same("\xF0\x9F\x98", mark);                // cut at the end
  same("\xC0\x80\xF5", mark + mark + mark);  // overlong, beyond
}

TEST(StreamDecoder, NeverSplitsACharacter) {
  const Tokenizer tokenizer = Tokenizer::from_json(small().dump(), "small");
  StreamDecoder decoder(tokenizer);
  EXPECT_EQ(decoder.push(0), "a");
  EXPECT_EQ(decoder.push(3), "");
  EXPECT_EQ(decoder.push(4), "\xC3\xA9");
  EXPECT_EQ(decoder.push(3), "");
  EXPECT_EQ(decoder.push(1),
            "\xEF\xBF\xBD"
            "b");
  EXPECT_EQ(decoder.push(3), "");
  EXPECT_EQ(decoder.finish(), "\xEF\xBF\xBD");
  EXPECT_EQ(decoder.push(0), "a");  // afresh
}

TEST(StreamDecoder, OutlivesTheTokenizer) {
  auto tokenizer = std::make_unique<Tokenizer>(Tokenizer::from_json(small().dump(), "small"));
  StreamDecoder decoder(*tokenizer);
  tokenizer.reset();
  EXPECT_EQ(decoder.push(2), "ab");
}

// A long piece goes through a queue, a short one through a scan: the same merges.
TEST(Tokenizer, MergesLongPiecesLikeShortOnes) {
  json document = small();
  document["model"]["vocab"] = {{"a", 0}, {"b", 1}, {"aa", 2}, {"aaaa", 3}, {"ab", 4}, {"aab", 5}};
  document["model"]["merges"] = {"a a", "aa aa", "a b", "aa b"};
  const Tokenizer tokenizer = Tokenizer::from_json(document.dump(), "small");
  for (std::size_t n = 1; n < 120; ++n) {
    Ids expected(n / 4, 3);
    if (n % 4 >= 2) expected.push_back(2);
    if (n % 2 == 1) expected.push_back(0);
    EXPECT_EQ(tokenizer.encode(std::string(n, 'a')), expected) << n;
  }
  EXPECT_THAT(tokenizer.encode("aab"), ElementsAre(5));
}

TEST(Tokenizer, ServesManyThreads) {
  const Tokenizer tokenizer = Tokenizer::load(golden::data("qwen2.json"));
  const Tokenizer other = Tokenizer::load(golden::data("mistral.json"));  // shares the threads' word caches
  const auto expected = golden::lines("qwen2.ids.jsonl"), other_expected = golden::lines("mistral.ids.jsonl");
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (std::size_t i = t % 2; i < golden::texts().size(); i += 2) {
        const std::string& text = golden::texts()[i];
        if (tokenizer.encode(text) != expected[i].get<Ids>()) ++wrong;
        if (other.encode(text) != other_expected[i].get<Ids>()) ++wrong;
        (void)tokenizer.decode(expected[i].get<Ids>());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(Malformed, NamesFileFieldAndType) {
  const auto unsupported = [](const char* field, const char* type) {
    return AllOf(HasSubstr("dir/tokenizer.json: "), HasSubstr(field), HasSubstr(type), HasSubstr("not supported"));
  };
  EXPECT_THAT(error_with("/normalizer", {{"type", "Precompiled"}}), unsupported("normalizer.type", "Precompiled"));
  EXPECT_THAT(error_with("/pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {{{"type", "BertPreTokenizer"}}}}}),
              unsupported("pre_tokenizer.pretokenizers[0].type", "BertPreTokenizer"));
  EXPECT_THAT(error_with("/model/type", "Unigram"), unsupported("model.type", "Unigram"));
  EXPECT_THAT(error_with("/model/dropout", 0.1), unsupported("model.dropout", "dropout"));
  EXPECT_THAT(error_with("/model/end_of_word_suffix", "</w>"), unsupported("model.end_of_word_suffix", "suffix"));
  EXPECT_THAT(error_with("/decoder", {{"type", "WordPiece"}}), unsupported("decoder.type", "WordPiece"));
  EXPECT_THAT(error_with("/post_processor", {{"type", "Odd"}}), unsupported("post_processor.type", "Odd"));
  const json split = {{"type", "Split"}, {"pattern", {{"Regex", "\\bx"}}}, {"behavior", "Isolated"}};
  EXPECT_THAT(error_with("/pre_tokenizer", split), unsupported("pre_tokenizer.pattern.Regex", "\\b"));
}

TEST(Malformed, SaysWhatIsWrong) {
  const auto says = [](const char* field, const char* what) {
    return AllOf(HasSubstr("dir/tokenizer.json: "), HasSubstr(field), HasSubstr(what));
  };
  EXPECT_THAT(error_of(""), says("", "not JSON"));
  EXPECT_THAT(error_of(small().dump().substr(0, 300)), says("", "not JSON"));
  EXPECT_THAT(error_of("[]"), says("", "not an object"));
  EXPECT_THAT(error_of("{}"), says("", "no \"model\""));
  EXPECT_THAT(error_with("/model/merges", {"a c"}), says("model.merges[0]", "\"c\" is not in the vocabulary"));
  EXPECT_THAT(error_with("/model/merges", {"b a"}), says("model.merges[0]", "\"ba\" is not in the vocabulary"));
  EXPECT_THAT(error_with("/model/merges", {"ab"}), says("model.merges[0]", "not two tokens"));
  EXPECT_THAT(error_with("/model/merges", json::array({json::array({"a", 1})})), says("model.merges[0]", "neither"));
  EXPECT_THAT(error_with("/model/merges", nullptr), says("model", "no \"merges\""));
  EXPECT_THAT(error_with("/model/vocab/b", 0), says("model.vocab", "the id 0 belongs to"));
  EXPECT_THAT(error_with("/model/vocab/b", -1), says("model.vocab.b", "-1"));
  EXPECT_THAT(error_with("/model/vocab/b", "1"), says("model.vocab.b", "whole number"));
  EXPECT_THAT(error_with("/model/vocab/b", 4000000000u), says("model.vocab.b", "4000000000"));
  EXPECT_THAT(error_with("/model/vocab", json::object()), says("model.vocab", "empty"));
  EXPECT_THAT(error_with("/model/unk_token", "?"), says("model.unk_token", "\"?\" is not in the vocabulary"));
  EXPECT_THAT(error_with("/model/ignore_merges", 1), says("model.ignore_merges", "true or false"));
  EXPECT_THAT(error_with("/added_tokens/0/id", 2), says("added_tokens[0]", "belongs to \"ab\""));
  EXPECT_THAT(error_with("/added_tokens/0/content", "ab"), says("added_tokens[0]", "model.vocab"));
  EXPECT_THAT(error_with("/added_tokens/0", {{"id", 6}}), says("added_tokens[0]", "no \"content\""));
}

class Directory : public testing::Test {
 protected:
  void SetUp() override {
    path = std::filesystem::temp_directory_path() / ("grpo-tokenizer-" + std::to_string(::getpid()));
    std::filesystem::create_directories(path);
    write("tokenizer.json", small());
  }
  void TearDown() override { std::filesystem::remove_all(path); }
  void write(const char* file, const json& content) { std::ofstream(path / file) << content.dump(); }

  std::filesystem::path path;
};

TEST_F(Directory, ReadsTheNamesOfTheEnds) {
  write("tokenizer_config.json", {{"bos_token", nullptr}, {"eos_token", {{"content", "<s>"}}}, {"pad_token", "<t>"}});
  const Tokenizer tokenizer = Tokenizer::load(path);
  EXPECT_EQ(tokenizer.bos_id(), std::nullopt);
  EXPECT_EQ(tokenizer.eos_id(), 6);
  EXPECT_EQ(tokenizer.pad_id(), 7);
  EXPECT_THAT(tokenizer.eos_ids(), ElementsAre(6));
}

TEST_F(Directory, ReadsTheIdsOfTheModel) {
  write("tokenizer_config.json", {{"eos_token", "<s>"}});
  write("special_tokens_map.json", {{"bos_token", "<t>"}, {"eos_token", "<t>"}});
  write("config.json", {{"eos_token_id", 5}, {"pad_token_id", -1}});
  write("generation_config.json", {{"eos_token_id", {6, 7}}, {"pad_token_id", 7}});
  const Tokenizer tokenizer = Tokenizer::load(path / "tokenizer.json");
  EXPECT_EQ(tokenizer.bos_id(), 7);
  EXPECT_EQ(tokenizer.pad_id(), 7);
  EXPECT_THAT(tokenizer.eos_ids(), ElementsAre(6, 7));
}

TEST_F(Directory, NamesTheFileThatIsWrong) {
  const auto error = [&] {
    try {
      Tokenizer::load(path);
    } catch (const grpo::Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  write("tokenizer_config.json", {{"eos_token", "<nope>"}});
  EXPECT_THAT(error(), AllOf(HasSubstr("tokenizer_config.json: eos_token"), HasSubstr("<nope>")));
  write("tokenizer_config.json", json::object());
  write("generation_config.json", {{"eos_token_id", "2"}});
  EXPECT_THAT(error(), HasSubstr("generation_config.json: eos_token_id"));
  std::filesystem::remove(path / "tokenizer.json");
  EXPECT_THAT(error(), AllOf(HasSubstr("tokenizer.json"), HasSubstr("opened")));
}

}  // namespace
