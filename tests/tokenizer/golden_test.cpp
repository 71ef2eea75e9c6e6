// Every tokenizer of data/ against what `tokenizers` 0.23 makes of the same texts and ids.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "golden.hpp"
#include "grpo/sdk/text/tokenizer.hpp"

namespace {

using grpo::text::StreamDecoder;
using grpo::text::Tokenizer;
using Ids = std::vector<int32_t>;

std::string escaped(const std::string& text) { return nlohmann::json(text).dump(-1, ' ', true); }

void expect_same_ids(const Tokenizer& tokenizer, const std::string& name) {
  const std::vector<std::string>& texts = golden::texts();
  const std::vector<nlohmann::json> expected = golden::lines(name + ".ids.jsonl");
  ASSERT_GE(texts.size(), 1000u);
  ASSERT_GT(expected.size(), texts.size());
  std::size_t wrong = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const bool marked = i >= texts.size();  // the lines behind the texts: with special tokens
    const std::string& text = texts[marked ? i - texts.size() : i];
    const Ids ids = tokenizer.encode(text, marked);
    if (ids == expected[i].get<Ids>()) continue;
    if (++wrong <= 5) {
      ADD_FAILURE() << name << " line " << i + 1 << " " << escaped(text) << "\n     got " << nlohmann::json(ids).dump()
                    << "\nexpected " << expected[i].dump();
    }
  }
  EXPECT_EQ(wrong, 0u) << "of " << expected.size();
}

// plain.jsonl lists the texts in which special tokens as plain text make a difference.
void expect_same_plain_ids(const Tokenizer& tokenizer, const std::string& name) {
  std::vector<nlohmann::json> expected = golden::lines(name + ".ids.jsonl");
  const std::vector<nlohmann::json> different = golden::lines(name + ".plain.jsonl");
  ASSERT_FALSE(different.empty());
  for (const auto& row : different) expected[row[0].get<std::size_t>()] = row[1];
  for (std::size_t i = 0; i < golden::texts().size(); ++i) {
    EXPECT_EQ(tokenizer.encode_plain(golden::texts()[i]), expected[i].get<Ids>()) << escaped(golden::texts()[i]);
  }
}

std::string stream(const Tokenizer& tokenizer, const Ids& ids, bool skip_special_tokens) {
  StreamDecoder decoder(tokenizer, skip_special_tokens);
  std::string text;
  for (const int32_t id : ids) {
    const std::string piece = decoder.push(id);
    EXPECT_NO_THROW((void)nlohmann::json(piece).dump()) << "a piece that is not UTF-8";
    text += piece;
  }
  return text + decoder.finish();
}

void expect_same_text(const Tokenizer& tokenizer, const std::string& name) {
  const std::vector<nlohmann::json> rows = golden::lines(name + ".decode.jsonl");
  ASSERT_GE(rows.size(), 100u);
  for (const auto& row : rows) {
    const Ids ids = row[0].get<Ids>();
    for (const bool skip : {false, true}) {
      const std::string expected = row[skip ? 2 : 1].get<std::string>();
      EXPECT_EQ(escaped(tokenizer.decode(ids, skip)), escaped(expected)) << name << " " << row[0].dump();
      EXPECT_EQ(escaped(stream(tokenizer, ids, skip)), escaped(expected)) << name << " " << row[0].dump();
    }
  }
}

class Golden : public testing::TestWithParam<std::string> {
 protected:
  Tokenizer tokenizer = Tokenizer::load(golden::data(GetParam() + ".json"));
};

TEST_P(Golden, EncodesLikeTheOriginal) { expect_same_ids(tokenizer, GetParam()); }
TEST_P(Golden, EncodesSpecialTokensAsText) { expect_same_plain_ids(tokenizer, GetParam()); }
TEST_P(Golden, DecodesLikeTheOriginal) { expect_same_text(tokenizer, GetParam()); }

// Each prefix of an encoded text streams to what it decodes to, and what has been given out is never taken back.
TEST_P(Golden, StreamsEveryPrefix) {
  std::size_t checked = 0;
  for (std::size_t i = 0; i < golden::texts().size(); i += 9) {
    const Ids ids = tokenizer.encode(golden::texts()[i]);
    if (ids.size() > 40) continue;
    StreamDecoder decoder(tokenizer);
    std::string given;
    for (std::size_t n = 1; n <= ids.size(); ++n) {
      given += decoder.push(ids[n - 1]);
      const Ids prefix(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(n));
      const std::string whole = tokenizer.decode(prefix);
      ASSERT_EQ(whole.compare(0, given.size(), given), 0) << escaped(golden::texts()[i]) << " after " << n;
      ASSERT_EQ(escaped(stream(tokenizer, prefix, false)), escaped(whole));
      ++checked;
    }
  }
  EXPECT_GT(checked, 100u);
}

INSTANTIATE_TEST_SUITE_P(Pipelines, Golden, testing::ValuesIn(golden::names()),
                         [](const auto& info) { return info.param; });

// The real SmolLM2, when there is one: GRPO_SMOLLM2 names its directory, else where tools/get-smollm2 puts it.
TEST(RealModel, SmolLM2) {
  const char* const named = std::getenv("GRPO_SMOLLM2");
  const std::filesystem::path directory =
      named ? std::filesystem::path(named) : std::filesystem::path(GRPO_SOURCE_DIR) / "models" / "smollm2";
  if (!std::filesystem::exists(directory / "tokenizer.json")) GTEST_SKIP() << "no model in " << directory;
  const Tokenizer tokenizer = Tokenizer::load(directory);
  expect_same_ids(tokenizer, "smollm2_full");
  expect_same_plain_ids(tokenizer, "smollm2_full");
  expect_same_text(tokenizer, "smollm2_full");
}

}  // namespace
