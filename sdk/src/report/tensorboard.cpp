#include "grpo/sdk/report/tensorboard.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>

#include "event.pb.h"
#include "grpo/sdk/error.hpp"

namespace grpo::report {
namespace {

constexpr std::array<std::uint32_t, 256> crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t x = i;
    for (int bit = 0; bit < 8; ++bit) x = (x >> 1) ^ (x & 1 ? 0x82f63b78u : 0u);
    table[i] = x;
  }
  return table;
}();

// A checksum of data that itself holds checksums is weak: TFRecord turns and shifts it.
std::uint32_t masked(std::uint32_t crc) { return ((crc >> 15) | (crc << 17)) + 0xa282ead8u; }

// Little endian, as the host is: nothing else is supported (c_api/include/grpo/base.h).
template <class T>
std::string bytes(T x) {
  std::string out(sizeof x, '\0');
  std::memcpy(out.data(), &x, sizeof x);
  return out;
}

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string host_name() {
  char name[256] = {};
  if (gethostname(name, sizeof name - 1) != 0 || !name[0]) return "host";
  return name;
}

// Names that plugins choose and texts of models may be no UTF-8, which Protobuf's readers refuse.
std::string valid_utf8(std::string_view text) {
  const auto quoted = nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return nlohmann::json::parse(quoted).get<std::string>();
}

events::Event event_at(std::int64_t step) {
  events::Event event;
  event.set_wall_time(now());
  event.set_step(step);
  return event;
}

}  // namespace

std::uint32_t crc32c(std::string_view data) {
  std::uint32_t crc = 0xffffffffu;
  for (const char c : data) crc = crc_table[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

TensorBoard::TensorBoard(const std::filesystem::path& directory, std::int64_t first_step) {
  const auto name = "events.out.tfevents." + std::to_string(static_cast<std::int64_t>(now())) + "." + host_name() +
                    "." + std::to_string(getpid()) + ".";
  for (int n = 0; !file_; ++n) {
    path_ = directory / (name + std::to_string(n));
    file_ = std::fopen(path_.c_str(), "wxe");
    if (!file_ && errno != EEXIST)
      throw Error(path_.string() + ": cannot be opened for writing: " + std::strerror(errno));
  }
  auto version = event_at(0);
  version.set_file_version("brain.Event:2");
  record(version.SerializeAsString());
  auto start = event_at(first_step);
  start.mutable_session_log()->set_status(events::SessionLog::START);
  record(start.SerializeAsString());
  flush();
}

TensorBoard::~TensorBoard() {
  if (file_) std::fclose(file_);
}

void TensorBoard::scalars(std::int64_t step, const Metrics& metrics) {
  auto event = event_at(step);
  for (const auto& [name, value] : metrics) {
    if (!std::isfinite(value)) continue;
    auto& one = *event.mutable_summary()->add_value();
    one.set_tag(valid_utf8(name));
    one.set_simple_value(static_cast<float>(value));
  }
  if (event.has_summary()) record(event.SerializeAsString());
}

void TensorBoard::text(std::int64_t step, std::string_view tag, std::string_view markdown) {
  constexpr int strings = 7;  // DT_STRING
  auto event = event_at(step);
  auto& one = *event.mutable_summary()->add_value();
  one.set_tag(std::string(tag));
  one.mutable_metadata()->mutable_plugin_data()->set_plugin_name("text");
  auto& tensor = *one.mutable_tensor();
  tensor.set_dtype(strings);
  tensor.mutable_shape()->add_dim()->set_size(1);
  tensor.add_string_val(valid_utf8(markdown));
  record(event.SerializeAsString());
}

void TensorBoard::record(const std::string& event) {
  const auto length = bytes(static_cast<std::uint64_t>(event.size()));
  const auto framed = length + bytes(masked(crc32c(length))) + event + bytes(masked(crc32c(event)));
  if (std::fwrite(framed.data(), 1, framed.size(), file_) != framed.size())
    throw Error(path_.string() + ": writing failed: " + std::strerror(errno) + " (is the disk full?)");
}

void TensorBoard::flush() {
  if (std::fflush(file_) != 0)
    throw Error(path_.string() + ": writing failed: " + std::strerror(errno) + " (is the disk full?)");
}

std::string code_block(std::string_view text) {
  std::string out = "    ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out;
}

}  // namespace grpo::report
