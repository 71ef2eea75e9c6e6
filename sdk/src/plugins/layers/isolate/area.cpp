#include "area.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "control.pb.h"
#include "grpo/sdk/error.hpp"
#include "wire/wire.hpp"

namespace grpo::plugins::isolate {
namespace {

constexpr std::size_t alignment = 64;
std::size_t aligned(std::size_t n) { return (n + alignment - 1) / alignment * alignment; }

std::string reason() { return std::strerror(errno); }

// Puts one array behind the other; without memory it only counts.
class Writer {
 public:
  explicit Writer(char* base) : base_(base) {}
  std::size_t size() const { return at_; }

  template <class T>
  void numbers(const T* from, std::int64_t n) {
    char* to = take(static_cast<std::size_t>(n) * sizeof(T));
    if (to && n > 0) std::memcpy(to, from, static_cast<std::size_t>(n) * sizeof(T));
  }

  void texts(const grpo_str* from, std::int64_t n) {
    auto* sizes = reinterpret_cast<std::int64_t*>(take(static_cast<std::size_t>(n) * sizeof(std::int64_t)));
    std::size_t bytes = 0;
    for (std::int64_t i = 0; i < n; ++i) bytes += static_cast<std::size_t>(from[i].size) + 1;
    char* to = take(bytes);
    if (!to) return;
    for (std::int64_t i = 0; i < n; ++i) {
      const auto size = static_cast<std::size_t>(from[i].size);
      sizes[i] = from[i].size;
      if (size > 0) std::memcpy(to, from[i].data, size);
      to[size] = 0;
      to += size + 1;
    }
  }

  void column(const grpo_column& c, std::int64_t n) {
    if (c.text) return texts(c.text, n);
    if (c.integer) return numbers(c.integer, n);
    if (c.number) return numbers(c.number, n);
    throw Error("the column '" + std::string(c.name) + "' has no values");
  }

