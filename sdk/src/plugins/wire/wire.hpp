// wire.hpp: the contract's structs as Protobuf messages and back.
//
// Main idea. `write` copies a struct of the contract into a message; `RewardBatchView` and `TensorView` make the struct
// out of a message, with whatever it points to kept in the view. Messages are strangers' bytes: every view checks
// sizes, offsets and types, so that what it gives can be handed to a plugin, or says what is wrong.
//
//     Envelope call;
//     wire::write(*batch, *call.mutable_reward()->mutable_batch());
//     wire::write_delimited(file, call);
//     ...
//     Envelope read;
//     while (wire::read_delimited(file, read, path)) wire::RewardBatchView view(read.reward().batch());
//
// [any thread] on different objects. Needs the target grpo_wire; for the SDK itself, never in a public header.
#ifndef GRPO_PLUGINS_WIRE_HPP
#define GRPO_PLUGINS_WIRE_HPP

#include <grpo/reward.h>
#include <grpo/tensor.h>

#include <cstdint>
#include <deque>
#include <iosfwd>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "wire.pb.h"

namespace grpo::plugins::wire {

using namespace ::grpo::wire;  // NOLINT: the messages by their short names

inline constexpr std::uint32_t format = 1;                  // Header.format
inline constexpr std::uint32_t longest_message = 1u << 30;  // bytes; Protobuf itself ends at 2^31

// --- streams -------------------------------------------------------------------------------------------------------
// A message behind its length as a varint, the form that Protobuf's own delimited readers take. Throws grpo::Error if
// the message is too long or cannot be written; `what` names the stream in messages.
void write_delimited(std::ostream& out, const google::protobuf::MessageLite& message, const std::string& what = "");
// False at the end of the stream. Throws grpo::Error when the stream ends within a message, or holds none.
bool read_delimited(std::istream& in, google::protobuf::MessageLite& message, const std::string& what);
// The same in memory: appends, and reads from the front of `bytes`, which then begins behind the message.
void append_delimited(std::string& out, const google::protobuf::MessageLite& message);
bool take_delimited(std::string_view& bytes, google::protobuf::MessageLite& message, const std::string& what);

// --- rewards -------------------------------------------------------------------------------------------------------
void write(const grpo_reward_batch& batch, RewardBatch& out);

// The arrays of a result. Components by name; a null data of a message is an empty text.
struct RewardArrays {
  std::int64_t n = 0;
  const double* score = nullptr;
  const std::int32_t* status = nullptr;
  const grpo_str* message = nullptr;
  std::map<std::string, const double*> components = {};
};
void write(const RewardArrays& arrays, RewardResult& out);

// A batch as the contract has it, made from a message. Pointers into the view; the message may go. Throws grpo::Error:
// a list of another length than its counts say, offsets that do not rise, a row that is not there, an unknown type.
class RewardBatchView {
 public:
  explicit RewardBatchView(const RewardBatch& message);
  RewardBatchView(const RewardBatchView&) = delete;
  RewardBatchView& operator=(const RewardBatchView&) = delete;
  const grpo_reward_batch* get() const { return &batch_; }

 private:
  struct Columns {
    std::deque<grpo_column> columns;
    std::vector<const grpo_column*> list;
  };
  using Texts = google::protobuf::RepeatedPtrField<std::string>;
  const grpo_str* texts(const Texts& from, std::int64_t n, const char* what);
  template <class T, class Repeated>
  const T* numbers(const Repeated& from, std::int64_t n, const char* what, std::deque<std::vector<T>>& kept);
  const grpo_column* const* columns(const google::protobuf::RepeatedPtrField<Column>& from, std::int64_t n,
                                    Columns& into);

  grpo_reward_batch batch_{};
  std::deque<std::string> text_;
  std::deque<std::vector<grpo_str>> text_lists_;
  std::deque<std::vector<std::int64_t>> integers_;
  std::deque<std::vector<std::int32_t>> ids_;
  std::deque<std::vector<double>> doubles_;
  Columns columns_, sample_columns_;
};

// --- tensors -------------------------------------------------------------------------------------------------------
// Copies a tensor in host memory (any strides). Throws grpo::Error for one on a device, and for sizes that do not fit.
void write(const grpo_tensor& tensor, Tensor& out);
void write(const grpo_named_tensor& tensor, Tensor& out);
// Shape and type alone, with the number of elements in place of the bytes: for tensors too large to keep.
void write_shape(const grpo_tensor& tensor, Tensor& out);

std::int64_t elements(const grpo_dltensor& tensor);  // throws grpo::Error on a negative or overflowing shape
// The bytes of a tensor in host memory, row-major without gaps, and how many they are. Throw grpo::Error as `write`.
std::size_t packed_size(const grpo_dltensor& tensor);
void copy_packed(const grpo_dltensor& tensor, char* to);

// A tensor as the contract has it. Pointers into the view, which copies the bytes to 64-byte alignment. Throws
// grpo::Error when bytes, shape and type do not agree, or the bytes were left out.
class TensorView {
 public:
  explicit TensorView(const Tensor& message);
  TensorView(const TensorView&) = delete;
  TensorView& operator=(const TensorView&) = delete;
  const grpo_tensor* get() const { return &tensor_; }
  const grpo_named_tensor* named() const { return &named_; }

 private:
  std::string name_;
  std::vector<std::int64_t> shape_;
  std::vector<std::uint64_t> storage_;
  grpo_tensor tensor_{};
  grpo_named_tensor named_{};
};

}  // namespace grpo::plugins::wire

#endif
