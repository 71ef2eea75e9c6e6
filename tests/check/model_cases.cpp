// Rules that a model, or who calls one, can break.
#include <grpo/decode.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "support.hpp"

namespace grpo::plugins {
namespace {

struct DrivenModel : Driven<grpo_model> {
  DrivenModel(Said& said, const std::string& how, const std::string& name = "broken")
      : Driven(said, GRPO_MODEL_ID, name, how) {
    forest.struct_size = sizeof forest;
    forest.n_tokens = 3;
    forest.n_nodes = 1;
    forest.token = tokens;
    forest.node_start = starts;
    forest.parent = parents;
  }
  grpo_forward arguments(bool train = true) {
    grpo_forward f{};
    f.struct_size = sizeof f;
    f.flags = train ? GRPO_FORWARD_TRAIN : 0;
    f.forest = &forest;
    f.temperature = 1;
    f.n_targets = 2;
    f.target_at = at;
    f.target_token = target;
    f.logprob = logprob;
    f.entropy = entropy;
    f.ticket = train ? &ticket : nullptr;
    return f;
  }
  grpo_status forward(bool train = true) {
    const grpo_forward f = arguments(train);
    return table->forward(handle, call, &f);
  }
  grpo_status backward(const float* derivative) {
    grpo_backward b{};
    b.struct_size = sizeof b;
    b.ticket = ticket;
    b.dlogprob = derivative;
    return table->backward(handle, call, &b);
  }
  grpo_status export_weights() {
    grpo_tensor_sink sink{};
    sink.struct_size = sizeof sink;
    sink.put = [](const grpo_tensor_sink*, const grpo_call*, std::int64_t, const grpo_named_tensor* const*) {
      return grpo_status{GRPO_STATUS_OK};
    };
    return table->export_weights(handle, call, &sink);
  }
  grpo_status import_weights() {
    grpo_tensor_source source{};
    source.struct_size = sizeof source;
    source.get = [](const grpo_tensor_source*, const grpo_call*, const char*, const grpo_tensor** tensor) {
      *tensor = nullptr;
      return grpo_status{GRPO_STATUS_OK};
    };
    return table->import_weights(handle, call, 1, &source);
  }
  // All of it, once.
  void live() {
    if (opened != GRPO_STATUS_OK) return;
    std::int64_t n = 0;
    table->describe(handle);
    const grpo_parameter* const* list = nullptr;
    table->parameters(handle, call, &n, &list);
    table->query(handle, GRPO_DECODE_ID);
    table->query(handle, GRPO_DECODE_ID);
    table->zero_grad(handle, call);
    if (forward() == GRPO_STATUS_OK) backward(derivative);
    export_weights();
    export_weights();
    import_weights();
    table->commit(handle, call, 1);
  }
  grpo_forest forest{};
  std::int32_t tokens[3] = {0, 1, 2}, target[2] = {1, 2};
  std::int64_t starts[2] = {0, 3}, parents[1] = {-1}, at[2] = {0, 1};
  float logprob[2] = {}, entropy[2] = {}, derivative[2] = {1, 1};
  std::uint64_t ticket = 0;
};

Case by_caller(const std::string& rule, const std::function<void(DrivenModel&)>& run) {
  return {rule, true, [run](Said& said) {
            DrivenModel model(said, "");
            run(model);
          }};
}

}  // namespace

std::vector<Case> model_cases() {
  std::vector<Case> cases;
  for (const std::string rule :
       {"struct.size", "struct.reserved", "struct.changed", "tensor.invalid", "name.repeated", "query.changed",
        "service.thread", "model.forward.nan", "model.forward.positive", "model.forward.entropy",
        "model.ticket.missing", "model.backward.nan", "model.zero_grad.left", "model.values.changed", "sink.thread",
        "sink.stale", "source.name", "source.thread"})
    cases.push_back({rule, false, [rule](Said& said) { DrivenModel(said, rule).live(); }});
  cases.push_back({"query.not_announced", false, [](Said& said) { DrivenModel(said, "", "silent").live(); }});
  cases.push_back(by_caller(
      "thread.same", [](DrivenModel& m) { std::thread([&] { EXPECT_EQ(m.forward(), GRPO_STATUS_INVALID); }).join(); }));
  cases.push_back(by_caller("model.forward.arguments", [](DrivenModel& m) {
    m.target[0] = 4;
    EXPECT_EQ(m.forward(), GRPO_STATUS_INVALID);
  }));
  cases.push_back(by_caller("model.backward.arguments", [](DrivenModel& m) {
    EXPECT_EQ(m.forward(), GRPO_STATUS_OK);
    const float wrong[2] = {NAN, 0};
    EXPECT_EQ(m.backward(wrong), GRPO_STATUS_INVALID);
  }));
  cases.push_back(by_caller("model.ticket.unknown", [](DrivenModel& m) {
    EXPECT_EQ(m.forward(), GRPO_STATUS_OK);
    EXPECT_EQ(m.backward(m.derivative), GRPO_STATUS_OK);
    EXPECT_EQ(m.backward(m.derivative), GRPO_STATUS_INVALID) << "a ticket was taken twice";
    m.table->drop(m.handle, m.ticket);
    EXPECT_EQ(m.table->zero_grad(m.handle, m.call), GRPO_STATUS_FAILED) << "drop has no status: the next call tells";
  }));
  cases.push_back(by_caller("model.ticket.many", [](DrivenModel& m) {
    std::uint64_t tickets[2];
    for (std::uint64_t& t : tickets) {
      EXPECT_EQ(m.forward(), GRPO_STATUS_OK);
      t = m.ticket;
    }
    EXPECT_EQ(m.forward(), GRPO_STATUS_INVALID);
    for (const std::uint64_t t : tickets) m.table->drop(m.handle, t);
  }));
  cases.push_back(by_caller("model.ticket.leaked", [](DrivenModel& m) {
    EXPECT_EQ(m.forward(), GRPO_STATUS_OK);
    EXPECT_EQ(m.table->commit(m.handle, m.call, 1), GRPO_STATUS_INVALID);
    m.close();
  }));
  cases.push_back(by_caller("model.sessions.leaked", [](DrivenModel& m) {
    const auto* decode = static_cast<const grpo_decode*>(m.table->query(m.handle, GRPO_DECODE_ID));
    grpo_decode_session wanted{};
    wanted.struct_size = sizeof wanted;
    wanted.slots = 1;
    wanted.tokens = 100;
    void* session = nullptr;
    EXPECT_EQ(decode->session_open(m.handle, m.call, &wanted, &session), GRPO_STATUS_OK);
    m.close();
  }));
  return cases;
}

TEST(CheckedModel, SaysNothingOfASoundOne) {
  Said said;
  {
    DrivenModel model(said, "");
    ASSERT_EQ(model.opened, GRPO_STATUS_OK);
    model.live();
    EXPECT_FLOAT_EQ(model.logprob[1], -std::log(4.0f)) << "results did not come through";
    EXPECT_FLOAT_EQ(model.entropy[0], std::log(4.0f));
  }
  EXPECT_EQ(said.text(), "");
}

TEST(CheckedModel, RefusesToOpenOneThatDescribesItselfWrongly) {
  Said said;
  const DrivenModel model(said, "tensor.invalid");
  EXPECT_EQ(model.opened, GRPO_STATUS_FAILED);
  EXPECT_NE(model.call.error().find("the gradient of parameter 'w' has the extent -4 [tensor.invalid]"),
            std::string::npos)
      << model.call.error();
}

}  // namespace grpo::plugins
