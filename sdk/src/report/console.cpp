#include "grpo/sdk/report/console.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace grpo::report {
namespace {

constexpr std::int64_t lines_between_headers = 20;

int terminal_width() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 100;
}

void put(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

// Text for a terminal: control characters become visible, long texts lose their middle.
std::string shown(std::string_view text, std::size_t limit) {
  std::string out;
  for (char c : text) {
    if (c == '\n')
      out += "\n      ";
    else if (static_cast<unsigned char>(c) < 0x20 && c != '\t')
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else
      out += c;
  }
  if (out.size() <= limit) return out;
  const auto boundary = [&](std::size_t at) {  // never inside a UTF-8 sequence
    while (at < out.size() && (static_cast<unsigned char>(out[at]) & 0xC0) == 0x80) ++at;
    return at;
  };
  const std::size_t head = boundary(limit / 2), tail = boundary(out.size() - limit / 2);
  return out.substr(0, head) + " [...] " + out.substr(tail);
}

std::string significant(double x) { return std::isfinite(x) ? fmt::format("{:.3g}", x) : std::string("-"); }

}  // namespace

std::string duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "-";
  if (seconds < 10) return fmt::format("{:.1f}s", seconds);
  const auto s = static_cast<std::int64_t>(std::llround(seconds));
  if (s < 60) return fmt::format("{}s", s);
  if (s < 3600) return fmt::format("{}m{:02}s", s / 60, s % 60);
  return fmt::format("{}h{:02}m", s / 3600, s % 3600 / 60);
}

Console::Console(Progress progress)
    : terminal_(progress == Progress::always || (progress == Progress::automatic && isatty(STDOUT_FILENO) == 1)),
      color_(isatty(STDOUT_FILENO) == 1 && !std::getenv("NO_COLOR")) {}

void Console::clear_bar() {
  if (bar_) put("\r\x1b[2K");
  bar_ = false;
}

void Console::line(std::string_view text) {
  clear_bar();
  put(fmt::format("{}\n", text));
}

void Console::settings(std::string_view title, std::span<const std::pair<std::string, std::string>> rows) {
  clear_bar();
  std::size_t width = 0;
  for (const auto& [name, value] : rows) width = std::max(width, name.size());
  std::string out = color_ ? fmt::format("\x1b[1m{}\x1b[0m\n", title) : fmt::format("{}\n", title);
  for (const auto& [name, value] : rows) out += fmt::format("  {:<{}}  {}\n", name, width, value);
  put(out);
}

void Console::stage(std::string_view name, std::int64_t steps, std::int64_t first) {
  clear_bar();
  steps_ = steps;
  first_ = first;
  lines_ = 0;
  width_ = std::max<int>(9, 2 * static_cast<int>(std::to_string(steps).size()) + 1);
  stage_start_ = std::chrono::steady_clock::now();
  put(color_ ? fmt::format("\n\x1b[1m{}\x1b[0m\n", name) : fmt::format("\n{}\n", name));
}

void Console::header(std::string_view text) {
  if (lines_++ % lines_between_headers) return;
  const std::string line = std::string(static_cast<std::size_t>(width_) - 4, ' ') + std::string(text);  // after "step"
  put(color_ ? fmt::format("\x1b[2m{}\x1b[0m\n", line) : line + "\n");
}

std::string Console::eta(std::int64_t step) const {
  const double elapsed = std::chrono::duration<double>(std::chrono::steady_clock::now() - stage_start_).count();
  const auto done = step - first_;
  return done > 0 ? duration(elapsed / static_cast<double>(done) * static_cast<double>(steps_ - step)) : "-";
}

void Console::step(std::int64_t step, const Metrics& m) {
  clear_bar();
  header(
      "step   epoch  reward  +-std   length  clip%        kl  entropy  |grad|        lr  rollout   score  "
      "update    step  tok/s     eta");
  put(fmt::format(
      "{:>{}}  {:>6.3f}  {:>6.3f}  {:>5.3f}  {:>7.1f}  {:>5.1f}  {:>8}  {:>7.3f}  {:>6}  {:>8}  {:>6.2f}s  {:>5.2f}s  "
      "{:>5.2f}s  {:>5.2f}s  {:>5.0f}  {:>6}\n",
      fmt::format("{}/{}", step, steps_), width_, m.get("epoch"), m.get("reward"), m.get("reward_std"),
      m.get("completions/mean_length"), 100 * m.get("completions/clipped_ratio"),
      m.find("kl") ? significant(m.get("kl")) : "-", m.get("entropy"), significant(m.get("grad_norm")),
      fmt::format("{:.2g}", m.get("learning_rate")), m.get("timing/rollout"), m.get("timing/reward"),
      m.get("timing/update") + m.get("timing/old_logp") + m.get("timing/reference"), m.get("step_time"),
      m.get("throughput/end_to_end_tokens_per_second"), eta(step)));
}

