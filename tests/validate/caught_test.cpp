// Each check catches a plugin that breaks its rule. The names of the tests are those of the faults.
#include <gmock/gmock.h>

#include <map>
#include <set>

#include "suite.hpp"

namespace grpo::plugins {
namespace {

using testing::HasSubstr;

struct Case {
  const char* check;
  const char* plugin;  // of tests/validate/broken
  const char* fault;   // its option "fault"; "": the library itself is wrong
  const char* why;     // in what the suite says
};

const Case cases[] = {
    {"library.manifest", "library_VERSION", "", "\"version\" is empty"},
    {"library.scan", "library_SIZE", "", "5 ms are due"},
    {"library.symbols", "library_SYMBOLS", "", "a_helper_that_leaks"},
    {"library.loads", "library_NAME", "", "the library gives grpo.reward/1 'broken'"},
    {"library.abi", "library_REFUSAL", "", "without a reason"},
    {"library.quiet", "library_ROUNDING", "", "loading it "},
    {"library.quiet", "library_SIGNAL", "", "took the signal 2"},
    {"library.exit", "library_END", "", "SIGABRT"},

    {"component.open", "reward", "needs_log", "SIGSEGV"},
    {"component.open", "reward", "keeps_call", "earlier call, the grpo_call"},
    {"component.close", "reward", "leaks_memory", "memory behind"},
    {"component.close", "reward", "leaks_descriptor", "descriptors open"},
    {"component.close", "reward", "leaks_thread", "threads behind"},
    {"component.query", "reward", "answers_all", "grpo.no-such-interface/1"},
    {"component.fields", "reward", "exact_size", "not my headers"},
    {"component.fields", "reward", "reads_further", "past the end of the grpo_options"},
    {"component.threads", "reward", "one_open", "somebody else is opening"},
    {"component.options", "reward", "divides", "open with 'divisor': 0, which its schema allows"},
    {"component.options", "reward", "silent_refusal", "without a message"},
    {"component.failed_open", "reward", "leaks_at_failure", "memory behind"},

    {"reward.answers", "reward", "forgets_last", "\") was left without an answer: status OK and score NaN"},
    {"reward.answers", "reward", "infinite", "infinite score"},
    {"reward.answers", "reward", "mute_error", "error without a message"},
    {"reward.answers", "reward", "odd_status", "unknown status 77"},
    {"reward.determinism", "reward", "counts", "the second time"},
    {"reward.order", "reward", "by_place", "in another order"},
    {"reward.split", "reward", "by_size", "in a batch of"},
    {"reward.concurrent", "reward", "shares_handle", "four threads score on one handle"},
    {"reward.handles", "reward", "shares_all", "other handles score at the same time"},
    {"reward.any_thread", "reward", "thread_local", "another thread than open's"},
    {"reward.text", "reward", "strlen", "SIGABRT"},
    {"reward.text", "reward", "recursion", "it overflowed its stack"},
    {"reward.columns", "reward", "column", "SIGSEGV"},
    {"reward.fields", "reward", "exact_batch", "not my headers"},
    {"reward.arrays", "reward", "past_end", "past the end of result->score"},
    {"reward.arrays", "reward", "before_begin", "before the first element of result->status"},
    {"reward.arrays", "reward", "into_input", "wrote into batch->index"},
    {"reward.arrays", "reward", "keeps_batch", "earlier call, the text of batch->completion"},
    {"reward.arrays", "reward", "needs_component", "SIGSEGV"},
    {"reward.growth", "reward", "leaks_scoring", "memory behind"},
    {"reward.no_memory", "reward", "needs_alloc", "SIGSEGV"},
    {"reward.cancel", "reward", "slow", "after it was cancelled"},
    {"reward.answers", "reward", "exits", "ended the process (exit status 3)"},

    {"sampler.answers", "sampler", "twice", "delivered twice"},
    {"sampler.answers", "sampler", "misses", "never delivered"},
    {"sampler.late", "sampler", "impatient", "never delivered"},
    {"sampler.seeds", "sampler", "own_seed", "the second time"},
    {"sampler.keys", "sampler", "own_key", "the model and its key give"},
    {"sampler.limits", "sampler", "one_more", "max_new and positions"},
    {"sampler.stop_tokens", "sampler", "no_stop", "stop ids"},
    {"sampler.stop_text", "sampler", "no_stop_text", "stop texts"},
    {"sampler.logprobs", "sampler", "logprobs", "log-probability"},
    {"sampler.distribution", "sampler", "no_options", "temperature 1.3: draws do not follow"},
    {"sampler.cancel", "sampler", "no_cancel", "as if nothing had happened"},
    {"sampler.stop", "sampler", "always_ok", "a cancelled generate returned"},
    {"sampler.stop", "sampler", "deaf", "generate returned"},
    {"sampler.refusal", "sampler", "goes_on", "deliver failed, and generate returned"},
    {"sampler.model_fails", "sampler", "always_ok", "generate returned OK"},
    {"sampler.slots", "sampler", "keeps_slots", "slot"},
    {"sampler.weights", "sampler", "old_version", "completions say version"},
    {"sampler.update", "sampler", "takes_updates", "completions say version"},
    {"sampler.fields", "sampler", "exact_size", "not my headers"},
    {"sampler.unsupported", "sampler", "no_stop_text", "answered as if it were not there"},
    {"sampler.growth", "sampler", "leaks", "memory behind"},

    {"model.describe", "model", "counts_wrong", "its description counts"},
    {"model.sums", "model", "not_one", "the probabilities of all ids sum to"},
    {"model.sums", "model", "past_end", "past the end of forward's logprob"},
    {"model.causal", "model", "sees_future", "the last token changes log-probabilities before it"},
    {"model.forest", "model", "tree", "a forest and of its separate sequences differ"},
    {"model.refuses", "model", "takes_all", "forward takes a token of -1"},
    {"model.fields", "model", "exact_size", "not my headers"},
    {"model.growth", "model", "leaks", "memory behind"},
    {"model.gradient", "model", "weak", "the gradient says"},
    {"model.accumulates", "model", "overwrites", "twice the gradient"},
    {"model.shared", "model", "tree_gradient", "gradients of a forest"},
    {"model.tickets", "model", "leaks_ticket", "memory behind"},
    {"model.commit", "model", "stale", "forward gives what it gave before"},
    {"model.weights", "model", "no_import", "after the import"},
    {"model.bad_weights", "model", "takes_any_import", "import_weights takes a stream without its last tensor"},
    {"model.decode", "model", "step_logprob", "step says log-probability"},
    {"model.draws", "model", "own_key", "for a draw of"},
    {"model.independent", "model", "by_room", "when a step may make several tokens"},
    {"model.fork", "model", "fork", "in a slot that was forked"},
    {"model.limits", "model", "mixes_ends", "with a stop id"},
    {"model.slots", "model", "loses_tokens", "tokens are free"},
    {"model.decode_fields", "model", "exact_step", "not my headers"},

    {"optimizer.zero_gradient", "optimizer", "drifts", "gradients that are all 0"},
    {"optimizer.zero_rate", "optimizer", "least_rate", "learning rate 0 changes values"},
    {"optimizer.learns", "optimizer", "uphill", "bring the distance from"},
    {"optimizer.norm", "optimizer", "norm", "the sum of the squares is"},
    {"optimizer.state", "optimizer", "no_state", "after restoring the state"},
    {"optimizer.scale", "optimizer", "no_scale", "gradient_scale 0.25"},
    {"optimizer.slices", "optimizer", "by_slice", "cut into pieces of 1"},
    {"optimizer.slices", "optimizer", "past_end", "past the end of the values of a parameter"},
    {"optimizer.not_finite", "optimizer", "hides_nan", "gives a finite norm and a step that succeeds"},
    {"optimizer.types", "optimizer", "any_type", "bind takes a parameter of integers"},
    {"optimizer.fields", "optimizer", "exact_size", "not my headers"},
    {"optimizer.determinism", "optimizer", "shared_count", "come to different values"},
    {"optimizer.growth", "optimizer", "leaks", "memory behind"},
};

// All of them at once, a few at a time; each test then looks at its own.
const std::vector<Validation>& outcomes() {
  static const std::vector<Validation> all = [] {
    std::vector<Validation> out(std::size(cases));
    side_by_side(std::size(cases), [&](std::size_t i) {
      ValidateSettings with = settings({cases[i].check});
      with.options = with_fault(cases[i].plugin, cases[i].fault).dump();
      with.quick = true;
      out[i] = validate(broken(cases[i].plugin), with);
    });
    return out;
  }();
  return all;
}

class Caught : public testing::TestWithParam<std::size_t> {};

TEST_P(Caught, ByTheCheckOfThatRule) {
  const Case& c = cases[GetParam()];
  const Validation& v = outcomes()[GetParam()];
  ASSERT_EQ(v.results.size(), 1u) << table_of(v);
  EXPECT_EQ(v.results[0].check, c.check);
  EXPECT_EQ(v.results[0].verdict, Verdict::fail) << table_of(v);
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  const bool signal = std::string_view(c.why) == "SIGSEGV";  // a sanitizer takes it, and ends the process with a status
#else
  const bool signal = false;
#endif
  EXPECT_THAT(v.results[0].why, HasSubstr(signal ? "ended the process" : c.why));
  EXPECT_FALSE(v.passed());
}

INSTANTIATE_TEST_SUITE_P(Fault, Caught, testing::Range(std::size_t{0}, std::size(cases)), [](const auto& info) {
  std::string name =
      std::string(cases[info.param].check) + "_" + cases[info.param].plugin + "_" + cases[info.param].fault;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
});

TEST(Suite, HasABrokenPluginForEveryCheck) {
  std::set<std::string> covered;
  for (const Case& c : cases) covered.insert(c.check);
  for (const ValidationCheck& c : validation_checks())
    EXPECT_TRUE(covered.contains(c.id)) << c.id << " has no plugin that it catches";
}

// A check that hangs is given up; what comes after it runs all the same.
TEST(Suite, GoesOnAfterACheckThatHangs) {
  ValidateSettings with = settings({"component.open", "reward.answers", "reward.any_thread"});
  with.options = R"({"fault": "hangs"})";
  with.timeout_seconds = 0.5;
  const Validation v = validate(broken("reward"), with);
  ASSERT_EQ(v.results.size(), 3u);
  EXPECT_EQ(v.results[0].verdict, Verdict::pass);
  for (const std::size_t i : {1, 2}) {
    EXPECT_EQ(v.results[i].verdict, Verdict::fail);
    EXPECT_THAT(v.results[i].why, HasSubstr("did not come back within 0.5 s; it was at: score of"));
  }
}

// The time is waited for once; what is skipped for it says so.
TEST(Suite, DoesNotWaitAsLongForTheNextThatHangs) {
  ValidateSettings with = settings({"component.open", "reward.answers", "reward.any_thread"});
  with.options = R"({"fault": "hangs"})";
  with.timeout_seconds = 2.5;
  const Validation v = validate(broken("reward"), with);
  ASSERT_EQ(v.results.size(), 3u);
  EXPECT_EQ(v.results[0].verdict, Verdict::pass);
  EXPECT_EQ(v.results[1].verdict, Verdict::fail);
  EXPECT_EQ(v.results[2].verdict, Verdict::skipped);
  EXPECT_THAT(v.results[2].why, HasSubstr("since reward.answers hung; `--only reward.any_thread` gives it 2.5 s"));
  EXPECT_THAT(table_of(v), HasSubstr("not waited for longer than 2 s"));
  EXPECT_FALSE(v.passed());
}

}  // namespace
}  // namespace grpo::plugins
