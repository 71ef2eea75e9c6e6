#include "scratch.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>

#include "fault.hpp"

namespace grpo::plugins::check {
namespace {

constexpr std::size_t guard = 64;
constexpr unsigned char guard_byte = 0xA7;
constexpr std::size_t alignment = 64;

std::size_t rounded(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

bool intact(const unsigned char* at, std::size_t bytes) {
  static const std::array<unsigned char, 2 * guard> whole = [] {
    std::array<unsigned char, 2 * guard> out;
    out.fill(guard_byte);
    return out;
  }();
  return std::memcmp(at, whole.data(), std::min(bytes, whole.size())) == 0;
}

// The guard behind reaches to the next multiple of the alignment, so it begins with the first byte outside.
std::size_t guard_behind(std::size_t bytes) { return guard + rounded(bytes, alignment) - bytes; }

}  // namespace

Scratch::Scratch(std::size_t first_bytes) : first_bytes_(first_bytes) { Fault::install(); }

Scratch::~Scratch() {
  for (const Region& region : regions_) {
    Fault::forget(region.entry);
    munmap(region.base, region.size + static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  }
}

Scratch::Region& Scratch::add_region(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t size = rounded(std::max(bytes, first_bytes_ << std::min<std::size_t>(regions_.size(), 16)), page);
  void* base = mmap(nullptr, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (base == MAP_FAILED) throw std::bad_alloc();
  mprotect(static_cast<char*>(base) + size, page, PROT_NONE);  // what runs far past the end ends there
  regions_.push_back({static_cast<char*>(base), size, 0, Fault::watch(base, size, &touched_)});
  return regions_.back();
}

void Scratch::begin() {
  for (Region& region : regions_) {
    Fault::give_back(region.entry);
    region.used = 0;
  }
  current_ = 0;
  inputs_.clear();
  locked_.clear();
  originals_.clear();
  texts_.clear();
  results_.clear();
  allocations_.clear();
}

void Scratch::end() {
  for (const Region& region : regions_) {
    if (region.used == 0) continue;
    if (region.entry == Fault::none) std::memset(region.base, poison, region.used);
    Fault::take_away(region.entry);
  }
}

void Scratch::copy_bytes(void* to, const void* from, std::size_t bytes) {
  if (bytes) std::memcpy(to, from, bytes);
}

void* Scratch::take(std::size_t bytes) {
  const std::size_t whole = rounded(bytes, 16);
  while (current_ < regions_.size() && regions_[current_].size - regions_[current_].used < whole) ++current_;
  Region& region = current_ < regions_.size() ? regions_[current_] : add_region(whole);
  void* out = region.base + region.used;
  region.used += whole;
  return out;
}

void* Scratch::guarded(std::size_t bytes) {
  const std::size_t behind = guard_behind(bytes);
  auto* at = static_cast<char*>(take(guard + bytes + behind + alignment));
  at = reinterpret_cast<char*>(rounded(reinterpret_cast<std::uintptr_t>(at), alignment));
  std::memset(at, guard_byte, guard);
  std::memset(at + guard + bytes, guard_byte, behind);
  return at + guard;
}

void* Scratch::structure(const void* from, std::size_t theirs, std::size_t ours) {
  const std::size_t bytes = std::max(theirs, ours);
  void* mine = take(bytes);
  std::memset(mine, 0, bytes);
  std::memcpy(mine, from, theirs);
  return mine;
}

void Scratch::lock_bytes(const void* mine, std::size_t bytes, const char* what) {
  const std::size_t offset = originals_.size();
  originals_.insert(originals_.end(), static_cast<const char*>(mine), static_cast<const char*>(mine) + bytes);
  locked_.push_back({mine, offset, bytes, what});
}

const char* Scratch::name(const char* text, const char* what) {
  return text ? input(text, static_cast<std::int64_t>(std::strlen(text)) + 1, what) : nullptr;
}

const grpo_str* Scratch::texts(const grpo_str* from, std::int64_t n, const char* what, const char* whose) {
  if (!from || n < 0) return from;
  std::size_t bytes = 0;
  for (std::int64_t i = 0; i < n; ++i) bytes += static_cast<std::size_t>(from[i].size) + 1;
  auto* mine = static_cast<grpo_str*>(take(static_cast<std::size_t>(n) * sizeof(grpo_str)));
  char* at = static_cast<char*>(take(bytes));
  texts_.push_back({mine, from, at, n, what, whose});
  for (std::int64_t i = 0; i < n; ++i) {
    const auto size = static_cast<std::size_t>(from[i].size);
    copy_bytes(at, from[i].data, size);
    at[size] = 0;
    mine[i] = {at, from[i].size};
    at += size + 1;
  }
  return mine;
}

bool Scratch::same(const Texts& t, std::int64_t& at) const {
  const char* expected = t.first;
  for (at = 0; at < t.n; ++at) {
    const grpo_str& theirs = t.theirs[at];
    const auto size = static_cast<std::size_t>(theirs.size);
    if (t.mine[at].data != expected || t.mine[at].size != theirs.size || expected[size] != 0 ||
        (size > 0 && std::memcmp(expected, theirs.data, size) != 0))
      return false;
    expected += size + 1;
  }
  return true;
}

void Scratch::copy_out() const {
  for (const Result& r : results_) copy_bytes(r.theirs, r.mine, r.bytes);
}

void* Scratch::allocate(std::int64_t bytes) {
  std::lock_guard lock(mutex_);
  const auto size = static_cast<std::size_t>(bytes);
  void* mine = guarded(size);
  std::memset(mine, 0, size);
  allocations_.push_back({mine, nullptr, size, "memory from call->alloc"});
  return mine;
}

Damage Scratch::damage() const {
  for (const Range& r : inputs_)
    if (r.bytes > 0 && std::memcmp(r.mine, r.theirs, r.bytes) != 0) return {Damage::Kind::input, r.what};
  for (const Locked& l : locked_)
    if (std::memcmp(l.mine, originals_.data() + l.offset, l.bytes) != 0) return {Damage::Kind::input, l.what};
  for (const Texts& t : texts_)
    if (std::int64_t at = 0; !same(t, at))
      return {Damage::Kind::input, std::string(t.what) + " of " + t.whose + " " + std::to_string(at)};
  const auto beside = [](const Result& r) -> const char* {
    const auto* mine = static_cast<const unsigned char*>(r.mine);
    if (!intact(mine - guard, guard)) return "before the beginning of ";
    return intact(mine + r.bytes, guard_behind(r.bytes)) ? nullptr : "past the end of ";
  };
  for (const Result& r : results_)
    if (const char* where = beside(r)) return {Damage::Kind::result, where + std::string(r.what)};
  for (const Result& r : allocations_)
    if (const char* where = beside(r)) {
      const std::string which = where + std::to_string(r.bytes) + " bytes of " + r.what;
      return {Damage::Kind::allocation, which};
    }
  return {};
}

bool Scratch::contains(const void* p) const {
  const auto* at = static_cast<const char*>(p);
  return std::any_of(regions_.begin(), regions_.end(),
                     [at](const Region& r) { return at >= r.base && at < r.base + r.size; });
}

}  // namespace grpo::plugins::check
