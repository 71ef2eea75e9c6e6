#include "bpe.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <queue>

#include "unicode.hpp"

namespace grpo::text {

void MergeTable::reserve(std::size_t merges) {
  std::size_t capacity = 2;
  shift_ = 63;
  while (capacity < 2 * merges) {
    capacity *= 2;
    --shift_;
  }
  slots_.assign(capacity, Slot{});
}

void MergeTable::insert(int32_t left, int32_t right, Merge merge) {
  const uint64_t key = key_of(left, right);
  std::size_t slot = slot_of(key);
  while (slots_[slot].key != UINT64_MAX && slots_[slot].key != key) slot = (slot + 1) & (slots_.size() - 1);
  slots_[slot] = {key, merge};
}

MergeTable::Merge MergeTable::find(int32_t left, int32_t right) const {
  const uint64_t key = key_of(left, right);
  for (std::size_t slot = slot_of(key); slots_[slot].key != UINT64_MAX; slot = (slot + 1) & (slots_.size() - 1)) {
    if (slots_[slot].key == key) return slots_[slot].merge;
  }
  return {none, -1};
}

namespace {

std::atomic<uint64_t> next_serial{1};

// The pieces met last, by thread: most text repeats few words, and a thread's own table needs no lock.
class WordCache {
 public:
  static constexpr std::size_t longest_word = 22, most_ids = 8;

  struct Entry {
    uint64_t serial = 0;  // of the model; 0: unused
    uint8_t length = 0, count = 0;
    char word[longest_word];
    int32_t ids[most_ids];
  };

  Entry& entry(uint64_t serial, std::string_view word) {
    uint64_t hash = 0xCBF29CE484222325u ^ serial;
    for (const char c : word) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
    return entries_[(hash ^ hash >> 32) & (size - 1)];
  }

