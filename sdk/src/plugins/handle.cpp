#include "grpo/sdk/plugins/handle.hpp"

#include "grpo/sdk/plugins/services.hpp"
#include "running.hpp"

namespace grpo::plugins {

Handle::Handle(std::shared_ptr<const Component> component, const nlohmann::json& options, const OpenSettings& settings)
    : component_(std::move(component)),
      options_(options, component_->manifest.options,
               settings.where.empty() ? component_->manifest.name : settings.where),
      thread_(std::this_thread::get_id()) {
  if (settings.services) services_ = settings.services->of(settings.label.empty() ? name() : settings.label);
  options_.set_component(component_->entry);
  Call call(services_);
  if (settings.progress) call.on_progress(settings.progress);
  const Running mark(*component_, "open");
  call.need(component_->table->open(call, options_, &handle_), *component_, "open");
  open_ = true;
}

void Handle::close() noexcept {
  if (open_) {
    const Running mark(*component_, "close");
    component_->table->close(handle_);
  }
  open_ = false;
}

const void* Handle::query(const char* id) const {
  const Running mark(*component_, "query");
  return component_->table->query ? component_->table->query(handle_, id) : nullptr;
}

void Handle::on_own_thread(const char* function) const {
  if (std::this_thread::get_id() != thread_) {
    throw Error(component_->label() + ": " + function +
                " was called on another thread than open; the contract says the same");
  }
}

}  // namespace grpo::plugins