void Console::sft_step(std::int64_t step, const Metrics& m) {
  clear_bar();
  header("step   epoch     loss  p(token)  |grad|        lr    step  tok/s     eta");
  put(fmt::format("{:>{}}  {:>6.3f}  {:>7.4f}  {:>7.1f}%  {:>6}  {:>8}  {:>5.2f}s  {:>5.0f}  {:>6}\n",
                  fmt::format("{}/{}", step, steps_), width_, m.get("epoch"), m.get("loss"),
                  100 * m.get("mean_token_probability"), significant(m.get("grad_norm")),
                  fmt::format("{:.2g}", m.get("learning_rate")), m.get("step_time"),
                  m.get("throughput/end_to_end_tokens_per_second"), eta(step)));
}

void Console::progress(std::string_view what, double done, double total) {
  if (!terminal_ || total <= 0) return;
  const auto now = std::chrono::steady_clock::now();
  if (bar_ && now - bar_time_ < std::chrono::milliseconds(100) && done < total) return;
  bar_time_ = now;
  const std::string left = fmt::format("  {} ", what), right = fmt::format(" {:.0f}/{:.0f}", done, total);
  const int room = std::clamp(terminal_width() - static_cast<int>(left.size() + right.size()) - 3, 10, 60);
  const int filled = static_cast<int>(std::clamp(done / total, 0.0, 1.0) * room);
  put(fmt::format("\r\x1b[2K{}[{}{}]{}", left, std::string(static_cast<std::size_t>(filled), '='),
                  std::string(static_cast<std::size_t>(room - filled), ' '), right));
  bar_ = true;
}

void Console::samples(std::int64_t step, std::span<const Sample> samples) {
  clear_bar();
  std::string out;
  for (const Sample& s : samples) {
    std::string scores;
    for (const auto& [name, score] : s.scores) scores += fmt::format("  {} {}", name, significant(score));
    out += fmt::format("  -- sample at step {}: reward {}{}  ({}{})\n", step, significant(s.reward), scores, s.finish,
                       s.ground_truth.empty() ? "" : ", truth " + shown(s.ground_truth, 60));
    out += fmt::format("    ? {}\n    > {}\n", shown(s.prompt, 400), shown(s.completion, 800));
  }
  put(out);
}

void Console::curve(std::string_view title, std::span<const std::pair<double, double>> points, double y_min,
                    double y_max) {
  clear_bar();
  if (points.empty() || !(y_max > y_min)) return;
  constexpr int rows = 12, columns = 64;
  const double x_min = points.front().first, x_max = std::max(points.back().first, x_min + 1e-9);
  std::vector<std::string> grid(rows, std::string(columns, ' '));
  // Each column shows the mean of the points that fall into it.
  std::vector<double> sum(columns, 0), count(columns, 0);
  for (const auto& [x, y] : points) {
    if (!std::isfinite(x) || !std::isfinite(y)) continue;
    const auto c = static_cast<std::size_t>(std::lround((x - x_min) / (x_max - x_min) * (columns - 1)));
    sum[c] += y;
    count[c] += 1;
  }
  for (std::size_t c = 0; c < columns; ++c) {
    if (count[c] == 0) continue;
    const double share = std::clamp((sum[c] / count[c] - y_min) / (y_max - y_min), 0.0, 1.0);
    grid[static_cast<std::size_t>(std::lround((1 - share) * (rows - 1)))][c] = '*';
  }
  std::string out = fmt::format("\n  {}\n", title);
  for (int r = 0; r < rows; ++r)
    out += fmt::format("  {:>7.3f} |{}\n", y_max - (y_max - y_min) * r / (rows - 1), grid[static_cast<std::size_t>(r)]);
  out += fmt::format("          +{}\n           {:<{}.0f}{:>8.0f}\n", std::string(columns, '-'), x_min, columns - 8,
                     x_max);
  put(out);
}

}  // namespace grpo::report