 private:
  static constexpr std::size_t size = 8192;
  std::unique_ptr<Entry[]> entries_ = std::make_unique<Entry[]>(size);
};

WordCache& word_cache() {
  thread_local WordCache cache;
  return cache;
}

void refuse_affix(const Field& model, std::string_view key) {
  const std::optional<Field> affix = model.find(key);
  if (affix && !affix->string().empty()) affix->fail("a prefix or suffix of subwords is not supported");
}

}  // namespace

Bpe::Bpe(const Field& model, Vocabulary& vocabulary, bool bytes) : vocabulary_(vocabulary), bytes_(bytes) {
  if (const std::optional<Field> type = model.find("type"); type && type->string() != "BPE") {
    type->fail_unsupported(type->string(), "BPE");
  }
  refuse_affix(model, "continuing_subword_prefix");
  refuse_affix(model, "end_of_word_suffix");
  if (const std::optional<Field> dropout = model.find("dropout"); dropout && dropout->value() != 0) {
    dropout->fail("random dropout of merges is not supported; set it to null");
  }
  ignore_merges_ = model.boolean("ignore_merges", false);
  fuse_unk_ = model.boolean("fuse_unk", false);
  byte_fallback_ = model.boolean("byte_fallback", false);

  const Field vocab = model.at("vocab");
  if (!vocab.value().is_object()) vocab.fail("is not an object of tokens and ids");
  vocabulary.reserve(vocab.value().size() + 1024);
  for (const auto& [token, id] : vocab.value().get_ref<const nlohmann::json::object_t&>()) {
    // The token is part of the path only where something is wrong with it.
    const int32_t number = id.is_number_unsigned() && id.get<uint64_t>() < (1u << 24)
                               ? static_cast<int32_t>(id.get<uint64_t>())
                               : vocab.at(token).token_id();
    if (!vocabulary.add(token, number)) {
      vocab.fail("the id " + std::to_string(number) + " belongs to " +
                 in_quotes(vocabulary.token(number).value_or("")) + " and to " + in_quotes(token));
    }
  }
  if (vocabulary.count() == 0) vocab.fail("is empty");
  if (const std::optional<Field> unk = model.find("unk_token")) {
    unk_id_ = vocabulary.id(unk->string());
    if (!unk_id_) unk->fail("the token " + in_quotes(unk->string()) + " is not in the vocabulary");
  }
  index_characters();
  read_merges(model.at("merges"));
  serial_ = next_serial.fetch_add(1, std::memory_order_relaxed);
}

void Bpe::read_merges(const Field& merges) {
  const std::size_t count = merges.size();
  merges_.reserve(count);
  std::string joined;
  uint32_t rank = 0;
  for (std::size_t i = 0; i < count; ++i) {
    const nlohmann::json& merge = merges.value()[i];
    std::string_view left, right;
    if (merge.is_string()) {
      const std::string_view pair = merge.get_ref<const std::string&>();
      if (pair.substr(0, 8) == "#version") continue;
      const std::size_t space = pair.find(' ');
      if (space == std::string_view::npos || pair.find(' ', space + 1) != std::string_view::npos) {
        merges.at(i).fail(in_quotes(pair) + " is not two tokens with a space between");
      }
      left = pair.substr(0, space);
      right = pair.substr(space + 1);
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get_ref<const std::string&>();
      right = merge[1].get_ref<const std::string&>();
    } else {
      merges.at(i).fail("is neither \"left right\" nor [\"left\", \"right\"]");
    }
    joined.assign(left).append(right);
    const std::optional<int32_t> left_id = vocabulary_.id(left), right_id = vocabulary_.id(right),
                                 joined_id = vocabulary_.id(joined);
    if (!left_id || !right_id || !joined_id) {
      const std::string_view missing = !left_id ? left : !right_id ? right : std::string_view(joined);
      merges.at(i).fail("the token " + in_quotes(missing) + " is not in the vocabulary");
    }
    merges_.insert(*left_id, *right_id, {rank++, *joined_id});
  }
}

void Bpe::index_characters() {
  byte_ids_.fill(-1);
  fallback_ids_.fill(-1);
  for (std::size_t id = 0; id < vocabulary_.size(); ++id) {
    const auto number = static_cast<int32_t>(id);
    const std::optional<std::string_view> token = vocabulary_.token(number);
    if (!token || token->empty()) continue;
    std::size_t end = 0;
    const char32_t character = next_character(*token, end);
    if (end == token->size()) {
      if (character >= character_ids_.size()) character_ids_.resize(character + 1, -1);
      character_ids_[character] = number;
    }
    if (bytes_ && ignore_merges_) {
      std::string spelled;
      if (append_spelled_bytes(spelled, *token)) whole_words_.emplace(std::move(spelled), number);
    }
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    const char32_t character = byte_character(static_cast<unsigned char>(byte));
    if (character < character_ids_.size()) byte_ids_[byte] = character_ids_[character];
    char name[8];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    fallback_ids_[byte] = vocabulary_.id(name).value_or(-1);
  }
}

void Bpe::encode(std::string_view piece, std::vector<int32_t>& ids) const {
  if (piece.size() > WordCache::longest_word) return encode_uncached(piece, ids);
  WordCache::Entry& entry = word_cache().entry(serial_, piece);
  if (entry.serial == serial_ && entry.length == piece.size() &&
      std::memcmp(entry.word, piece.data(), piece.size()) == 0) {
    ids.insert(ids.end(), entry.ids, entry.ids + entry.count);
    return;
  }
  const std::size_t before = ids.size();
  encode_uncached(piece, ids);
  const std::size_t count = ids.size() - before;
  if (count > WordCache::most_ids) return;
  entry.serial = serial_;
  entry.length = static_cast<uint8_t>(piece.size());
  entry.count = static_cast<uint8_t>(count);
  std::memcpy(entry.word, piece.data(), piece.size());
  std::copy(ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end(), entry.ids);
}

void Bpe::encode_uncached(std::string_view piece, std::vector<int32_t>& ids) const {
  if (!bytes_) return encode_text(piece, ids);
  if (ignore_merges_) {
    const auto word = whole_words_.find(std::string(piece));
    if (word != whole_words_.end()) {
      ids.push_back(word->second);
      return;
    }
  }
  std::vector<int32_t> symbols;
  symbols.reserve(piece.size());
  for (const char c : piece) {
    const int32_t id = byte_ids_[static_cast<unsigned char>(c)];
    if (id >= 0) {
      symbols.push_back(id);
    } else if (unk_id_ || byte_fallback_) {  // a byte without a token is then a character without one
      std::string text;
      append_byte_characters(text, piece);
      return encode_text(text, ids);
    }  // else it vanishes, and its neighbours may merge
  }
  merge(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

void Bpe::encode_text(std::string_view text, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    if (const std::optional<int32_t> whole = vocabulary_.id(text)) {
      ids.push_back(*whole);
      return;
    }
  }
  std::vector<int32_t> symbols;
  append_symbols(text, symbols);
  merge(symbols);
  ids.insert(ids.end(), symbols.begin(), symbols.end());
}

// A character becomes its token; else the tokens of its bytes; else the unknown token, which waits for the next known
// character, so that fuse_unk makes one of a row. (Byte tokens do not end the wait: so does the original.)
void Bpe::append_symbols(std::string_view text, std::vector<int32_t>& symbols) const {
  bool unknown = false;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t character = next_character(text, at);
    const int32_t id = character < character_ids_.size() ? character_ids_[character] : -1;
    if (id >= 0) {
      if (unknown) symbols.push_back(*unk_id_);
      unknown = false;
      symbols.push_back(id);
      continue;
    }
    if (byte_fallback_) {
      const std::string_view bytes = text.substr(begin, at - begin);
      const auto fallback = [&](char c) { return fallback_ids_[static_cast<unsigned char>(c)]; };
      if (std::all_of(bytes.begin(), bytes.end(), [&](char c) { return fallback(c) >= 0; })) {
        for (const char c : bytes) symbols.push_back(fallback(c));
        continue;
      }
    }
    if (!unk_id_) continue;
    if (unknown && !fuse_unk_) symbols.push_back(*unk_id_);
    unknown = true;
  }
  if (unknown) symbols.push_back(*unk_id_);
}

// The merge of lowest rank, the leftmost of equals, until there is none.
void Bpe::merge(std::vector<int32_t>& symbols) const {
  constexpr std::size_t few = 48;  // up to here looking at all pairs beats a queue
  if (symbols.size() > few) return merge_long(symbols);
  std::array<MergeTable::Merge, few> pairs;  // of symbols i and i + 1
  std::size_t count = symbols.size();
  for (std::size_t i = 0; i + 1 < count; ++i) pairs[i] = merges_.find(symbols[i], symbols[i + 1]);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == MergeTable::none) break;
    symbols[best] = pairs[best].id;
    for (std::size_t i = best + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      pairs[i - 1] = pairs[i];
    }
    --count;
    if (best > 0) pairs[best - 1] = merges_.find(symbols[best - 1], symbols[best]);
    if (best + 1 < count) pairs[best] = merges_.find(symbols[best], symbols[best + 1]);
  }
  symbols.resize(count);
}

