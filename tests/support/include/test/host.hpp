// host.hpp: the smallest host that can drive one plugin, for tests of plugins.
//
//     test::Call call;                                                  // what every function of a plugin is given
//     const auto* table = test::load<grpo_optimizer>(path, GRPO_OPTIMIZER_ID);
//     test::Options options{{"beta1", 0.9}};
//     ASSERT_EQ(table->open(call, options, &handle), GRPO_STATUS_OK) << call.error();
#ifndef GRPO_TEST_HOST_HPP
#define GRPO_TEST_HOST_HPP

#include <dlfcn.h>
#include <grpo/host.h>
#include <grpo/plugin.h>

#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

// A [grows] struct as its maker makes it.
template <class T>
T make() {
  T t{};
  t.struct_size = sizeof t;
  return t;
}

class Call {
 public:
  Call() {
    c_.host = this;
    c_.cancelled = [](const grpo_call* p) -> int32_t { return self(p).stop.load(std::memory_order_relaxed); };
    c_.alloc = [](const grpo_call* p, int64_t size) -> void* { return self(p).alloc(static_cast<std::size_t>(size)); };
    c_.fail = [](const grpo_call* p, grpo_status status, const char* text, int64_t size) {
      std::lock_guard lock(self(p).mutex_);
      if (self(p).error_.empty()) self(p).error_.assign(text, static_cast<std::size_t>(size));
      return status;
    };
    c_.progress = [](const grpo_call*, double, double) {};
    c_.service = [](const grpo_call* p, const char* id) -> const void* {
      const auto at = self(p).services.find(id);
      return at == self(p).services.end() ? nullptr : at->second;
    };
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  operator const grpo_call*() const { return &c_; }
  const std::string& error() const { return error_; }
  void deadline(int64_t monotonic_ns) { c_.deadline_ns = monotonic_ns; }

  std::map<std::string, const void*> services;
  std::atomic<int> stop{0};  // not 0: cancelled

 private:
  static Call& self(const grpo_call* p) { return *static_cast<Call*>(p->host); }
  void* alloc(std::size_t size) {  // each block by itself, so that a sanitizer sees an overrun
    std::lock_guard lock(mutex_);
    auto& block = blocks_.emplace_back(size + 63);
    return reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(block.data()) + 63) & ~std::uintptr_t{63});
  }
  grpo_call c_ = make<grpo_call>();
  std::mutex mutex_;
  std::deque<std::vector<char>> blocks_;
  std::string error_;
};

class Options {
 public:
  using Values = std::map<std::string, double>;
  Options() : Options(Values{}) {}
  Options(std::initializer_list<std::pair<const std::string, double>> values) : Options(Values(values)) {}
  explicit Options(Values values) : values_(std::move(values)) {
    o_.host = this;
    o_.json = {"{}", 2};
    o_.number = [](const grpo_options* p, const char* key, double* value) -> int32_t {
      const auto& values = static_cast<Options*>(p->host)->values_;
      const auto at = values.find(key);
      return at != values.end() ? (*value = at->second, 1) : 0;
    };
    o_.integer = [](const grpo_options* p, const char* key, int64_t* value) -> int32_t {
      double x;
      return p->number(p, key, &x) ? (*value = static_cast<int64_t>(x), 1) : 0;
    };
    o_.text = [](const grpo_options*, const char*, grpo_str*) -> int32_t { return 0; };
  }
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;
  operator const grpo_options*() const { return &o_; }

 private:
  grpo_options o_ = make<grpo_options>();
  Values values_;
};

// The table of a plugin's only component with this interface. The library stays loaded.
template <class Table>
const Table* load(const std::string& path, const char* interface_id) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) throw std::runtime_error(dlerror());
  auto* entry = reinterpret_cast<grpo_plugin_entry_fn*>(dlsym(library, "grpo_plugin_entry"));
  if (!entry) throw std::runtime_error(path + ": no grpo_plugin_entry");
  static const grpo_host host = [] {
    auto h = make<grpo_host>();
    h.header_revision = GRPO_HEADER_REVISION;
    h.abi_min = h.abi_max = GRPO_ABI;
    h.name = "test host";
    h.refuse = [](const grpo_host*, const char*, int64_t) {};
    return h;
  }();
  const grpo_plugin* plugin = entry(&host);
  if (!plugin) throw std::runtime_error(path + ": refused");
  for (uint32_t i = 0; i < plugin->n_components; ++i)
    if (!std::strcmp(plugin->components[i]->interface_id, interface_id))
      return static_cast<const Table*>(plugin->components[i]->table);
  throw std::runtime_error(path + ": no " + interface_id);
}

}  // namespace test

#endif
