#include "grpo/sdk/plugins/sampler.hpp"

#include <nlohmann/json.hpp>

#include "feed.hpp"
#include "running.hpp"

namespace grpo::plugins {

Sampler::Sampler(Registry& registry, const std::string& name, const nlohmann::json& options,
                 const OpenSettings& settings)
    : Sampler(registry.load(GRPO_SAMPLER_ID, name), options, settings) {}

Sampler::Sampler(std::shared_ptr<const Component> loaded, const nlohmann::json& options, const OpenSettings& settings)
    : Handle(std::move(loaded), options, settings), call_(services_), control_call_(services_) {
  try {
    start();
  } catch (...) {
    close();
    throw;
  }
}

void Sampler::start() {
  const Component& who = component();
  table_ = reinterpret_cast<const grpo_sampler*>(who.table);
  const Running mark(who, "describe");
  if (!table_->describe(raw())) throw Error(who.label() + ": describe gave nothing");
  const std::uint32_t flags = info().flags;
  const auto lacks = [&](std::uint32_t flag, bool there, const char* functions) {
    if ((flags & flag) && !there)
      throw Error(who.label() + ": its description asks for " + functions + ", which its table lacks");
  };
  lacks(GRPO_SAMPLER_BINDS, table_->bind && table_->model_changed, "bind and model_changed");
  lacks(GRPO_SAMPLER_UPDATES, table_->update_begin && table_->update_end, "update_begin and update_end");
  lacks(GRPO_SAMPLER_BESIDE, table_->pause && table_->resume, "pause and resume");
}

Sampler::~Sampler() { close(); }

const grpo_sampler_info& Sampler::info() const {
  const Running mark(component(), "describe");
  return *table_->describe(raw());
}

void Sampler::bind(Model& model) {
  on_own_thread("bind");
  model_ = &model;
  if (!binds()) return;
  binding_.struct_size = sizeof binding_;
  binding_.model = model.raw();
  binding_.model_table = model.table();
  binding_.decode_table = model.decode();
  binding_.model_revision = model.component().header_revision;
  call_.reset();
  const Running mark(component(), "bind");
  call_.need(table_->bind(raw(), call_, &binding_), component(), "bind");
}

void Sampler::check_request(const Request& request) const {
  const Component& who = component();
  const std::string which = who.label() + ": request " + std::to_string(request.id) + ": ";
  if (request.prompt.empty()) throw Error(which + "the prompt is empty; it needs at least one token");
  if (request.n_samples < 1) throw Error(which + std::to_string(request.n_samples) + " samples are wanted");
  const auto vocabulary = model_ ? model_->info().vocabulary : INT32_MAX;
  for (const std::int32_t id : request.prompt) {
    if (id < 0 || id >= vocabulary) {
      throw Error(which + "the prompt holds id " + std::to_string(id) + "; the vocabulary has " +
                  std::to_string(vocabulary) + " ids");
    }
  }
  const std::int64_t positions = info().max_positions ? info().max_positions
                                 : model_             ? model_->info().max_positions
                                                      : INT64_MAX;
  if (static_cast<std::int64_t>(request.prompt.size()) >= positions) {
    throw Error(which + "a prompt of " + std::to_string(request.prompt.size()) + " tokens leaves nothing of " +
                std::to_string(positions) + " positions");
  }
  if (!request.sampling) return;
  if (const std::string problem = sampling_problem(*request.sampling, info().sampling); !problem.empty())
    throw Error(which + problem);
}

void Sampler::generate(std::vector<Request> requests, const std::function<void(Completion)>& on_completion) {
  RequestQueue queue;
  for (Request& request : requests) queue.add(std::move(request));
  queue.close();
  generate(queue, on_completion);
}

void Sampler::generate(RequestQueue& requests, const std::function<void(Completion)>& on_completion) {
  on_own_thread("generate");
  if (binds() && !model_) throw Error(component().label() + ": generate: it needs a model; bind one first");
  FeedSettings settings;
  settings.who = component().label();
  settings.vocabulary = model_ ? model_->info().vocabulary : 0;
  settings.check = [this](const Request& request) { check_request(request); };
  settings.deliver = on_completion;
  Feed feed(*requests.state_, std::move(settings));
  call_.reset();
  const grpo_status status = [&] {
    const Running mark(component(), "generate");
    return table_->generate(raw(), call_, feed.get());
  }();
  feed.rethrow();  // what went wrong on this side of the feed is the reason, whatever the sampler says
  call_.need(status, component(), "generate");
  feed.check_complete();
}

void Sampler::cancel(std::uint64_t request) {
  const Running mark(component(), "cancel");
  table_->cancel(raw(), request);
}
void Sampler::cancel_all() { call_.cancel(); }

void Sampler::update_weights(Model& model, std::int64_t version) {
  if (binds()) {
    on_own_thread("model_changed");
    const Running mark(component(), "model_changed");
    table_->model_changed(raw(), version);
  }
  if (!has_own_weights()) return;
  const Component& who = component();
  control_call_.reset();
  const grpo_tensor_sink* sink = nullptr;
  const Running mark(who, "update of its weights");
  control_call_.need(table_->update_begin(raw(), control_call_, version, &sink), who, "update_begin");
  if (!sink) throw Error(who.label() + ": update_begin gave no sink");
  try {
    model.export_weights(sink, control_call_);
  } catch (...) {
    table_->update_end(raw(), control_call_, 0);
    throw;
  }
  control_call_.need(table_->update_end(raw(), control_call_, 1), who, "update_end");
}

void Sampler::pause(std::int32_t mode) {
  if (!table_->pause) throw Error(component().label() + ": cannot pause");
  control_call_.reset();
  const Running mark(component(), "pause");
  control_call_.need(table_->pause(raw(), control_call_, mode), component(), "pause");
}

void Sampler::resume() {
  if (!table_->resume) throw Error(component().label() + ": cannot pause");
  control_call_.reset();
  const Running mark(component(), "resume");
  control_call_.need(table_->resume(raw(), control_call_), component(), "resume");
}

}  // namespace grpo::plugins