void Bpe::merge_long(std::vector<int32_t>& symbols) const {
  struct Candidate {
    uint32_t rank;
    uint32_t at;
    int32_t left, right, id;
    bool operator<(const Candidate& other) const {  // the queue's top is the greatest: lowest rank, then leftmost
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const std::size_t count = symbols.size();
  constexpr uint32_t end = UINT32_MAX;
  std::vector<uint32_t> previous(count), next(count);
  std::vector<Candidate> start;
  const auto candidate = [&](uint32_t at, auto&& use) {
    const int32_t left = symbols[at], right = symbols[next[at]];
    const MergeTable::Merge merge = merges_.find(left, right);
    if (merge.rank != MergeTable::none) use(Candidate{merge.rank, at, left, right, merge.id});
  };
  for (uint32_t i = 0; i < count; ++i) {
    previous[i] = i == 0 ? end : i - 1;
    next[i] = i + 1 == count ? end : i + 1;
  }
  for (uint32_t i = 0; i + 1 < count; ++i) candidate(i, [&](const Candidate& c) { start.push_back(c); });
  std::priority_queue<Candidate> queue(std::less<Candidate>(), std::move(start));
  const auto push = [&](const Candidate& c) { queue.push(c); };
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    const uint32_t right = symbols[best.at] == best.left ? next[best.at] : end;
    if (right == end || symbols[right] != best.right) continue;  // a neighbour has merged since
    symbols[best.at] = best.id;
    symbols[right] = -1;
    next[best.at] = next[right];
    if (next[right] != end) previous[next[right]] = best.at;
    if (previous[best.at] != end) candidate(previous[best.at], push);
    if (next[best.at] != end) candidate(best.at, push);
  }
  std::erase(symbols, -1);
}

}  // namespace grpo::text
