#include "support.hpp"

#include "grpo/sdk/plugins/registry.hpp"

namespace grpo::plugins {
namespace {

class WithComm final : public ComponentServices {
 public:
  WithComm() {
    ServiceSettings settings;
    settings.log = [](std::int32_t, const std::string&, const std::string&) {};
    settings.tasks = std::make_shared<TaskPool>(2);
    services_ = std::make_shared<Services>(settings);
    inner_ = services_->of("broken");
    comm_.struct_size = sizeof comm_;
    comm_.all_reduce = [](const grpo_comm*, const grpo_call*, const grpo_comm_group*, std::int32_t,
                          const grpo_tensor*) -> grpo_status { return GRPO_STATUS_OK; };
  }
  const void* find(std::string_view id) const override { return id == GRPO_COMM_ID ? &comm_ : inner_->find(id); }

 private:
  std::shared_ptr<Services> services_;
  std::shared_ptr<const ComponentServices> inner_;
  grpo_comm comm_{};
};

}  // namespace

std::shared_ptr<const ComponentServices> test_services() { return std::make_shared<WithComm>(); }

std::shared_ptr<const Component> broken(const std::string& interface_id, const std::string& name) {
  static Registry& registry = *[] {
    RegistrySettings settings;
    settings.probe_cache.clear();
    auto* made = new Registry(settings);
    made->add_directory(BROKEN);
    return made;
  }();
  return registry.load(interface_id, name);
}

}  // namespace grpo::plugins
