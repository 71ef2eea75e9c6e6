// stream.hpp: weights on their way between models, kept in memory.
#ifndef GRPO_TESTS_TRANSFORMER_STREAM_HPP
#define GRPO_TESTS_TRANSFORMER_STREAM_HPP

#include <grpo/tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace grpo::test {

// A sink that keeps copies, and a source that gives them.
struct Stream {
  std::map<std::string, std::pair<std::vector<std::int64_t>, std::vector<float>>> tensors;
  std::vector<const char*> names;
  grpo_tensor given{};

  grpo_tensor_sink sink(std::uint32_t flags = 0) {
    return {sizeof(grpo_tensor_sink), flags, this,
            [](const grpo_tensor_sink* s, const grpo_call*, std::int64_t n, const grpo_named_tensor* const* list) {
              for (std::int64_t i = 0; i < n; ++i) {
                const auto& dl = list[i]->tensor->dl;
                std::vector<std::int64_t> shape(dl.shape, dl.shape + dl.ndim);
                std::size_t size = 1;
                for (const auto d : shape) size *= static_cast<std::size_t>(d);
                const auto* data = static_cast<const float*>(dl.data);
                static_cast<Stream*>(s->owner)->tensors[list[i]->name] = {shape, {data, data + size}};
              }
              return GRPO_STATUS_OK + 0;
            }};
  }
  grpo_tensor_source source() {
    for (const auto& [name, tensor] : tensors) names.push_back(name.c_str());
    return {
        sizeof(grpo_tensor_source),
        0,
        this,
        static_cast<std::int64_t>(names.size()),
        names.data(),
        [](const grpo_tensor_source* s, const grpo_call*, const char* name, const grpo_tensor** tensor) -> grpo_status {
          auto& self = *static_cast<Stream*>(s->owner);
          const auto at = self.tensors.find(name);
          *tensor = nullptr;
          if (at == self.tensors.end()) return GRPO_STATUS_OK;
          auto& [shape, data] = at->second;
          self.given.struct_size = sizeof self.given;
          self.given.dl = {
              data.data(),  GRPO_DEVICE_CPU, 0, static_cast<std::int32_t>(shape.size()), GRPO_TYPE_FLOAT, 32, 1,
              shape.data(), nullptr,         0};
          *tensor = &self.given;
          return GRPO_STATUS_OK;
        }};
  }
};

}  // namespace grpo::test

#endif
