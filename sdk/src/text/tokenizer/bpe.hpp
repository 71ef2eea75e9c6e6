// bpe.hpp: the BPE model: a piece of text to tokens, by merging neighbours in the order that training found them.
#ifndef GRPO_SRC_TEXT_TOKENIZER_BPE_HPP
#define GRPO_SRC_TEXT_TOKENIZER_BPE_HPP

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "field.hpp"
#include "vocabulary.hpp"

namespace grpo::text {

// The table of merges: two neighbouring ids to their rank (lower is earlier) and to the id they become.
class MergeTable {
 public:
  struct Merge {
    uint32_t rank;  // none: no such merge
    int32_t id;
  };
  static constexpr uint32_t none = UINT32_MAX;

  void reserve(std::size_t merges);
  void insert(int32_t left, int32_t right, Merge merge);  // the last of several for one pair counts
  Merge find(int32_t left, int32_t right) const;

 private:
  struct Slot {
    uint64_t key = UINT64_MAX;
    Merge merge{none, -1};
  };
  static uint64_t key_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  std::size_t slot_of(uint64_t key) const { return (key * 0x9E3779B97F4A7C15u) >> shift_; }
  std::vector<Slot> slots_ = std::vector<Slot>(1);
  unsigned shift_ = 63;
};

class Bpe {
 public:
  // Reads "model"; its vocabulary goes into `vocabulary`, which must outlive this object at the same address.
  // `bytes`: pieces are bytes that the vocabulary spells in the byte alphabet.
  Bpe(const Field& model, Vocabulary& vocabulary, bool bytes);

  // Appends the ids of one piece. Any thread.
  void encode(std::string_view piece, std::vector<int32_t>& ids) const;

 private:
  void read_merges(const Field& merges);
  void index_characters();
  void encode_uncached(std::string_view piece, std::vector<int32_t>& ids) const;
  void encode_text(std::string_view text, std::vector<int32_t>& ids) const;
  void append_symbols(std::string_view text, std::vector<int32_t>& symbols) const;
  void merge(std::vector<int32_t>& symbols) const;
  void merge_long(std::vector<int32_t>& symbols) const;

  const Vocabulary& vocabulary_;
  MergeTable merges_;
  bool bytes_, ignore_merges_, fuse_unk_, byte_fallback_;
  std::string unk_token_;
  std::optional<int32_t> unk_id_;
  std::array<int32_t, 256> byte_ids_;                     // bytes_: id of each byte's character, -1 for none
  std::array<int32_t, 256> fallback_ids_;                 // id of <0xHH>, -1 for none
  std::vector<int32_t> character_ids_;                    // by code point, -1 for none
  std::unordered_map<std::string, int32_t> whole_words_;  // bytes_ and ignore_merges_: what a whole piece may be
  uint64_t serial_;                                       // tells this model's entries in the word cache from another's
};

}  // namespace grpo::text

#endif
