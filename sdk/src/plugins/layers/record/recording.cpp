#include "recording.hpp"

#include <zlib.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <istream>
#include <streambuf>

#include "grpo/sdk/error.hpp"

namespace grpo::plugins::record {
namespace {

// gzip, or plain bytes, as a stream.
class GzipInput final : public std::streambuf {
 public:
  explicit GzipInput(const std::string& file) {
    errno = 0;
    std::error_code ignored;
    if (std::filesystem::is_directory(file, ignored)) throw Error(file + ": is a directory, no recording");
    in_ = gzopen(file.c_str(), "rb");
    if (!in_) throw Error(file + ": cannot be read: " + std::strerror(errno ? errno : ENOMEM));
  }
  ~GzipInput() override { gzclose(in_); }
  bool ends_early() const { return error() == Z_BUF_ERROR; }
  // Not what gzip says was written.
  bool damaged() const { return error() == Z_DATA_ERROR || error() == Z_ERRNO || error() == Z_STREAM_ERROR; }

 protected:
  int_type underflow() override {
    const int n = gzread(in_, buffer_.data(), static_cast<unsigned>(buffer_.size()));
    if (n <= 0) return traits_type::eof();
    setg(buffer_.data(), buffer_.data(), buffer_.data() + n);
    return traits_type::to_int_type(buffer_[0]);
  }

 private:
  int error() const {
    int code = Z_OK;
    gzerror(in_, &code);
    return code;
  }
  gzFile in_;
  std::array<char, 1 << 16> buffer_;
};

}  // namespace

struct Recording::Input {
  explicit Input(const std::string& file) : buffer(file), stream(&buffer) {}
  GzipInput buffer;
  std::istream stream;
};

Recording::Recording(const std::string& file) : file_(file), input_(std::make_unique<Input>(file)) {
  const std::string none = file + ": is no recording (a file that `record: FILE` made)";
  try {
    if (!wire::read_delimited(input_->stream, header_, file)) {
      if (input_->buffer.damaged()) throw Error(none + ", or is damaged: its bytes are not those that were written");
      if (input_->buffer.ends_early()) throw Error(none + ", or was cut off at its beginning");
      throw Error(none + ": it is empty");
    }
  } catch (const Error& e) {
    throw Error(std::string(e.what()).starts_with(none) ? e.what() : none + ": its header cannot be read");
  }
  if (header_.format() == 0 || header_.component_size() == 0 || header_.component(0).interface_id().empty())
    throw Error(none + ": its header says nothing");
  if (header_.format() > wire::format)
    throw Error(file + ": was recorded by " + header_.host() + " in format " + std::to_string(header_.format()) +
                "; this program reads up to " + std::to_string(wire::format));
}

Recording::~Recording() = default;

bool Recording::next(wire::Envelope& message) {
  const auto stopped = [this] { return input_->buffer.ends_early() && !input_->buffer.damaged(); };
  bool there = false;
  try {
    there = wire::read_delimited(input_->stream, message, file_);
  } catch (const Error& e) {
    if (!stopped() && input_->stream.good()) throw Error(std::string(e.what()) + ": the recording is damaged");
    if (input_->buffer.damaged()) throw Error(file_ + ": is damaged: its bytes are not those that were written");
    cut_off_ = true;
    return false;
  }
  if (there) return true;
  if (input_->buffer.damaged()) throw Error(file_ + ": is damaged: its bytes are not those that were written");
  cut_off_ = stopped();
  return false;
}

}  // namespace grpo::plugins::record
