// Event files, read back by an own reader of the frames and by Protobuf.
#include "grpo/sdk/report/tensorboard.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <regex>

#include "event.pb.h"
#include "grpo/sdk/error.hpp"

namespace grpo::report {
namespace {
namespace fs = std::filesystem;

std::string read_file(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// CRC-32C bit by bit, and the mask as TensorFlow's record_writer states it.
std::uint32_t slow_masked_crc(const std::string& bytes) {
  std::uint32_t crc = 0xffffffffu;
  for (const char c : bytes) {
    crc ^= static_cast<unsigned char>(c);
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? (crc >> 1) ^ 0x82f63b78u : crc >> 1;
  }
  crc = ~crc;
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

std::vector<events::Event> read_events(const fs::path& path) {
  const auto all = read_file(path);
  std::vector<events::Event> found;
  for (std::size_t at = 0; at < all.size();) {
    std::uint64_t length = 0;
    std::uint32_t of_length = 0, of_data = 0;
    if (at + 12 > all.size()) throw std::runtime_error("a torn header");
    std::memcpy(&length, &all[at], 8);
    std::memcpy(&of_length, &all[at + 8], 4);
    EXPECT_EQ(of_length, slow_masked_crc(all.substr(at, 8)));
    if (at + 16 + length > all.size()) throw std::runtime_error("a torn record");
    const auto data = all.substr(at + 12, length);
    std::memcpy(&of_data, &all[at + 12 + length], 4);
    EXPECT_EQ(of_data, slow_masked_crc(data));
    events::Event event;
    EXPECT_TRUE(event.ParseFromString(data));
    found.push_back(event);
    at += 16 + length;
  }
  return found;
}

class Events : public testing::Test {
 protected:
  fs::path directory = testing::TempDir() + "grpo-tensorboard";
  void SetUp() override {
    fs::remove_all(directory);
    fs::create_directories(directory);
  }
  void TearDown() override { fs::remove_all(directory); }
};

TEST(Crc32c, IsThatOfTheRfc) {
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43u);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(crc32c(""), 0u);
}

TEST_F(Events, ScalarsAndTextsComeBack) {
  fs::path path;
  {
    TensorBoard board(directory, 1);
    path = board.path();
    EXPECT_TRUE(std::regex_match(path.filename().string(), std::regex(R"(events\.out\.tfevents\.\d{10}\..+\.\d+\.0)")))
        << path;
    Metrics m;
    m.set("reward", 0.25);
    m.set("kl", std::nan(""));
    m.set("x", std::numeric_limits<double>::infinity());
    m.set("bad\xff name", 2);
    board.scalars(3, m);
    Metrics nothing;
    nothing.set("kl", std::nan(""));
    board.scalars(4, nothing);
    board.text(3, "samples", code_block("a <b>\n\xff"));
    board.flush();
    EXPECT_EQ(read_events(path).size(), 4u) << "what was flushed is there while the run goes on";
  }
  const auto found = read_events(path);
  ASSERT_EQ(found.size(), 4u);
  EXPECT_EQ(found[0].file_version(), "brain.Event:2");
  EXPECT_EQ(found[1].session_log().status(), events::SessionLog::START);
  EXPECT_EQ(found[1].step(), 1);
  ASSERT_EQ(found[2].summary().value_size(), 2);
  EXPECT_EQ(found[2].step(), 3);
  EXPECT_EQ(found[2].summary().value(0).tag(), "reward");
  EXPECT_EQ(found[2].summary().value(0).simple_value(), 0.25f);
  EXPECT_EQ(found[2].summary().value(1).tag(), "bad\xef\xbf\xbd name");
  EXPECT_GT(found[2].wall_time(), 1.6e9);
  const auto& text = found[3].summary().value(0);
  EXPECT_EQ(text.metadata().plugin_data().plugin_name(), "text");
  EXPECT_EQ(text.tensor().dtype(), 7);
  ASSERT_EQ(text.tensor().string_val_size(), 1);
  EXPECT_EQ(text.tensor().string_val(0), "    a <b>\n    \xef\xbf\xbd");
}

TEST_F(Events, EachOpeningBeginsAFileOfItsOwn) {
  TensorBoard first(directory, 1), second(directory, 5);
  EXPECT_NE(first.path(), second.path());
  EXPECT_LT(first.path().string(), second.path().string()) << "files are read in the order of their names";
  EXPECT_EQ(read_events(second.path())[1].step(), 5);
}

TEST_F(Events, ADirectoryThatIsMissingIsNamed) {
  try {
    TensorBoard(directory / "missing", 1);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("missing"), std::string::npos);
  }
}

}  // namespace
}  // namespace grpo::report
