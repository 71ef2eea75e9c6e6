// tensorboard.hpp: a TensorBoard event file, which W&B and SwanLab import too.
//
// An event file is a list of records (TFRecord: length, masked CRC-32C of the length, data, masked CRC-32C of the
// data), each an Event message (event.proto). Every process writes a file of its own; TensorBoard reads the files of a
// directory in the order of their names, which begin with the time.
//
//   TensorBoard board("runs/words", /*first_step=*/1);
//   board.text(0, "config", "    run:\n      seed: 7");
//   board.scalars(1, metrics);
//   board.flush();
#ifndef GRPO_SDK_REPORT_TENSORBOARD_HPP
#define GRPO_SDK_REPORT_TENSORBOARD_HPP

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <string_view>

#include "grpo/sdk/report/metrics.hpp"

namespace grpo::report {

// CRC-32C (Castagnoli) of RFC 3720, appendix B.4.
std::uint32_t crc32c(std::string_view bytes);

class TensorBoard {
 public:
  // Begins events.out.tfevents.<seconds>.<host>.<pid>.0 in `directory`. What earlier files there hold of `first_step`
  // and later steps is declared void: a run that resumes writes them again. Throws grpo::Error.
  TensorBoard(const std::filesystem::path& directory, std::int64_t first_step);
  TensorBoard(const TensorBoard&) = delete;
  TensorBoard& operator=(const TensorBoard&) = delete;
  ~TensorBoard();

  // Every metric as a scalar under its name, in one event; what is not finite is left out.
  void scalars(std::int64_t step, const Metrics& metrics);
  // A text, which TensorBoard shows as Markdown.
  void text(std::int64_t step, std::string_view tag, std::string_view markdown);
  // All: throws grpo::Error when the disk is full.
  void flush();

  const std::filesystem::path& path() const { return path_; }

 private:
  void record(const std::string& event);

  std::filesystem::path path_;
  std::FILE* file_ = nullptr;
};

// `text` as a Markdown block of code: no character of it means anything.
std::string code_block(std::string_view text);

}  // namespace grpo::report

#endif
