#include <google/protobuf/io/coded_stream.h>

#include <istream>
#include <ostream>

#include "grpo/sdk/error.hpp"
#include "wire/wire.hpp"

namespace grpo::plugins::wire {
namespace {

std::string in(const std::string& what) { return what.empty() ? "" : what + ": "; }

// Parses `size` bytes; false: they are no message of this type.
bool parse(google::protobuf::MessageLite& message, const char* bytes, std::size_t size) {
  google::protobuf::io::CodedInputStream coded(reinterpret_cast<const std::uint8_t*>(bytes), static_cast<int>(size));
  return message.ParseFromCodedStream(&coded) && coded.ConsumedEntireMessage();
}

}  // namespace

void append_delimited(std::string& out, const google::protobuf::MessageLite& message) {
  const std::size_t size = message.ByteSizeLong();
  if (size > longest_message)
    throw Error("a message of " + std::to_string(size) + " bytes; at most " + std::to_string(longest_message) + " fit");
  std::uint8_t length[10];
  const auto* end = google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(size, length);
  out.append(reinterpret_cast<const char*>(length), static_cast<std::size_t>(end - length));
  message.AppendToString(&out);
}

void write_delimited(std::ostream& out, const google::protobuf::MessageLite& message, const std::string& what) {
  std::string bytes;
  append_delimited(bytes, message);
  if (!out.write(bytes.data(), static_cast<std::streamsize>(bytes.size())))
    throw Error(in(what) + "cannot be written to; is the disk full?");
}

bool read_delimited(std::istream& stream, google::protobuf::MessageLite& message, const std::string& what) {
  std::uint64_t size = 0;
  for (int shift = 0;; shift += 7) {
    const int byte = stream.get();
    if (byte == std::istream::traits_type::eof()) {
      if (shift == 0) return false;
      throw Error(in(what) + "ends within the length of a message");
    }
    size |= static_cast<std::uint64_t>(byte & 0x7f) << shift;
    if (!(byte & 0x80)) break;
    if (shift >= 35) throw Error(in(what) + "holds no messages: a length has more than 5 bytes");
  }
  if (size > longest_message)
    throw Error(in(what) + "holds no messages: one would be " + std::to_string(size) + " bytes long");
  std::string bytes;
  constexpr std::size_t piece = 1 << 20;  // a length that lies does not cost its memory
  while (bytes.size() < size) {
    const std::size_t had = bytes.size(), want = std::min<std::size_t>(piece, size - had);
    bytes.resize(had + want);
    stream.read(bytes.data() + had, static_cast<std::streamsize>(want));
    if (static_cast<std::size_t>(stream.gcount()) != want)
      throw Error(in(what) + "ends within a message of " + std::to_string(size) + " bytes; was it cut off?");
  }
  if (!parse(message, bytes.data(), bytes.size())) throw Error(in(what) + "holds a message that cannot be read");
  return true;
}

bool take_delimited(std::string_view& bytes, google::protobuf::MessageLite& message, const std::string& what) {
  if (bytes.empty()) return false;
  google::protobuf::io::CodedInputStream coded(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                               static_cast<int>(std::min<std::size_t>(bytes.size(), 16)));
  std::uint64_t size = 0;
  if (!coded.ReadVarint64(&size)) throw Error(in(what) + "ends within the length of a message");
  const auto head = static_cast<std::size_t>(coded.CurrentPosition());
  if (size > longest_message || size > bytes.size() - head)
    throw Error(in(what) + "ends within a message of " + std::to_string(size) + " bytes; was it cut off?");
  if (!parse(message, bytes.data() + head, size)) throw Error(in(what) + "holds a message that cannot be read");
  bytes.remove_prefix(head + size);
  return true;
}

}  // namespace grpo::plugins::wire
