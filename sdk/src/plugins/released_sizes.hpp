// released_sizes.hpp: the size of every [grows] struct when it was first released: its oldest maker states that. A
// reader compares struct_size with it, never with sizeof, which grows. Made by tools/abi-record from c_api/abi.
#ifndef GRPO_PLUGINS_RELEASED_SIZES_HPP
#define GRPO_PLUGINS_RELEASED_SIZES_HPP

#include <cstddef>

struct grpo_backward;
struct grpo_call;
struct grpo_column;
struct grpo_comm;
struct grpo_comm_group;
struct grpo_completion;
struct grpo_component;
struct grpo_decode;
struct grpo_decode_assign;
struct grpo_decode_fork;
struct grpo_decode_info;
struct grpo_decode_prefill;
struct grpo_decode_session;
struct grpo_decode_step;
struct grpo_embed_batch;
struct grpo_embed_column;
struct grpo_embed_gradient;
struct grpo_embed_reward_wanted;
struct grpo_embed_scores;
struct grpo_embed_tokens;
struct grpo_embed_trainer_wanted;
struct grpo_feed;
struct grpo_forest;
struct grpo_forward;
struct grpo_host;
struct grpo_log;
struct grpo_metrics;
struct grpo_model;
struct grpo_model_info;
struct grpo_named_tensor;
struct grpo_optimizer;
struct grpo_optimizer_step;
struct grpo_options;
struct grpo_parameter;
struct grpo_plugin;
struct grpo_request;
struct grpo_reward;
struct grpo_reward_batch;
struct grpo_reward_result;
struct grpo_sampler;
struct grpo_sampler_binding;
struct grpo_sampler_info;
struct grpo_sampling;
struct grpo_slice;
struct grpo_tasks;
struct grpo_tensor;
struct grpo_tensor_sink;
struct grpo_tensor_source;
struct grpo_tokenizer;

namespace grpo::plugins {

template <class Struct>
inline constexpr std::size_t released_size = 0;

template <>
inline constexpr std::size_t released_size<grpo_backward> = 32;
template <>
inline constexpr std::size_t released_size<grpo_call> = 64;
template <>
inline constexpr std::size_t released_size<grpo_column> = 48;
template <>
inline constexpr std::size_t released_size<grpo_comm> = 56;
template <>
inline constexpr std::size_t released_size<grpo_comm_group> = 32;
template <>
inline constexpr std::size_t released_size<grpo_completion> = 96;
template <>
inline constexpr std::size_t released_size<grpo_component> = 32;
template <>
inline constexpr std::size_t released_size<grpo_decode> = 80;
template <>
inline constexpr std::size_t released_size<grpo_decode_assign> = 40;
template <>
inline constexpr std::size_t released_size<grpo_decode_fork> = 32;
template <>
inline constexpr std::size_t released_size<grpo_decode_info> = 16;
template <>
inline constexpr std::size_t released_size<grpo_decode_prefill> = 64;
template <>
inline constexpr std::size_t released_size<grpo_decode_session> = 24;
template <>
inline constexpr std::size_t released_size<grpo_decode_step> = 88;
template <>
inline constexpr std::size_t released_size<grpo_embed_batch> = 128;
template <>
inline constexpr std::size_t released_size<grpo_embed_column> = 48;
template <>
inline constexpr std::size_t released_size<grpo_embed_gradient> = 40;
template <>
inline constexpr std::size_t released_size<grpo_embed_reward_wanted> = 40;
template <>
inline constexpr std::size_t released_size<grpo_embed_scores> = 40;
template <>
inline constexpr std::size_t released_size<grpo_embed_tokens> = 120;
template <>
inline constexpr std::size_t released_size<grpo_embed_trainer_wanted> = 88;
template <>
inline constexpr std::size_t released_size<grpo_feed> = 32;
template <>
inline constexpr std::size_t released_size<grpo_forest> = 72;
template <>
inline constexpr std::size_t released_size<grpo_forward> = 72;
template <>
inline constexpr std::size_t released_size<grpo_host> = 32;
template <>
inline constexpr std::size_t released_size<grpo_log> = 32;
template <>
inline constexpr std::size_t released_size<grpo_metrics> = 24;
template <>
inline constexpr std::size_t released_size<grpo_model> = 104;
template <>
inline constexpr std::size_t released_size<grpo_model_info> = 104;
template <>
inline constexpr std::size_t released_size<grpo_named_tensor> = 24;
template <>
inline constexpr std::size_t released_size<grpo_optimizer> = 72;
template <>
inline constexpr std::size_t released_size<grpo_optimizer_step> = 32;
template <>
inline constexpr std::size_t released_size<grpo_options> = 64;
template <>
inline constexpr std::size_t released_size<grpo_parameter> = 32;
template <>
inline constexpr std::size_t released_size<grpo_plugin> = 24;
template <>
inline constexpr std::size_t released_size<grpo_request> = 72;
template <>
inline constexpr std::size_t released_size<grpo_reward> = 40;
template <>
inline constexpr std::size_t released_size<grpo_reward_batch> = 152;
template <>
inline constexpr std::size_t released_size<grpo_reward_result> = 48;
template <>
inline constexpr std::size_t released_size<grpo_sampler> = 104;
template <>
inline constexpr std::size_t released_size<grpo_sampler_binding> = 40;
template <>
inline constexpr std::size_t released_size<grpo_sampler_info> = 24;
template <>
inline constexpr std::size_t released_size<grpo_sampling> = 80;
template <>
inline constexpr std::size_t released_size<grpo_slice> = 56;
template <>
inline constexpr std::size_t released_size<grpo_tasks> = 32;
template <>
inline constexpr std::size_t released_size<grpo_tensor> = 72;
template <>
inline constexpr std::size_t released_size<grpo_tensor_sink> = 24;
template <>
inline constexpr std::size_t released_size<grpo_tensor_source> = 40;
template <>
inline constexpr std::size_t released_size<grpo_tokenizer> = 56;

}  // namespace grpo::plugins

#endif
