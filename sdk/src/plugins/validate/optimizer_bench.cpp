#include "optimizer_bench.hpp"

#include <grpo/random.h>

#include <cstring>

namespace grpo::plugins::conformance {

Numbers numbers(std::uint64_t seed, std::size_t n, double scale) {
  Numbers out(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double u = 2 * grpo_random_uniform(seed, i) - 1;
    out[i] = static_cast<float>(scale * (u + (u < 0 ? -0.01 : 0.01)));
  }
  return out;
}

std::int64_t Shape::elements() const {
  std::int64_t n = 1;
  for (const std::int64_t d : shape) n *= d;
  return n;
}

const std::vector<Shape>& shapes() {
  static const std::vector<Shape> all{
      {"model.embed.weight", {37, 11}}, {"model.norm.weight", {19}}, {"head.weight", {8, 5}}};
  return all;
}

std::vector<Piece> whole_pieces(std::uint32_t flags) {
  std::vector<Piece> out;
  for (std::size_t i = 0; i < shapes().size(); ++i) out.push_back({i, 0, shapes()[i].elements(), flags});
  return out;
}

std::vector<Piece> cut_pieces(std::int64_t longest) {
  std::vector<Piece> out;
  for (const Piece& p : whole_pieces())
    for (std::int64_t at = 0; at < p.n; at += longest) out.push_back({p.parameter, at, std::min(longest, p.n - at)});
  return out;
}

std::unique_ptr<Struct<grpo_tensor>> tensor_of(void* data, std::vector<std::int64_t>& shape, Fields fields,
                                               const char* what) {
  auto t = std::make_unique<Struct<grpo_tensor>>(what, fields);
  (*t)->dl = {data,         GRPO_DEVICE_CPU, 0, static_cast<std::int32_t>(shape.size()), GRPO_TYPE_FLOAT, 32, 1,
              shape.data(), nullptr,         0};
  return t;
}

std::size_t bytes_of(const grpo_dltensor& t) {
  std::size_t n = static_cast<std::size_t>(t.bits) * t.lanes / 8;
  for (std::int32_t i = 0; i < t.ndim; ++i) n *= static_cast<std::size_t>(t.shape[i]);
  return n;
}

OptimizerBench::OptimizerBench(Subject& subject, const std::vector<Piece>& pieces, Fields fields)
    : subject_(subject), fields_(fields), opened_(subject, {.fields = fields}) {
  table = opened_.table_as<grpo_optimizer>();
  std::uint64_t seed = 1;
  for (const Shape& s : shapes()) {
    const auto n = static_cast<std::size_t>(s.elements());
    const Numbers start = numbers(seed++, n);
    values_.push_back(copied(start.data(), n, "the values of a parameter"));
    gradients_.emplace_back(n * sizeof(float), "the gradients of a parameter");
  }
  bind(pieces);
}

void OptimizerBench::bind(const std::vector<Piece>& pieces) {
  std::vector<const grpo_slice*> list;
  for (const Piece& p : pieces) {
    Slice& s = slices_.emplace_back();
    const Shape& whole = shapes()[p.parameter];
    s.shape = p.n == whole.elements() ? whole.shape : std::vector<std::int64_t>{p.n};
    s.value = tensor_of(values_[p.parameter].as<float>() + p.offset, s.shape, fields_, "a slice's value");
    s.gradient = tensor_of(gradients_[p.parameter].as<float>() + p.offset, s.shape, fields_, "a slice's gradient");
    s.slice = std::make_unique<Struct<grpo_slice>>("a grpo_slice", fields_);
    grpo_slice& slice = *s.slice->get();
    slice.flags = p.flags;
    slice.name = whole.name.c_str();
    slice.whole_ndim = static_cast<std::int64_t>(whole.shape.size());
    slice.whole_shape = whole.shape.data();
    slice.offset = p.offset;
    slice.value = *s.value;
    slice.gradient = *s.gradient;
    s.value->seal();
    s.gradient->seal();
    s.slice->seal();
    list.push_back(*s.slice);
  }
  subject_.at("bind of " + std::to_string(list.size()) + " slices");
  Caller call(fields_);
  Pages passed = copied(list.data(), list.size(), "the list of slices");
  const grpo_status status =
      table->bind(handle(), call, static_cast<std::int64_t>(list.size()), passed.as<const grpo_slice*>());
  need(status == GRPO_STATUS_OK,
       "bind of fp32 slices in host memory failed: " + (call.spoke() ? call.error() : "without a message") + " (" +
           status_text(status) + ")",
       "see what it says");
  call.end();
  passed.inaccessible();  // the list is of the call; slices and tensors are the handle's
}

Numbers OptimizerBench::values() const {
  Numbers out;
  for (const Pages& p : values_) out.insert(out.end(), p.as<float>(), p.as<float>() + p.size() / sizeof(float));
  return out;
}

namespace {
void spread(const Numbers& from, std::deque<Pages>& to) {
  std::size_t at = 0;
  for (Pages& p : to) {
    std::memcpy(p.data(), from.data() + at, p.size());
    at += p.size() / sizeof(float);
  }
}
}  // namespace

void OptimizerBench::set_values(const Numbers& values) { spread(values, values_); }
void OptimizerBench::set_gradients(const Numbers& gradients) { spread(gradients, gradients_); }

double OptimizerBench::squared_norm() {
  Caller call(fields_);
  Pages sum(sizeof(double), "squared_norm's sum");
  subject_.at("squared_norm");
  const grpo_status status = table->squared_norm(handle(), call, sum.as<double>());
  need(status == GRPO_STATUS_OK, "squared_norm failed: " + call.error() + " (" + status_text(status) + ")", "");
  call.end();
  return *sum.as<double>();
}

grpo_status OptimizerBench::try_step(Caller& call, std::int64_t number, double rate, double scale) {
  Struct<grpo_optimizer_step> a("the grpo_optimizer_step", fields_);
  a->step = number;
  a->learning_rate = rate;
  a->gradient_scale = scale;
  a.seal();
  subject_.at("step " + std::to_string(number));
  const grpo_status status = table->step(handle(), call, a);
  a.pages().inaccessible();
  return status;
}

void OptimizerBench::step(std::int64_t number, double rate, double scale) {
  Caller call(fields_);
  const grpo_status status = try_step(call, number, rate, scale);
  need(status == GRPO_STATUS_OK,
       "step failed: " + (call.spoke() ? call.error() : "without a message") + " (" + status_text(status) + ")", "");
  call.end();
  need_intact();
}

std::vector<const grpo_named_tensor*> OptimizerBench::tensors() {
  Caller call(fields_);
  std::int64_t n = 0;
  const grpo_named_tensor* const* list = nullptr;
  subject_.at("state");
  const grpo_status status = table->state(handle(), call, &n, &list);
  need(status == GRPO_STATUS_OK, "state failed: " + call.error() + " (" + status_text(status) + ")", "");
  need(n >= 0 && (n == 0 || list), "state gave " + std::to_string(n) + " tensors", "");
  call.end();
  return {list, list + n};
}

State OptimizerBench::state() {
  const auto list = tensors();
  State out;
  for (std::size_t i = 0; i < list.size(); ++i) {
    const std::string name = list[i]->name ? list[i]->name : "";
    const grpo_dltensor& t = list[i]->tensor->dl;
    need(!name.empty() && !out.contains(name), "state has two tensors named '" + name + "'",
         "\"<slice>.<what>\"; pieces of one parameter need names of their own");
    need(t.device_type == GRPO_DEVICE_CPU || t.device_type == GRPO_DEVICE_CUDA_HOST,
         "the state '" + name + "' is not in host memory", "give a copy in host memory");
    const auto* data = static_cast<const char*>(t.data) + t.byte_offset;
    out[name].assign(data, data + bytes_of(t));
  }
  return out;
}

void OptimizerBench::restore(const State& state) {
  const auto list = tensors();
  need(list.size() == state.size(),
       "bound to the same slices it has " + std::to_string(list.size()) + " state tensors, before it had " +
           std::to_string(state.size()),
       "make the state in bind, for every slice");
  for (std::size_t i = 0; i < list.size(); ++i) {
    const auto from = state.find(list[i]->name);
    const grpo_dltensor& t = list[i]->tensor->dl;
    need(from != state.end() && from->second.size() == bytes_of(t),
         "bound to the same slices it has a state '" + std::string(list[i]->name) +
             "' that the other one lacks, or of another size",
         "names and shapes of the state depend on the slices alone");
    std::memcpy(static_cast<char*>(t.data) + t.byte_offset, from->second.data(), from->second.size());
  }
  Caller call(fields_);
  subject_.at("state_written");
  const grpo_status status = table->state_written(handle(), call);
  need(status == GRPO_STATUS_OK, "state_written failed: " + call.error() + " (" + status_text(status) + ")", "");
  call.end();
}

void OptimizerBench::need_intact() const {
  for (const auto* list : {&values_, &gradients_})
    for (const Pages& p : *list)
      need(p.intact(), "it wrote before the first element of " + p.what(),
           "stay within the slice: offset is already in data");
}

}  // namespace grpo::plugins::conformance
