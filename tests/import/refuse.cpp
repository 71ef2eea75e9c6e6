// Files that are not as the format says, and places that cannot be written: an error that names what, and nothing left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <grpo/sdk/error.hpp>
#include <grpo/sdk/import/gguf.hpp>

#include "scratch.hpp"

namespace {
using grpo::import::import_gguf;
using import_test::read;
using import_test::Scratch;
using import_test::write;
using testing::AllOf;
using testing::HasSubstr;

class Refuse : public testing::Test {
 protected:
  // What the import of these bytes says; "" when it works. Either way nothing half-written is left.
  std::string import(const std::string& bytes, const std::string& dtype = "float32") {
    write(scratch_ / "a.gguf", bytes);
    std::string text;
    try {
      import_gguf(scratch_ / "a.gguf", scratch_ / "out", {.dtype = dtype, .overwrite = false, .progress = nullptr});
      std::filesystem::remove_all(scratch_ / "out");
    } catch (const grpo::Error& e) {
      text = e.what();
    }
    EXPECT_EQ(scratch_.entries(), 1u) << "left behind after: " << text;
    return text;
  }
  // Bytes of the file with the number behind a text changed.
  template <class T>
  std::string with(const std::string& after, std::size_t skip, T value) {
    std::string bytes = good_;
    const std::size_t at = bytes.find(after);
    EXPECT_NE(at, bytes.npos);
    std::memcpy(&bytes[at + after.size() + skip], &value, sizeof value);
    return bytes;
  }
  std::string renamed(const std::string& from, const std::string& to) {
    EXPECT_EQ(from.size(), to.size());
    std::string bytes = good_;
    const std::size_t at = bytes.find(from);
    EXPECT_NE(at, bytes.npos);
    return bytes.replace(at, from.size(), to);
  }