 private:
  char* take(std::size_t bytes) {
    char* out = base_ ? base_ + at_ : nullptr;
    at_ += aligned(bytes);
    return out;
  }
  char* base_;
  std::size_t at_ = 0;
};

// The order of everything. BatchInArea::read follows it.
void write(Writer& w, const grpo_reward_batch& b) {
  w.texts(b.prompt, b.n_rows);
  w.texts(b.messages, b.n_rows);
  w.texts(b.ground_truth, b.n_rows);
  w.numbers(b.prompt_start, b.n_rows + 1);
  w.numbers(b.prompt_ids, b.prompt_start[b.n_rows]);
  w.numbers(b.row, b.n_samples);
  w.numbers(b.index, b.n_samples);
  w.texts(b.completion, b.n_samples);
  w.numbers(b.finish, b.n_samples);
  w.numbers(b.completion_start, b.n_samples + 1);
  w.numbers(b.completion_ids, b.completion_start[b.n_samples]);
  for (std::int64_t c = 0; c < b.n_columns; ++c) w.column(*b.columns[c], b.n_rows);
  for (std::int64_t c = 0; c < b.n_sample_columns; ++c) w.column(*b.sample_columns[c], b.n_samples);
}

void describe(const grpo_column* const* columns, std::int64_t n,
              google::protobuf::RepeatedPtrField<wire::ColumnShape>& out) {
  for (std::int64_t c = 0; c < n; ++c) {
    wire::ColumnShape& shape = *out.Add();
    shape.set_name(columns[c]->name);
    shape.set_type(columns[c]->type);
  }
}

}  // namespace

Area Area::create(std::size_t size) {
  Descriptor fd(::memfd_create("grpo-batch", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) throw Error("cannot make shared memory: " + reason());
  if (::ftruncate(fd.get(), static_cast<off_t>(size)) != 0 ||
      ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    throw Error("cannot make " + std::to_string(size) + " bytes of shared memory: " + reason());
  return Area(std::move(fd), size);
}

Area::Area(Descriptor descriptor, std::size_t size) : descriptor_(std::move(descriptor)), size_(size) {
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_.get(), 0);
  if (memory == MAP_FAILED) throw Error("cannot map " + std::to_string(size) + " bytes of shared memory: " + reason());
  data_ = static_cast<char*>(memory);
}

Area::~Area() {
  if (data_) ::munmap(data_, size_);
}

Area::Area(Area&& other) noexcept
    : descriptor_(std::move(other.descriptor_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Area& Area::operator=(Area&& other) noexcept {
  if (data_) ::munmap(data_, size_);
  descriptor_ = std::move(other.descriptor_);
  data_ = std::exchange(other.data_, nullptr);
  size_ = std::exchange(other.size_, 0);
  return *this;
}

namespace {

struct Offsets {
  std::size_t score, status, message, component, text, end;
};

std::size_t text_room(std::size_t n) { return 256 * 1024 + 512 * n; }

Offsets offsets(std::size_t n) {
  Offsets at{};
  at.status = at.score + aligned(n * sizeof(double));
  at.message = at.status + aligned(n * sizeof(std::int32_t));
  at.component = at.message + aligned(n * sizeof(TextPlace));
  at.text = at.component + aligned(most_columns * n * sizeof(double));
  at.end = at.text + aligned(text_room(n));
  return at;
}

}  // namespace

Outputs outputs_at(char* base, std::int64_t n_samples) {
  const auto n = static_cast<std::size_t>(n_samples);
  const Offsets at = offsets(n);
  return {reinterpret_cast<double*>(base + at.score),
          reinterpret_cast<std::int32_t*>(base + at.status),
          reinterpret_cast<TextPlace*>(base + at.message),
          reinterpret_cast<double*>(base + at.component),
          base + at.text,
          text_room(n)};
}

std::size_t output_size(std::int64_t n_samples) { return offsets(static_cast<std::size_t>(n_samples)).end; }

std::size_t input_size(const grpo_reward_batch& batch) {
  Writer counting(nullptr);
  write(counting, batch);
  return counting.size();
}

void pack(const grpo_reward_batch& batch, Area& area, wire::Score& message) {
  Writer writer(area.data() + input_at);
  write(writer, batch);
  message.set_step(batch.step);
  message.set_batch_flags(batch.flags);
  message.set_n_rows(batch.n_rows);
  message.set_n_samples(batch.n_samples);
  message.set_output_at(input_at + writer.size());
  describe(batch.columns, batch.n_columns, *message.mutable_column());
  describe(batch.sample_columns, batch.n_sample_columns, *message.mutable_sample_column());
}

// Takes the arrays in the order in which they were written, within the area.
class BatchInArea::Reader {
 public:
  explicit Reader(const Area& area) : base_(area.data()), size_(area.size()), at_(input_at) {}

  template <class T>
  const T* numbers(std::int64_t n) {
    return reinterpret_cast<const T*>(take(n, sizeof(T)));
  }

  const grpo_str* texts(std::int64_t n, std::vector<grpo_str>& into) {
    const auto* sizes = numbers<std::int64_t>(n);
    std::int64_t bytes = 0;
    for (std::int64_t i = 0; i < n; ++i) {
      if (sizes[i] < 0 || __builtin_add_overflow(bytes, sizes[i], &bytes) || __builtin_add_overflow(bytes, 1, &bytes))
        throw Error("the shared memory holds a text of " + std::to_string(sizes[i]) + " bytes");
    }
    const char* text = take(bytes, 1);
    into.clear();
    into.reserve(static_cast<std::size_t>(n > 0 ? n : 1));
    for (std::int64_t i = 0; i < n; ++i) {
      into.push_back({text, sizes[i]});
      text += sizes[i] + 1;
    }
    return into.data();
  }

 private:
  const char* take(std::int64_t n, std::size_t each) {
    std::size_t bytes = 0;
    if (n < 0 || __builtin_mul_overflow(static_cast<std::size_t>(n), each, &bytes) || bytes > size_ - at_)
      throw Error("the shared memory holds less than its message says");
    const char* out = base_ + at_;
    at_ += std::min(aligned(bytes), size_ - at_);
    return out;
  }
  const char* base_;
  std::size_t size_, at_;
};

void BatchInArea::read_columns(Reader& reader, const wire::Score& m, bool by_sample) {
  const auto& shapes = by_sample ? m.sample_column() : m.column();
  const std::int64_t n = by_sample ? m.n_samples() : m.n_rows();
  auto& list = by_sample ? sample_columns_ : row_columns_;
  list.clear();
  list.reserve(1);  // no array is NULL
  for (const wire::ColumnShape& shape : shapes) {
    grpo_column& c = columns_.emplace_back();
    c.struct_size = sizeof c;
    c.name = shape.name().c_str();  // the message lives as long as the call
    c.type = shape.type();
    if (c.type == GRPO_COLUMN_INTEGER)
      c.integer = reader.numbers<std::int64_t>(n);
    else if (c.type == GRPO_COLUMN_NUMBER)
      c.number = reader.numbers<double>(n);
    else
      c.text = reader.texts(n, column_texts_.emplace_back());
    list.push_back(&c);
  }
}

void BatchInArea::read(const Area& area, const wire::Score& m) {
  Reader r(area);
  columns_.clear();
  column_texts_.clear();
  grpo_reward_batch& b = batch_;
  b.struct_size = sizeof b;
  b.flags = m.batch_flags();
  b.n_rows = m.n_rows();
  b.n_samples = m.n_samples();
  b.step = m.step();
  b.prompt = r.texts(b.n_rows, prompt_);
  b.messages = r.texts(b.n_rows, messages_);
  b.ground_truth = r.texts(b.n_rows, ground_truth_);
  b.prompt_start = r.numbers<std::int64_t>(b.n_rows + 1);
  b.prompt_ids = r.numbers<std::int32_t>(b.prompt_start[b.n_rows]);
  b.row = r.numbers<std::int64_t>(b.n_samples);
  b.index = r.numbers<std::int64_t>(b.n_samples);
  b.completion = r.texts(b.n_samples, completion_);
  b.finish = r.numbers<std::int32_t>(b.n_samples);
  b.completion_start = r.numbers<std::int64_t>(b.n_samples + 1);
  b.completion_ids = r.numbers<std::int32_t>(b.completion_start[b.n_samples]);
  read_columns(r, m, false);
  read_columns(r, m, true);
  b.n_columns = m.column_size();
  b.columns = row_columns_.data();
  b.n_sample_columns = m.sample_column_size();
  b.sample_columns = sample_columns_.data();
}

}  // namespace grpo::plugins::isolate
