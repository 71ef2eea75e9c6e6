#include "grpo/sdk/report/page.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <fstream>
#include <random>

#include "grpo/sdk/error.hpp"
#include "grpo/sdk/report/console.hpp"
#include "page_files.hpp"
#include "run_reader.hpp"
#include "run_yaml.hpp"

namespace grpo::report {
namespace fs = std::filesystem;
namespace {

// Inside <script>: "</script" and "<!--" must not appear.
std::string without_markup(const std::string& json) {
  std::string out;
  out.reserve(json.size());
  for (const char c : json)
    if (c == '<')
      out += "\\u003c";
    else
      out += c;
  return out;
}

std::string text(const nlohmann::json& value) {
  return without_markup(value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void put(std::string& out, double x) { fmt::format_to(std::back_inserter(out), "{:.5g}", x); }

// {"name": {"x": [intervals], "y": [means], "lo": [...], "hi": [...], "of": [n, first, last, min, max, their steps]}};
// lo and hi only where an interval has more than one value.
std::string series_json(const Curves& curves) {
  std::string out = "{";
  for (const auto& name : curves.names()) {
    const Series& s = curves.at(name);
    if (out.size() > 1) out += ',';
    out += text(name) + ":{\"x\":[";
    bool several = false;
    for (const Point& p : s.points) {
      fmt::format_to(std::back_inserter(out), "{},", p.interval);
      several = several || p.n > 1;
    }
    const auto list = [&](const char* key, auto&& value) {
      out.back() = ']';
      fmt::format_to(std::back_inserter(out), ",\"{}\":[", key);
      for (const Point& p : s.points) {
        put(out, value(p));
        out += ',';
      }
    };
    list("y", [](const Point& p) { return p.sum / static_cast<double>(p.n); });
    if (several) {
      list("lo", [](const Point& p) { return p.min; });
      list("hi", [](const Point& p) { return p.max; });
    }
    out.back() = ']';
    fmt::format_to(std::back_inserter(out), ",\"of\":[{},{:.8g},{:.8g},{:.8g},{:.8g},{},{},{},{}]}}", s.n, s.first,
                   s.last, s.min, s.max, s.first_step, s.last_step, s.min_step, s.max_step);
  }
  return out + "}";
}

std::string samples_json(const std::vector<SampleStep>& steps) {
  nlohmann::json out = nlohmann::json::array();
  for (const SampleStep& s : steps) out.push_back({{"step", s.step}, {"rows", s.rows}});
  return text(out);
}

std::string run_json(const RunReader& run) {
  nlohmann::json warnings = nlohmann::json::array();
  for (const Warning& w : run.warnings()) warnings.push_back({w.time, w.level, w.text});
  nlohmann::json config = nlohmann::json::array();
  for (const YamlRow& row : yaml_rows(run.yaml())) config.push_back({row.key, row.value, row.origin});
  const auto canonical = fs::weakly_canonical(run.directory());
  return fmt::format(
      R"({{"directory":{},"facts":{},"stride":{},"last":{},"series":{},"samples":{},"config":{},"warnings":{},"warnings_seen":{}}})",
      text(canonical.string()), text(run.facts()), run.curves().stride(), run.curves().last_step(),
      series_json(run.curves()), samples_json(run.samples()), text(config), text(warnings), run.warnings_seen());
}

// Names the page's own script to the browser; the data cannot know it.
std::string nonce() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}{:08x}", random(), random(), random());
}

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '<')
      out += "&lt;";
    else if (c == '&')
      out += "&amp;";
    else
      out += c;
  }
  return out;
}

}  // namespace

Page::Page(const std::vector<fs::path>& runs) {
  for (const auto& run : runs) runs_.push_back(std::make_unique<RunReader>(run));
}

Page::~Page() = default;

std::int64_t Page::steps() const {
  std::int64_t steps = 0;
  for (const auto& run : runs_) steps = std::max(steps, run->curves().last_step());
  return steps;
}

void Page::write(const fs::path& file, double refresh_seconds) {
  std::string data, title;
  for (const auto& run : runs_) {
    run->update();
    data += (data.empty() ? "" : ",\n") + run_json(*run);
    title += (title.empty() ? "" : ", ") + fs::weakly_canonical(run->directory()).filename().string();
  }
  const auto now =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  const std::string own = nonce();
  const auto fresh = file.string() + ".tmp";
  std::ofstream out(fresh, std::ios::trunc | std::ios::binary);
  out << "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
         "<meta name=\"color-scheme\" content=\"light dark\">\n"
         "<meta name=\"referrer\" content=\"no-referrer\">\n"
         "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src 'nonce-"
      << own << "'; script-src 'nonce-" << own << "'; base-uri 'none'; form-action 'none'\">\n"
      << "<title>" << escaped(title) << "</title>\n<style nonce=\"" << own << "\">\n"
      << page_css << "</style>\n</head>\n<body>\n"
      << page_html << "<script type=\"application/json\" id=\"data\">\n"
      << fmt::format("{{\"written\":{},\"refresh\":{},\"runs\":[", now.count(), refresh_seconds) << data
      << "]}\n</script>\n<script nonce=\"" << own << "\">\n"
      << data_js << chart_js << page_js << sections_js << "</script>\n</body>\n</html>\n";
  out.close();
  if (!out) throw Error(fresh + ": cannot be written: " + std::strerror(errno));
  std::error_code failed;
  fs::rename(fresh, file, failed);
  if (failed) throw Error(file.string() + ": cannot be written: " + failed.message());
}

LivePage::LivePage(const fs::path& run, double every_seconds)
    : file_(run / "report.html"), page_({run}), every_(every_seconds) {}

void LivePage::write(bool now) {
  const auto time = std::chrono::steady_clock::now();
  if (!now && written_ && std::chrono::duration<double>(time - last_).count() < every_) return;
  try {
    page_.write(file_, std::max(every_, 2.0));
  } catch (const Error& e) {
    if (!warned_) log(Level::warning, std::string(e.what()) + "; the run goes on without its report");
    warned_ = true;
  }
  written_ = true;
  last_ = time;
}

}  // namespace grpo::report
