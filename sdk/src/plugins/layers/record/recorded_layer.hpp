// recorded_layer.hpp: what the recording layers of all kinds share: handles with a tape.
//
//     struct Opened : Handle<grpo_reward> {};                             // and whatever else the kind needs
//     class RecordedReward final : public RecordedLayer<Opened> { ... };  // sets its functions; open and close are set
#ifndef GRPO_PLUGINS_RECORD_RECORDED_LAYER_HPP
#define GRPO_PLUGINS_RECORD_RECORDED_LAYER_HPP

#include <memory>

#include "layers/layer.hpp"
#include "recorder.hpp"

namespace grpo::plugins::record {

// An open component: what the table's functions get as `void* handle`.
template <class T>
struct Handle {
  using Table = T;
  const Table* table = nullptr;  // the inner one
  void* inner = nullptr;
  std::unique_ptr<Tape> tape;
  void begin() {}  // a kind may hide it: what to write first, once the inner component is open
};

template <class Opened>
class RecordedLayer : public LayerOf<typename Opened::Table> {
 public:
  RecordedLayer(std::shared_ptr<const Component> inner, std::shared_ptr<Recorder> to)
      : LayerOf<typename Opened::Table>(std::move(inner)), to_(std::move(to)) {
    this->table_.close = [](void* handle) noexcept {
      const std::unique_ptr<Opened> o(static_cast<Opened*>(handle));
      o->table->close(o->inner);
      o->tape->note("close");
    };
  }

  grpo_status open(const grpo_call* call, const grpo_options* options, void** handle) final {
    auto o = std::make_unique<Opened>();
    o->table = this->inner_table();
    o->tape = std::make_unique<Tape>(to_, call);
    const auto ask = [&](wire::Envelope& e) {
      e.mutable_options()->set_json(options->json.data, static_cast<std::size_t>(options->json.size));
    };
    const grpo_status status = o->tape->call(
        "open", call, ask, [&](const grpo_call* c, std::uint64_t) { return o->table->open(c, options, &o->inner); });
    if (status != GRPO_STATUS_OK) return status;
    o->begin();
    *handle = o.release();
    return status;
  }

 private:
  std::shared_ptr<Recorder> to_;
};

}  // namespace grpo::plugins::record

#endif
