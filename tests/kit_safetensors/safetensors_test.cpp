// The reader against good files, and against every way a file can lie; the writer against the reader.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <grpo/kit/safetensors.hpp>
#include <limits>

namespace grpo::kit {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::ThrowsMessage;

class Safetensors : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "safetensors_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  // A file with any header and any amount of data.
  fs::path raw(const std::string& name, const std::string& header, std::size_t data_bytes, std::int64_t length = -1) {
    const fs::path path = directory_ / name;
    std::ofstream file(path, std::ios::binary);
    const std::uint64_t claimed = length < 0 ? header.size() : static_cast<std::uint64_t>(length);
    file.write(reinterpret_cast<const char*>(&claimed), 8);
    file << header << std::string(data_bytes, '\1');
    return path;
  }

  void expect_refused(const fs::path& path, const std::string& why) {
    EXPECT_THAT([&] { SafetensorsFile file(path); },
                ThrowsMessage<std::runtime_error>(AllOf(HasSubstr(path.string()), HasSubstr(why))));
  }

  fs::path directory_;
};

TEST_F(Safetensors, ReadsWhatItWrote) {
  const fs::path path = directory_ / "a.safetensors";
  const std::vector<float> w{1, -2, 3.5f, 4, 5, 6};
  const std::vector<std::int64_t> ids{7, 8};
  const std::vector<std::uint16_t> half{0x3c00, 0xc000};
  {
    SafetensorsWriter writer(path, {{"w", Dtype::f32, {2, 3}},
                                    {"ids", Dtype::i64, {2}},
                                    {"half", Dtype::f16, {2}},
                                    {"empty", Dtype::i32, {0, 4}},
                                    {"scalar", Dtype::bf16, {}}});
    const std::uint16_t one = 0x3f80;
    writer.write("scalar", &one, 2);  // out of order
    writer.write("half", half.data(), 4);
    writer.write("w", w.data(), 24);
    writer.write("ids", ids.data(), 16);
    writer.finish();
  }
  const SafetensorsFile file(path);
  EXPECT_EQ(file.metadata().at("format"), "pt");
  ASSERT_EQ(file.tensors().size(), 5u);
  const auto& t = file.at("w");
  EXPECT_EQ(t.dtype, Dtype::f32);
  EXPECT_EQ(t.shape, (std::vector<std::int64_t>{2, 3}));
  std::vector<float> read(6);
  to_float(t, read.data());
  EXPECT_EQ(read, w);
  EXPECT_EQ(std::memcmp(file.at("ids").data, ids.data(), 16), 0);
  to_float(file.at("half"), read.data());
  EXPECT_EQ(read[0], 1.0f);
  EXPECT_EQ(read[1], -2.0f);
  to_float(file.at("scalar"), read.data());
  EXPECT_EQ(read[0], 1.0f);
  EXPECT_EQ(file.at("empty").bytes, 0u);
  EXPECT_EQ(file.find("nothing"), nullptr);
  EXPECT_THAT([&] { file.at("nothing"); },
              ThrowsMessage<std::runtime_error>(AllOf(HasSubstr("a.safetensors"), HasSubstr("\"nothing\""))));
  EXPECT_THROW(to_float(file.at("ids"), read.data()), std::runtime_error);
}

TEST_F(Safetensors, RefusesFilesThatLie) {
  const std::string good = R"({"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";
  EXPECT_NO_THROW(SafetensorsFile(raw("good", good, 16)));
  expect_refused(directory_ / "none", "cannot be opened");
  expect_refused(directory_, "not a regular file");
  std::ofstream(directory_ / "short") << "abc";
  expect_refused(directory_ / "short", "too short");
  expect_refused(raw("cut", good, 15), "\"w\" ends at byte 16");
  expect_refused(raw("more", good, 17), "17 bytes of data");
  expect_refused(raw("length", good, 16, 1'000'000), "claims 1000000 bytes");
  expect_refused(raw("huge", good, 16, std::numeric_limits<std::int64_t>::max()), "claims");
  expect_refused(raw("text", "this is no header", 16), "not JSON");
  expect_refused(raw("array", "[1,2]", 16), "not a JSON object");
  expect_refused(raw("dtype", R"({"w":{"dtype":"F31","shape":[4],"data_offsets":[0,16]}})", 16), "unknown dtype");
  expect_refused(raw("shape", R"({"w":{"dtype":"F32","shape":[5],"data_offsets":[0,16]}})", 16), "takes 20 bytes");
  expect_refused(raw("negative", R"({"w":{"dtype":"F32","shape":[-4],"data_offsets":[0,16]}})", 16), "no size");
  expect_refused(raw("back", R"({"w":{"dtype":"F32","shape":[0],"data_offsets":[16,0]}})", 16), "data_offsets");
  expect_refused(raw("wrap", R"({"w":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0),
                 "too large");
  expect_refused(raw("lacks", R"({"w":{"dtype":"F32","shape":[4]}})", 16), "lacks");
  expect_refused(
      raw("overlap",
          R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}})",
          16),
      "inside the tensor before it");
  expect_refused(
      raw("gap",
          R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
          16),
      "leaving a gap");
  expect_refused(
      raw("twice",
          R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})",
          16),
      "\"a\" is listed twice");
}

