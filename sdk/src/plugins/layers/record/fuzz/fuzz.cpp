#include "grpo/sdk/plugins/fuzz.hpp"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "../recorder.hpp"
#include "../recording.hpp"
#include "grpo/sdk/error.hpp"
#include "rewards.hpp"

namespace grpo::plugins {
namespace fuzzing {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

const ComponentManifest& chosen(const Manifest& manifest, const FuzzSettings& s) {
  std::vector<const ComponentManifest*> found;
  std::string names;
  for (const auto& c : manifest.components) {
    if (c.interface_id != GRPO_REWARD_ID) continue;
    names += (names.empty() ? "" : ", ") + c.name;
    if (s.component.empty() || s.component == c.name) found.push_back(&c);
  }
  if (found.size() == 1) return *found[0];
  if (names.empty())
    throw Error(s.library +
                ": has no reward; made-up inputs are made for grpo.reward/1 (for the other kinds: plugins "
                "validate)");
  throw Error(s.library + ": its rewards are " + names + "; name one of them with --component");
}

class RewardFuzzer {
 public:
  explicit RewardFuzzer(const FuzzSettings& s)
      : settings_(s), manifest_(read_manifest(s.library)), component_(chosen(manifest_, s)), child_(s) {
    fixed_ = s.options ? *s.options : json::object();
    for (const auto& [key, value] : fixed_.items())
      if (!component_.options.contains(key)) throw Error("--options: " + component_.name + " has no option " + key);
    header_.set_interface_id(component_.interface_id);
    header_.set_name(component_.name);
    header_.set_plugin(manifest_.name);
    header_.set_version(manifest_.version);
    header_.set_path(s.library);
    header_.set_options_schema(component_.options.dump());
    generator_ = std::make_unique<Generator>(s.seed, words_of(s.library), component_.options, fixed_);
    if (!s.corpus.empty()) learn();
  }

  FuzzReport run() {
    const auto start = Clock::now();
    ask_flags();
    while (report_.runs < settings_.runs && seconds_since(start) < settings_.seconds) {
      round();
      if (settings_.progress) settings_.progress(report_.runs, report_.findings.size());
    }
    report_.seconds = seconds_since(start);
    return std::move(report_);
  }

 private:
  struct Planned {
    Case c;
    Calls calls;
  };

  void learn() {
    record::Recording recording(settings_.corpus);
    if (recording.header().component(0).interface_id() != GRPO_REWARD_ID)
      throw Error(settings_.corpus + ": holds calls of " + recording.header().component(0).interface_id() +
                  ", not of a reward");
    wire::Envelope message;
    while (recording.next(message))
      if (message.has_reward() && message.reward().has_batch()) {
        const wire::RewardBatchView checked(message.reward().batch());
        generator_->learn(message.reward().batch());
      }
  }

