// safetensors.hpp: named tensors in files, as Hugging Face stores weights.
//
// Main idea. A file is eight bytes of header length, a JSON header, then the tensors' bytes without gaps. Reading maps
// the file and checks every number in the header against the file's size before anything is touched; a tensor is then a
// view into the map. A checkpoint is a directory: one model.safetensors, or shards listed in
// model.safetensors.index.json.
//
//     grpo::kit::Checkpoint checkpoint("SmolLM2-135M");
//     const auto& t = checkpoint.at("model.norm.weight");          // throws, naming the directory, if it is not there
//     std::vector<float> values(t.elements());
//     grpo::kit::to_float(t, values.data());
//
//     grpo::kit::SafetensorsWriter writer("out/model.safetensors", {{"w", Dtype::f32, {2, 3}}});
//     writer.write("w", data, 24);
//     writer.finish();
//
// Errors are std::runtime_error with a text that names the file and the tensor. Format:
// https://huggingface.co/docs/safetensors (little-endian, row-major; header at most 100 MB).
#ifndef GRPO_KIT_SAFETENSORS_HPP
#define GRPO_KIT_SAFETENSORS_HPP

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace grpo::kit {

enum class Dtype : std::uint8_t {
  boolean,
  u8,
  i8,
  f8_e5m2,
  f8_e4m3,
  u16,
  i16,
  f16,
  bf16,
  u32,
  i32,
  f32,
  u64,
  i64,
  f64
};

std::size_t dtype_size(Dtype dtype);       // bytes of one element
std::string_view dtype_name(Dtype dtype);  // as the format spells it: "F32", "BF16", "I64", ...

// A tensor of a mapped file. Valid as long as its file or checkpoint object is.
struct TensorView {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::int64_t> shape;  // empty: a scalar
  const std::byte* data = nullptr;  // not aligned to the element: copy before use
  std::size_t bytes = 0;

  std::int64_t elements() const;
};

// "[2, 3]", for messages.
std::string shape_text(const std::vector<std::int64_t>& shape);

// One mapped file. [any thread] once constructed. Movable.
class SafetensorsFile {
 public:
  // Throws if the file cannot be read or is anything but a well-formed safetensors file: truncated, a header that is no
  // JSON, an unknown dtype, a tensor twice, or offsets that overlap, leave gaps, or disagree with the shapes or the
  // size.
  explicit SafetensorsFile(std::filesystem::path path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  const std::filesystem::path& path() const { return path_; }
  const std::vector<TensorView>& tensors() const { return tensors_; }  // in the order of their bytes
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  const TensorView* find(std::string_view name) const;  // nullptr: no such tensor
  const TensorView& at(std::string_view name) const;    // throws: no such tensor

 private:
  std::filesystem::path path_;
  const std::byte* map_ = nullptr;
  std::size_t size_ = 0;
  std::vector<TensorView> tensors_;
  std::map<std::string, std::size_t, std::less<>> index_;
  std::map<std::string, std::string> metadata_;
};

// All tensors of a directory. [any thread] once constructed.
class Checkpoint {
 public:
  // Prefers model.safetensors.index.json over model.safetensors. Throws if neither is there, if a shard is missing or
  // bad, or if a shard lacks a tensor that the index promises.
  explicit Checkpoint(std::filesystem::path directory);

  const std::filesystem::path& directory() const { return directory_; }
  std::vector<std::string> names() const;  // sorted

  const TensorView* find(std::string_view name) const;                // nullptr: no such tensor
  const TensorView& at(std::string_view name) const;                  // throws: no such tensor
  const std::filesystem::path& file_of(std::string_view name) const;  // for messages; throws: no such tensor

 private:
  std::filesystem::path directory_;
  std::vector<SafetensorsFile> files_;
  struct Place {
    std::size_t file;
    const TensorView* tensor;
  };
  std::map<std::string, Place, std::less<>> index_;
};

// What a writer is told of a tensor before its bytes come.
struct TensorSpec {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::vector<std::int64_t> shape;
};

// Writes one file whose tensors are known ahead; their bytes come in any order, straight to their place. Not finished
// means not there: a writer that is destroyed before finish removes the file. [one at a time per object]
class SafetensorsWriter {
 public:
  // Creates (or truncates) the file and reserves its space. Throws on a duplicate name, a negative size, a full disk.
  SafetensorsWriter(std::filesystem::path path, const std::vector<TensorSpec>& tensors,
                    const std::map<std::string, std::string>& metadata = {{"format", "pt"}});
  ~SafetensorsWriter();
  SafetensorsWriter(const SafetensorsWriter&) = delete;
  SafetensorsWriter& operator=(const SafetensorsWriter&) = delete;

  // The whole tensor, row-major. Throws on an unknown name, one written before, or a wrong number of bytes.
  void write(std::string_view name, const void* data, std::size_t bytes);

  // Flushes to the disk and closes. Throws, naming it, if a tensor was never written.
  void finish();

 private:
  struct Entry {
    std::uint64_t offset = 0, bytes = 0;
    bool written = false;
  };
  std::filesystem::path path_;
  int file_ = -1;
  std::map<std::string, Entry, std::less<>> entries_;
};

// Conversions of n elements. Exact upwards; downwards round to nearest, ties to even; NaN stays NaN.
float f16_to_float(std::uint16_t bits);
float bf16_to_float(std::uint16_t bits);
std::uint16_t float_to_bf16(float value);
void f16_to_float(const void* from, float* to, std::size_t n);
void bf16_to_float(const void* from, float* to, std::size_t n);
void float_to_bf16(const float* from, void* to, std::size_t n);

// A tensor of F32, BF16, F16 or F64 as fp32; to: [elements()]. Throws for other types, naming the tensor.
void to_float(const TensorView& tensor, float* to);

}  // namespace grpo::kit

#endif