  Scratch scratch_;
  const std::string good_ = read(GRPO_TEST_DATA "/qwen2.gguf");
};

TEST_F(Refuse, WhatIsNoGguf) {
  EXPECT_EQ(import(good_), "");
  EXPECT_THAT(import(""), HasSubstr("is no GGUF file"));
  EXPECT_THAT(import("GGUF"), HasSubstr("is no GGUF file"));
  EXPECT_THAT(import(std::string(5000, 'x')), AllOf(HasSubstr("a.gguf"), HasSubstr("is no GGUF file")));
  EXPECT_THAT(import(with<std::uint32_t>("GGUF", 0, 1)), HasSubstr("version 1"));
  EXPECT_THAT(import(with<std::uint32_t>("GGUF", 0, 0x03000000)), HasSubstr("big-endian"));
  EXPECT_THROW(import_gguf(scratch_ / "none.gguf", scratch_ / "out"), grpo::Error);
  EXPECT_THROW(import_gguf("/", scratch_ / "out"), grpo::Error);
}

TEST_F(Refuse, EveryTruncation) {
  for (std::size_t size = 0; size < good_.size(); size += size < 2000 ? 13 : 509)
    EXPECT_NE(import(good_.substr(0, size)), "") << size;
  EXPECT_THAT(import(good_.substr(0, good_.size() - 1000)),
              AllOf(HasSubstr("blk.0.ffn_down.weight"), HasSubstr("cut off")));
}

TEST_F(Refuse, LiesAboutSizes) {
  const std::uint64_t huge = std::uint64_t{1} << 60;
  EXPECT_THAT(import(with("GGUF", 4, huge)), HasSubstr("cut off"));
  EXPECT_THAT(import(with("GGUF", 12, huge)), HasSubstr("cut off"));
  EXPECT_THAT(import(with("tokenizer.ggml.tokens", 8, huge)),
              AllOf(HasSubstr("tokenizer.ggml.tokens"), HasSubstr("do not fit")));
  EXPECT_THAT(import(with("tokenizer.ggml.pre", 4, ~std::uint64_t{0})), HasSubstr("tokenizer.ggml.pre"));
  // After a tensor's name: dimensions, extents, type, offset.
  EXPECT_THAT(import(with<std::uint32_t>("blk.0.attn_q.weight", 0, 9)), HasSubstr("9 dimensions"));
  EXPECT_THAT(import(with<std::int64_t>("blk.0.attn_q.weight", 4, -32)), HasSubstr("-32"));
  EXPECT_THAT(import(with<std::int64_t>("blk.0.attn_q.weight", 4, std::int64_t{1} << 62)), HasSubstr("attn_q"));
  EXPECT_THAT(import(with<std::int64_t>("blk.0.attn_q.weight", 4, 33)), HasSubstr("no multiple"));
  EXPECT_THAT(import(with<std::int64_t>("blk.0.attn_q.weight", 12, 64)),
              AllOf(HasSubstr("[64, 32]"), HasSubstr("[32, 32]")));
  EXPECT_THAT(import(with<std::uint32_t>("blk.0.attn_q.weight", 20, 19)), AllOf(HasSubstr("IQ1_S"), HasSubstr("Q8_0")));
  EXPECT_THAT(import(with<std::uint32_t>("blk.0.attn_q.weight", 20, 999)), HasSubstr("number 999"));
  EXPECT_THAT(import(with("blk.0.attn_q.weight", 24, huge)), HasSubstr("beyond the end"));
  EXPECT_THAT(import(with<std::uint64_t>("blk.0.attn_q.weight", 24, 7)), HasSubstr("aligned"));
}

TEST_F(Refuse, ModelsItDoesNotKnow) {
  EXPECT_THAT(import(renamed("blk.0.attn_q.weight", "blk.0.attn_z.weight")), HasSubstr("attn_q.weight is missing"));
  EXPECT_THAT(import(renamed("qwen2.block_count", "qwen2.block_cound")), HasSubstr("qwen2.block_count is missing"));
  EXPECT_THAT(import(with<std::uint32_t>("qwen2.attention.head_count", 4, 0)), HasSubstr("head_count is 0"));
  EXPECT_THAT(import(with<std::uint32_t>("qwen2.embedding_length", 4, 31)), HasSubstr("do not go together"));
  std::string other = good_;
  const std::size_t at = other.find("qwen2", other.find("general.architecture"));
  EXPECT_THAT(import(other.replace(at, 5, "rwkv7")), AllOf(HasSubstr("rwkv7"), HasSubstr("qwen3")));
  std::string pre = good_;
  const std::size_t name = pre.find("qwen2", pre.find("tokenizer.ggml.pre"));
  EXPECT_THAT(import(pre.replace(name, 5, "qwenX")), AllOf(HasSubstr("qwenX"), HasSubstr("smollm")));
  EXPECT_THAT(import(with<std::uint32_t>("tokenizer.ggml.eos_token_id", 4, 4000)),
              AllOf(HasSubstr("eos_token_id"), HasSubstr("4000")));
  EXPECT_THAT(import(good_, "int8"), HasSubstr("int8"));
}

TEST_F(Refuse, RandomDamageNeverCrashes) {
  std::uint32_t seed = 3;
  const auto random = [&](std::size_t below) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 7) % below;
  };
  int refused = 0;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = good_;
    for (int k = 0; k < 3; ++k) bytes[random(8000)] = static_cast<char>(random(256));
    refused += !import(bytes).empty();
  }
  EXPECT_GT(refused, 20);
}

TEST_F(Refuse, LeavesWhatIsThere) {
  std::filesystem::create_directory(scratch_ / "full");
  write(scratch_ / "full" / "mine", "x");
  EXPECT_THROW(import_gguf(GRPO_TEST_DATA "/qwen2.gguf", scratch_ / "full"), grpo::Error);
  EXPECT_EQ(read(scratch_ / "full" / "mine"), "x");
  write(scratch_ / "bad.gguf", good_.substr(0, good_.size() - 1000));
  const grpo::import::GgufOptions overwrite{.dtype = "float32", .overwrite = true, .progress = nullptr};
  EXPECT_THROW(import_gguf(scratch_ / "bad.gguf", scratch_ / "full", overwrite), grpo::Error);
  EXPECT_EQ(read(scratch_ / "full" / "mine"), "x") << "overwrite replaces only by a whole model";
  import_gguf(GRPO_TEST_DATA "/qwen2.gguf", scratch_ / "full" / "", overwrite);
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "full" / "mine"));
  EXPECT_TRUE(std::filesystem::exists(scratch_ / "full" / "model.safetensors"));
  std::filesystem::create_directory(scratch_ / "empty");
  import_gguf(GRPO_TEST_DATA "/qwen2.gguf", scratch_ / "empty");
  import_gguf(GRPO_TEST_DATA "/qwen2.gguf", scratch_ / "new" / "deeper");
  EXPECT_THROW(import_gguf(GRPO_TEST_DATA "/qwen2.gguf", scratch_ / "bad.gguf"), grpo::Error) << "a file is in the way";
  EXPECT_EQ(scratch_.entries(), 4u);
}

}  // namespace
