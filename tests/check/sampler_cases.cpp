// Rules that a sampler, or who calls one, can break.
#include <grpo/sampler.h>
#include <gtest/gtest.h>

#include "grpo/sdk/plugins/model.hpp"
#include "support.hpp"

namespace grpo::plugins {
namespace {

// Two requests of two samples.
struct TwoRequests {
  TwoRequests() {
    sampling.struct_size = sizeof sampling;
    sampling.temperature = 1;
    sampling.min_new = 1;
    sampling.max_new = 2;
    sampling.n_stop = 1;
    sampling.stop = stop;
    for (std::uint64_t i = 0; i < 2; ++i) {
      requests[i].struct_size = sizeof requests[i];
      requests[i].id = i * 10;
      requests[i].n_prompt = 2;
      requests[i].n_samples = 2;
      requests[i].prompt = prompt;
      requests[i].sampling = &sampling;
    }
    table.struct_size = sizeof table;
    table.host = this;
    table.next = [](const grpo_feed* f, const grpo_call*, std::int64_t, const grpo_request** request) -> grpo_status {
      auto& self = *static_cast<TwoRequests*>(f->host);
      if (self.given == 2) return GRPO_STATUS_END;
      *request = &self.requests[self.given++];
      return GRPO_STATUS_OK;
    };
    table.deliver = [](const grpo_feed* f, const grpo_call*, const grpo_completion*) -> grpo_status {
      ++static_cast<TwoRequests*>(f->host)->delivered;
      return GRPO_STATUS_OK;
    };
  }
  std::int32_t stop[1] = {0}, prompt[2] = {3, 4};
  grpo_sampling sampling{};
  grpo_request requests[2] = {};
  grpo_feed table{};
  int given = 0, delivered = 0;
};

struct DrivenSampler : Driven<grpo_sampler> {
  DrivenSampler(Said& said, const std::string& how, const std::string& name = "broken")
      : Driven(said, GRPO_SAMPLER_ID, name, how) {}
  grpo_status generate() {
    TwoRequests feed;
    const grpo_status status = table->generate(handle, call, &feed.table);
    delivered = feed.delivered;
    return status;
  }
  grpo_status update(std::int64_t version) {
    const grpo_tensor_sink* sink = nullptr;
    const grpo_status status = table->update_begin(handle, call, version, &sink);
    return status == GRPO_STATUS_OK ? table->update_end(handle, call, 1) : status;
  }
  void live() {
    table->describe(handle);
    if (update(1) != GRPO_STATUS_OK) return;
    generate();
    generate();
  }
  int delivered = 0;
};

Case by_caller(const std::string& rule, const std::function<void(DrivenSampler&)>& run) {
  return {rule, true, [run](Said& said) {
            DrivenSampler sampler(said, "");
            run(sampler);
          }};
}

}  // namespace

std::vector<Case> sampler_cases() {
  std::vector<Case> cases;
  for (const std::string rule :
       {"sampler.deliver.request", "sampler.deliver.twice", "sampler.generate.missing", "sampler.deliver.token",
        "sampler.deliver.logprob", "sampler.deliver.finish", "sampler.deliver.limit", "sampler.deliver.cancelled",
        "sampler.deliver.version", "feed.stale", "feed.arguments", "sampler.update.sink"})
    cases.push_back({rule, false, [rule](Said& said) { DrivenSampler(said, rule).live(); }});
  cases.push_back({"handle.unknown", false, [](Said& said) {
                     DrivenSampler sampler(said, "handle.unknown", "binding");
                     Model model(checked(broken(GRPO_MODEL_ID, "broken"), said.settings()), nullptr);
                     grpo_sampler_binding binding{};
                     binding.struct_size = sizeof binding;
                     binding.model = model.raw();
                     binding.model_table = model.table();
                     EXPECT_EQ(sampler.table->bind(sampler.handle, sampler.call, &binding), GRPO_STATUS_FAILED);
                   }});
  cases.push_back({"sampler.unbound", true, [](Said& said) {
                     DrivenSampler sampler(said, "", "binding");
                     EXPECT_EQ(sampler.generate(), GRPO_STATUS_INVALID);
                   }});
  cases.push_back(by_caller("sampler.arguments", [](DrivenSampler& s) {
    EXPECT_EQ(s.table->generate(s.handle, s.call, nullptr), GRPO_STATUS_INVALID);
  }));
  cases.push_back(by_caller("sampler.update.order", [](DrivenSampler& s) {
    EXPECT_EQ(s.table->update_end(s.handle, s.call, 1), GRPO_STATUS_INVALID);
  }));
  cases.push_back(by_caller("sampler.pause.order", [](DrivenSampler& s) {
    EXPECT_EQ(s.table->pause(s.handle, s.call, GRPO_PAUSE_KEEP), GRPO_STATUS_OK);
    EXPECT_EQ(s.table->pause(s.handle, s.call, GRPO_PAUSE_KEEP), GRPO_STATUS_INVALID);
    EXPECT_EQ(s.table->resume(s.handle, s.call), GRPO_STATUS_OK);
  }));
  return cases;
}

TEST(CheckedSampler, SaysNothingOfASoundOne) {
  Said said;
  {
    DrivenSampler sampler(said, "");
    sampler.live();
    EXPECT_EQ(sampler.delivered, 4);
  }
  EXPECT_EQ(said.text(), "");
}

}  // namespace grpo::plugins
