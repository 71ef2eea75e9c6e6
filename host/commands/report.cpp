// report: report.html of one run, or of several side by side.
#include "grpo/sdk/report/page.hpp"

#include <iostream>

#include "commands.hpp"
#include "grpo/sdk/error.hpp"

namespace grpo::host {
namespace fs = std::filesystem;
namespace {

// A run's directory, or a file in it, such as its metrics.jsonl.
fs::path run_directory(const std::string& given) {
  const fs::path path = fs::is_regular_file(given) ? fs::path(given).parent_path() : fs::path(given);
  if (!fs::is_directory(path)) throw Error(given + ": there is no such directory; name one that a run wrote into");
  if (!fs::exists(path / "metrics.jsonl"))
    throw Error(given + ": holds no metrics.jsonl, so no run wrote into it (run.output_dir; default: runs/<name>)");
  return path;
}

int report(const std::vector<std::string>& runs, const std::string& out) {
  std::vector<fs::path> directories;
  for (const auto& run : runs) directories.push_back(run_directory(run));
  if (out.empty() && directories.size() > 1)
    throw Error("--out: several runs belong to none of them; say where the page goes, such as --out compared.html");
  const fs::path file = out.empty() ? directories.front() / "report.html" : fs::path(out);
  grpo::report::Page page(directories);
  page.write(file);
  std::cout << file.string() << '\n';
  return 0;
}

}  // namespace

void add_report(Command program) {
  struct Arguments {
    std::vector<std::string> runs;
    std::string out;
  };
  Command sub = program.command("report", "A page of curves, samples and settings of a run, or of several compared");
  sub.group(group_training);
  sub.footer(R"(Examples:
  grpo-host report runs/words                            writes runs/words/report.html
  grpo-host report runs/grpo runs/dapo --out both.html   the same curves side by side

The page is one file that needs no network. A run writes its own while it trains (report.html).)");
  auto a = std::make_shared<Arguments>();
  sub.option("runs", a->runs, "Directories that runs wrote into").required();
  sub.option("-o,--out", a->out, "The file to write. Default: report.html in the run's directory");
  sub.action([a] { return report(a->runs, a->out); });
}

}  // namespace grpo::host
