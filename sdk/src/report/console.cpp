#include "grpo/sdk/report/console.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "grpo/sdk/report/visible.hpp"
#include "table.hpp"
#include "terminal.hpp"

namespace grpo::report {
namespace {

constexpr std::int64_t lines_between_headers = 20;
constexpr double unknown = std::numeric_limits<double>::quiet_NaN();  // printed as "-"

std::string seconds(double s, std::size_t width) { return number(s, width - 1, 2) + "s"; }

}  // namespace

std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "-";
  if (seconds < 10) return fmt::format("{:.1f}s", seconds);
  const auto s = static_cast<std::int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
}

Console::Console(Progress progress, std::optional<std::size_t> columns)
    : columns_(columns),
      bars_(progress == Progress::always ||
            (progress == Progress::automatic && terminal::takes_escapes(STDOUT_FILENO))),
      color_(terminal::takes_colors(STDOUT_FILENO)) {}

// So that what follows, such as the message of an error, begins on a line of its own.
Console::~Console() { terminal::clear_bar(); }

std::size_t Console::room() const { return columns_.value_or(static_cast<std::size_t>(terminal::columns())); }

std::string Console::styled(const char* code, std::string_view text) const {
  return color_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
}

void Console::line(std::string_view text) { terminal::print(fmt::format("{}\n", text)); }

void Console::settings(std::string_view title, std::span<const std::pair<std::string, std::string>> rows) {
  std::size_t width = 0;
  for (const auto& [name, value] : rows) width = std::max(width, name.size());
  const std::size_t indent = width + 4;
  const std::size_t left = room() > indent ? room() - indent : 0;
  std::string out = styled("1", title) + "\n";
  for (const auto& [name, value] : rows)
    out += fmt::format("  {:<{}}  {}\n", name, width, wrapped(visible(value), indent, left));
  terminal::print(out);
}

void Console::stage(std::string_view name, std::int64_t steps, std::int64_t first) {
  title_ = fmt::format("\n{}\n", styled("1", name));
  steps_ = steps;
  first_ = first;
  lines_ = 0;
  width_ = std::max<std::size_t>(9, 2 * std::to_string(steps).size() + 1);
  stage_start_ = std::chrono::steady_clock::now();
}

// Title, header and line go out in one piece: what plugins log between them would tear the table. The header comes
// again now and then, and when the terminal's width has changed.
void Console::row(std::span<const Column> columns) {
  const std::size_t width = room();
  if (lines_ == 0 || width != laid_out_for_ || kept_.size() != columns.size()) {
    if (width != laid_out_for_) lines_ = 0;
    kept_ = columns_that_fit(columns, width);
    laid_out_for_ = width;
  }
  std::string out = std::exchange(title_, {});
  if (lines_++ % lines_between_headers == 0) out += styled("2", titles(columns, kept_)) + "\n";
  terminal::print(out + cells(columns, kept_) + "\n" + std::exchange(below_, {}));
}

void Console::below_next_row(std::string_view text) { below_ = fmt::format("{}\n", text); }

double Console::elapsed() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - stage_start_).count();
}

double Console::remaining(std::int64_t step) const {
  const auto done = step - first_;
  return done > 0 ? elapsed() / static_cast<double>(done) * static_cast<double>(steps_ - step) : std::nan("");
}

void Console::step(std::int64_t step, const Metrics& m) {
  const auto kl = m.find("kl");
  const Column columns[] = {
      {"step", width_, 1, fmt::format("{}/{}", step, steps_)},
      {"epoch", 6, 16, number(m.get("epoch"), 6, 3)},
      {"reward", 6, 1, number(m.get("reward"), 6, 3)},
      {"+-std", 5, 6, number(m.get("reward_std"), 5, 3)},
      {"length", 7, 3, number(m.get("completions/mean_length"), 7, 1)},
      {"clip%", 5, 8, number(100 * m.get("completions/clipped_ratio"), 5, 1)},
      {"kl", 8, kl ? 7 : 17, kl ? significant(*kl) : "-"},
      {"entropy", 7, 5, number(m.get("entropy", unknown), 7, 3)},
      {"|grad|", 6, 9, number(m.get("grad_norm"), 6, 3)},
      {"lr", 8, 14, fmt::format("{:.2g}", m.get("learning_rate"))},
      {"rollout", 7, 13, seconds(m.get("timing/rollout"), 7)},
      {"score", 6, 15, seconds(m.get("timing/reward"), 6)},
      {"update", 6, 12, seconds(m.get("timing/update") + m.get("timing/old_logp") + m.get("timing/reference"), 6)},
      {"step", 6, 2, seconds(m.get("step_time"), 6)},
      {"tok/s", 5, 10, number(m.get("throughput/end_to_end_tokens_per_second"), 5, 0)},
      {"elapsed", 7, 11, duration(elapsed())},
      {"eta", 6, 4, duration(remaining(step))}};
  row(columns);
}

