/* tensor.h: arrays on any device, and streams of named arrays.
 *
 * Main idea. A tensor is DLPack's DLTensor, bit for bit, plus where it is ready. Weights travel as a stream of named
 * tensors in Hugging Face names and layouts, so that any model can feed any sampler, any file and any other model.
 *
 * Order on a device. A tensor with a stream is ready in that stream's order. Who reads or writes it enqueues the work on
 * that stream; or makes a stream of its own wait for it first, and makes it wait for the work before returning. Nobody
 * synchronises the host. A tensor without a stream (0) is ready now. */
#ifndef GRPO_TENSOR_H
#define GRPO_TENSOR_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { GRPO_DEVICE_CPU = 1, GRPO_DEVICE_CUDA = 2, GRPO_DEVICE_CUDA_HOST = 3 }; /* as in DLPack */
enum { GRPO_TYPE_INT = 0, GRPO_TYPE_UINT = 1, GRPO_TYPE_FLOAT = 2, GRPO_TYPE_BFLOAT = 4, GRPO_TYPE_BOOL = 6 };

/* [frozen] DLTensor. The element (type, bits, lanes): fp32 is FLOAT, 32, 1; bf16 is BFLOAT, 16, 1. */
typedef struct grpo_dltensor {
  void* data;
  int32_t device_type, device_id;
  int32_t ndim;
  uint8_t type, bits;
  uint16_t lanes;
  int64_t* shape;   /* [ndim] */
  int64_t* strides; /* [ndim] in elements; NULL: row-major without gaps */
  uint64_t byte_offset;
} grpo_dltensor;

enum { GRPO_TENSOR_READ_ONLY = 1 };

/* [grows] Whose, and how long it lives: what points to it says. */
typedef struct grpo_tensor {
  uint32_t struct_size, flags; /* GRPO_TENSOR_* */
  grpo_dltensor dl;
  uint64_t stream;   /* where it is ready: 0 ready now, 1 CUDA's legacy stream, 2 the per-thread one, else a cudaStream_t */
  int64_t alignment; /* of data + byte_offset, in bytes; 0: the element's own */
} grpo_tensor;

/* [grows] As grpo_tensor. */
typedef struct grpo_named_tensor {
  uint32_t struct_size, flags;
  const char* name; /* "model.layers.0.self_attn.q_proj.weight" */
  const grpo_tensor* tensor;
} grpo_named_tensor;

/* What a sink takes beside tensors in host memory. */
enum {
  GRPO_SINK_DEVICE = 1, /* tensors on the sender's device; without it, the sender makes copies in host memory */
  GRPO_SINK_TRAINED = 2 /* of an ADAPTED model: the parameters that are trained, alone and as they are; without it, all
                         * weights with what was trained merged into them */
};

/* [grows] Takes tensors, whole ones, in any order. Made by the side that receives; it says how long it lives. */
typedef struct grpo_tensor_sink grpo_tensor_sink;
struct grpo_tensor_sink {
  uint32_t struct_size, flags; /* GRPO_SINK_* */
  void* owner;                 /* the receiver's own */

  /* [same thread, open to close] n tensors, [call]. On the way back all of them have been read, in stream order. */
  grpo_status (*put)(const grpo_tensor_sink* sink, const grpo_call* call, int64_t n, const grpo_named_tensor* const* tensors);
};

/* [grows] The caller's, [call]. Gives tensors by name, as a safetensors file does. Made by the side that has them. */
typedef struct grpo_tensor_source grpo_tensor_source;
struct grpo_tensor_source {
  uint32_t struct_size, flags;
  void* owner;
  int64_t n;                /* how many names */
  const char* const* names; /* [n] */

  /* [same thread, open to close] *tensor: NULL when there is no such name; valid until the next get or the end of the
   * call. Not OK: it could not be read. */
  grpo_status (*get)(const grpo_tensor_source* source, const grpo_call* call, const char* name, const grpo_tensor** tensor);
};

#ifdef __cplusplus
}
#endif
#endif