TEST_F(Safetensors, WriterHoldsItsCallersToTheirWord) {
  const fs::path path = directory_ / "w.safetensors";
  const float x[2] = {1, 2};
  {
    SafetensorsWriter writer(path, {{"a", Dtype::f32, {2}}, {"b", Dtype::f32, {1}}});
    EXPECT_THROW(writer.write("c", x, 8), std::runtime_error);
    EXPECT_THROW(writer.write("a", x, 4), std::runtime_error);
    writer.write("a", x, 8);
    EXPECT_THROW(writer.write("a", x, 8), std::runtime_error);
    EXPECT_THAT([&] { writer.finish(); }, ThrowsMessage<std::runtime_error>(HasSubstr("\"b\"")));
  }
  EXPECT_FALSE(fs::exists(path)) << "an unfinished file stays behind";
  EXPECT_THROW(SafetensorsWriter(path, {{"a", Dtype::f32, {2}}, {"a", Dtype::f32, {1}}}), std::runtime_error);
  EXPECT_THROW(SafetensorsWriter(directory_ / "no" / "such", {}), std::runtime_error);
}

TEST_F(Safetensors, CheckpointOfShards) {
  const float x = 1, y = 2;
  const auto shard = [&](const char* name, const char* tensor, const float* value) {
    SafetensorsWriter writer(directory_ / name, {{tensor, Dtype::f32, {1}}});
    writer.write(tensor, value, 4);
    writer.finish();
  };
  EXPECT_THAT([&] { Checkpoint c(directory_); }, ThrowsMessage<std::runtime_error>(HasSubstr("neither")));
  shard("model-1.safetensors", "x", &x);
  const auto index = [&](const std::string& text) {
    std::ofstream(directory_ / "model.safetensors.index.json") << text;
  };
  index(R"({"weight_map":{"x":"model-1.safetensors","y":"model-2.safetensors"}})");
  EXPECT_THAT([&] { Checkpoint c(directory_); },
              ThrowsMessage<std::runtime_error>(AllOf(HasSubstr("model-2.safetensors"), HasSubstr("missing"))));
  shard("model-2.safetensors", "z", &y);
  EXPECT_THAT([&] { Checkpoint c(directory_); },
              ThrowsMessage<std::runtime_error>(AllOf(HasSubstr("model-2.safetensors"), HasSubstr("\"y\""))));
  shard("model-2.safetensors", "y", &y);
  const Checkpoint checkpoint(directory_);
  EXPECT_EQ(checkpoint.names(), (std::vector<std::string>{"x", "y"}));
  float read = 0;
  to_float(checkpoint.at("y"), &read);
  EXPECT_EQ(read, 2.0f);
  EXPECT_EQ(checkpoint.file_of("y").filename(), "model-2.safetensors");
  EXPECT_THROW(checkpoint.at("z"), std::runtime_error);
  index(R"({"weight_map":{"x":"../x"}})");
  EXPECT_THROW(Checkpoint{directory_}, std::runtime_error);
  index("{");
  EXPECT_THROW(Checkpoint{directory_}, std::runtime_error);
}

TEST(SafetensorsConversion, Bf16RoundsToNearestEven) {
  EXPECT_EQ(float_to_bf16(1.0f), 0x3f80);
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3f808000u)), 0x3f80);  // a tie, down to even
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3f818000u)), 0x3f82);  // a tie, up to even
  EXPECT_EQ(float_to_bf16(std::bit_cast<float>(0x3f808001u)), 0x3f81);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80);  // infinity
  EXPECT_EQ(float_to_bf16(-0.0f), 0x8000);
  EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const float value = bf16_to_float(static_cast<std::uint16_t>(bits));
    if (!std::isnan(value)) {
      ASSERT_EQ(float_to_bf16(value), bits);
    }
  }
}

TEST(SafetensorsConversion, F16EveryValue) {
  // By the definition of binary16, in double.
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const int exponent = static_cast<int>(bits >> 10 & 31u), fraction = static_cast<int>(bits & 1023u);
    const double sign = bits & 0x8000u ? -1 : 1;
    const float value = f16_to_float(static_cast<std::uint16_t>(bits));
    if (exponent == 31 && fraction) {
      ASSERT_TRUE(std::isnan(value));
    } else if (exponent == 31) {
      ASSERT_EQ(value, sign * std::numeric_limits<double>::infinity());
    } else {
      const double expected = exponent ? std::ldexp(1024 + fraction, exponent - 25) : std::ldexp(fraction, -24);
      ASSERT_EQ(value, sign * expected);
      ASSERT_EQ(std::signbit(value), sign < 0);
    }
  }
}

}  // namespace
}  // namespace grpo::kit