void Console::sft_step(std::int64_t step, const Metrics& m) {
  const Column columns[] = {{"step", width_, 1, fmt::format("{}/{}", step, steps_)},
                            {"epoch", 6, 8, number(m.get("epoch"), 6, 3)},
                            {"loss", 7, 1, number(m.get("loss"), 7, 4)},
                            {"p(token)", 8, 5, number(100 * m.get("mean_token_probability"), 7, 1) + "%"},
                            {"|grad|", 6, 4, number(m.get("grad_norm"), 6, 3)},
                            {"lr", 8, 7, fmt::format("{:.2g}", m.get("learning_rate"))},
                            {"step", 6, 3, seconds(m.get("step_time"), 6)},
                            {"tok/s", 5, 6, number(m.get("throughput/end_to_end_tokens_per_second"), 5, 0)},
                            {"elapsed", 7, 9, duration(elapsed())},
                            {"eta", 6, 2, duration(remaining(step))}};
  row(columns);
}

void Console::progress(std::string_view what, double done, double total) {
  if (!bars_ || total <= 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - bar_time_ < std::chrono::milliseconds(100) && done < total) return;
  bar_time_ = now;
  const std::string left = fmt::format("  {} ", what), right = fmt::format(" {:.0f}/{:.0f}", done, total);
  const std::size_t taken = left.size() + right.size() + 3;  // the brackets, and the last cell, where terminals wrap
  const std::size_t width = room() == 0 ? 80 : room();
  if (width < taken + 5) return;  // too narrow for a bar
  const std::size_t length = std::min<std::size_t>(width - taken, 60);
  const auto filled = static_cast<std::size_t>(std::clamp(done / total, 0.0, 1.0) * static_cast<double>(length));
  terminal::draw_bar(
      fmt::format("{}[{}{}]{}", left, std::string(filled, '='), std::string(length - filled, ' '), right));
}

void Console::samples(std::int64_t step, std::span<const Sample> samples) {
  constexpr std::string_view indent = "      ";
  std::string out;
  for (const Sample& s : samples) {
    std::string scores;
    for (const auto& [name, score] : s.scores) scores += fmt::format("  {} {}", name, significant(score));
    out += fmt::format("  -- sample at step {}: reward {}{}  ({}{})\n", step, significant(s.reward), scores, s.finish,
                       s.ground_truth.empty() ? "" : ", truth " + visible(s.ground_truth, indent, 60));
    out += fmt::format("    ? {}\n    > {}\n", visible(s.prompt, indent, 400), visible(s.completion, indent, 800));
  }
  terminal::print(out);
}

void Console::curve(std::string_view title, std::span<const std::pair<double, double>> points, double y_min,
                    double y_max) {
  if (points.empty() || !(y_max > y_min)) return;
  constexpr int rows = 12, margin = 11;  // of the numbers on the left
  const int columns = room() == 0 ? 64 : std::clamp(static_cast<int>(room()) - margin, 16, 64);
  const auto width = static_cast<std::size_t>(columns);
  const double x_min = points.front().first, x_max = std::max(points.back().first, x_min + 1e-9);
  std::vector<std::string> grid(rows, std::string(width, ' '));
  // Each column shows the mean of the points that fall into it.
  std::vector<double> sum(width, 0), count(width, 0);
  for (const auto& [x, y] : points) {
    if (!std::isfinite(x) || !std::isfinite(y)) continue;
    const auto c = static_cast<std::size_t>(std::lround((x - x_min) / (x_max - x_min) * (columns - 1)));
    sum[c] += y;
    count[c] += 1;
  }
  for (std::size_t c = 0; c < width; ++c) {
    if (count[c] == 0) continue;
    const double share = std::clamp((sum[c] / count[c] - y_min) / (y_max - y_min), 0.0, 1.0);
    grid[static_cast<std::size_t>(std::lround((1 - share) * (rows - 1)))][c] = '*';
  }
  std::string out = fmt::format("\n  {}\n", title);
  for (int r = 0; r < rows; ++r)
    out += fmt::format("  {:>7.3f} |{}\n", y_max - (y_max - y_min) * r / (rows - 1), grid[static_cast<std::size_t>(r)]);
  out +=
      fmt::format("          +{}\n           {:<{}.0f}{:>8.0f}\n", std::string(width, '-'), x_min, columns - 8, x_max);
  terminal::print(out);
}

}  // namespace grpo::report
