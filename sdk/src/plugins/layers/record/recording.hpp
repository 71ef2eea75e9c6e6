// recording.hpp: a recorded file, read.
#ifndef GRPO_PLUGINS_RECORD_RECORDING_HPP
#define GRPO_PLUGINS_RECORD_RECORDING_HPP

#include <memory>
#include <string>

#include "wire/wire.hpp"

namespace grpo::plugins::record {

class Recording {
 public:
  // Reads the header. Throws grpo::Error: no such file, or it is no recording.
  explicit Recording(const std::string& file);
  ~Recording();
  const std::string& file() const { return file_; }
  const wire::Header& header() const { return header_; }

  // The next message; false at the end. Throws grpo::Error for a damaged file. A file that just stops, as a process
  // does that is killed, ends with its last whole message, and cut_off() says so.
  bool next(wire::Envelope& message);
  bool cut_off() const { return cut_off_; }

 private:
  struct Input;
  std::string file_;
  std::unique_ptr<Input> input_;
  wire::Header header_;
  bool cut_off_ = false;
};

}  // namespace grpo::plugins::record

#endif
