// pages.hpp: memory that notices who touches it when he may not.
//
// Main idea. A block ends exactly where an inaccessible page begins, so one element too many is a fault; the bytes
// before it hold a pattern that is compared afterwards. A block can be made read-only (inputs) or inaccessible (what a
// call was given, once it is over), which it stays for a while after its end. The fault's handler finds the block by
// address, and the parent is told which rule it was.
#ifndef GRPO_VALIDATE_PAGES_HPP
#define GRPO_VALIDATE_PAGES_HPP

#include <cstddef>
#include <cstring>
#include <string>

namespace grpo::plugins::conformance {

class Pages {
 public:
  // `what`, for messages: "batch->completion". bytes may be 0. Zeroed.
  Pages(std::size_t bytes, std::string what);
  ~Pages();
  Pages(Pages&& other) noexcept;
  Pages& operator=(Pages&&) = delete;

  void* data() const { return data_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  std::size_t size() const { return bytes_; }
  const std::string& what() const { return what_; }

  void read_only();     // a write is a fault from now on
  void inaccessible();  // any access is
  bool intact() const;  // nobody wrote before the first byte

 private:
  void rule(const char* text);
  std::string what_;
  char* map_ = nullptr;
  std::size_t mapped_ = 0;  // with the page behind
  std::size_t bytes_ = 0;
  void* data_ = nullptr;
  int slot_ = -1;
};

template <class T>
Pages copied(const T* from, std::size_t n, std::string what) {
  Pages out(n * sizeof(T), std::move(what));
  if (n) std::memcpy(out.data(), from, n * sizeof(T));
  return out;
}

// Tells the parent, as {"fault": "..."}, what an address that faults belongs to, then lets the signal end the process.
void install_fault_handler();

}  // namespace grpo::plugins::conformance

#endif