  std::string text_of(const json& options) const {
    return options.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  // The table's flags, which only the loaded library knows; and whether it can be tested at all.
  void ask_flags() {
    Case plain{generator_->options(/*plain=*/true), {}};
    plain.batch.add_prompt_start(0);
    plain.batch.add_completion_start(0);
    const Script script(header_, text_of(plain.options));
    const Outcome outcome = child_.run(script, settings_.timeout_seconds);
    if (const auto at = outcome.answers.find(1); at != outcome.answers.end() || outcome.unanswered == 1) {
      flags_ = outcome.flags;
      header_.set_flags(flags_);
      return;
    }
    throw Error(settings_.library + ": cannot be tested:\n" + outcome.output);
  }

  void round() {
    constexpr int cases = 16;
    const json options = generator_->options(generator_->draw().one_in(2));
    Script script(header_, text_of(options));
    std::vector<Planned> planned;
    std::size_t bytes = 0;
    while (static_cast<int>(planned.size()) < cases && bytes < (std::size_t{8} << 20)) {
      Planned& p = planned.emplace_back(Planned{{options, generator_->batch()}, {}});
      bytes += p.c.batch.ByteSizeLong();
      p.calls = add(script, p.c.batch, flags_);
    }
    const Outcome outcome = child_.run(script, settings_.timeout_seconds);
    report_.calls += static_cast<std::int64_t>(outcome.answers.size());
    report_.runs += static_cast<std::int64_t>(planned.size());
    if (!judge_open(outcome, options)) return;
    for (const Planned& p : planned) {
      count_failure(outcome, p);
      const Problem problem = judge(outcome, p.calls, p.c.batch, flags_);
      if (!problem.kind.empty()) found(problem, p.c, script);
    }
    if (outcome.unanswered == 0 && !judge_end(outcome).kind.empty())
      found(judge_end(outcome), planned.back().c, script);
  }

  // What open did; false: no batch was scored.
  bool judge_open(const Outcome& outcome, const json& options) {
    const auto at = outcome.answers.find(1);
    if (at == outcome.answers.end()) {
      if (outcome.unanswered != 1) throw Error(settings_.library + ": the test itself went wrong:\n" + outcome.output);
      Problem problem = judge_end(outcome);
      problem.what += ", in open";
      found_in_open(problem, options);
      return false;
    }
    if (const auto broken = outcome.broken.find(1); broken != outcome.broken.end())
      found_in_open({"contract", broken->second, ""}, options);
    if (at->second.status() == GRPO_STATUS_OK) return true;
    ++report_.refused;
    if (at->second.error().empty()) found_in_open({"open", "it refuses options without a text", ""}, options);
    return false;
  }

  void count_failure(const Outcome& outcome, const Planned& p) {
    const auto at = outcome.answers.find(p.calls.as_is);
    if (at == outcome.answers.end() || at->second.status() == GRPO_STATUS_OK) return;
    if (report_.failed++ == 0) report_.failure = at->second.error();
  }

  bool is_new(const Problem& problem) const {
    return std::none_of(report_.findings.begin(), report_.findings.end(),
                        [&](const Finding& f) { return f.kind == problem.kind; });
  }
  std::string file_of(const std::string& kind) const {
    return (settings_.output.empty() ? component_.name : settings_.output) + "." + kind + ".calls";
  }

  void found_in_open(const Problem& problem, const json& options) {
    if (!is_new(problem)) return;
    const std::string file = file_of(problem.kind);
    Script(header_, text_of(options)).write(file);
    report_.findings.push_back(
        {problem.kind, problem.what, "options " + text_of(options), problem.output, file, report_.runs});
  }

  void found(const Problem& problem, const Case& c, const Script& whole) {
    if (!is_new(problem)) return;
    Finding f{problem.kind, problem.what, "", problem.output, file_of(problem.kind), report_.runs};
    // A hang need not be waited for as long, once it is known.
    const double timeout =
        problem.kind == "hang" ? std::min(2.0, settings_.timeout_seconds) : settings_.timeout_seconds;
    const auto start = Clock::now();
    int tries = 0;
    Outcome outcome;
    Calls calls;
    const std::function<bool(const Case&)> does = [&](const Case& one) {
      ++tries;
      Script script(header_, text_of(one.options));
      const Calls made = add(script, one.batch, flags_, problem.kind);
      Outcome out = child_.run(script, timeout);
      const Problem again =
          out.unanswered == 0 && !judge_end(out).kind.empty() ? judge_end(out) : judge(out, made, one.batch, flags_);
      if (again.kind != problem.kind) return false;
      f.what = again.what;
      f.output = again.output;
      outcome = std::move(out);
      calls = made;
      return true;
    };
    if (does(c)) {
      const Case least = smaller(c, generator_->options(/*plain=*/true), does,
                                 [&] { return tries >= settings_.tries || seconds_since(start) > settings_.seconds; });
      f.input = described(least);
      script_of(least, header_, problem, outcome, calls, flags_).write(f.file);
    } else {
      f.input = "only after the calls before it: all of them are in the file";
      whole.write(f.file);
    }
    report_.findings.push_back(std::move(f));
  }

  const FuzzSettings& settings_;
  Manifest manifest_;
  const ComponentManifest& component_;
  Child child_;
  wire::Component header_;
  json fixed_;
  std::uint32_t flags_ = 0;
  std::unique_ptr<Generator> generator_;
  FuzzReport report_;
};

}  // namespace
}  // namespace fuzzing

FuzzReport fuzz(const FuzzSettings& settings) { return fuzzing::RewardFuzzer(settings).run(); }

}  // namespace grpo::plugins
