/* plugin.h: what a library exports, one function and one text.
 *
 * Main idea. The text (the manifest) is read straight from the file, so scanning a directory runs nobody's code. The
 * function (the entry) hands over tables of functions; whatever a plugin needs later reaches it through a grpo_call.
 *
 * Loading, as it happens:
 *   1. The host reads the manifests. It knows names, versions, licences, interfaces and options of all libraries.
 *   2. For one that the run uses: dlopen(RTLD_NOW | RTLD_LOCAL), then grpo_plugin_entry(host), once. Never unloaded.
 *   3. The entry answers with a grpo_plugin, or calls host->refuse and returns NULL. The host checks the answer.
 *   4. The host picks a component, calls open in its table, works with the handle, calls close.
 *
 * A whole plugin: GRPO_MANIFEST({...}); the functions; their table; GRPO_PLUGIN_ONE(...).
 *
 * Build with hidden visibility and a version script that leaves grpo_plugin_entry alone: the host refuses a library that
 * exports anything else, because RTLD_LOCAL does not keep two plugins' inline C++ globals apart. */
#ifndef GRPO_PLUGIN_H
#define GRPO_PLUGIN_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

#define GRPO_ABI 1 /* changes only if the rules of base.h do */

/* [grows] The host's, [static]. The first 16 bytes never change, whatever the ABI. */
typedef struct grpo_host grpo_host;
struct grpo_host {
  uint32_t struct_size, header_revision;
  uint32_t abi_min, abi_max; /* the range this host speaks */
  const char* name;          /* "grpo-host 1.2.0", for messages */

  /* [any thread] Inside the entry only: why it is about to return NULL. Copied. */
  void (*refuse)(const grpo_host* host, const char* text, int64_t size);
};

/* [grows] The plugin's, [static]. */
struct grpo_component {
  uint32_t struct_size, flags;
  const char* interface_id; /* "grpo.reward/1"; a host skips interfaces it does not know */
  const char* name;         /* unique for its interface in this library; the manifest lists the same */
  const void* table;        /* grpo_reward, grpo_sampler, grpo_model or grpo_optimizer */
};

/* [grows] The plugin's, [static]. The first 16 bytes never change, whatever the ABI. */
typedef struct grpo_plugin {
  uint32_t struct_size, header_revision;
  uint32_t abi, n_components;
  const grpo_component* const* components; /* [n_components] */
} grpo_plugin;

/* Every table starts with these, in this order, so a loader can treat all kinds alike. [frozen]
 * as a prefix: the tables themselves grow. */
typedef struct grpo_table {
  uint32_t struct_size, flags; /* flags: see each interface */

  /* [any thread] The new handle to *handle (NULL is a handle too); on failure nothing to close. */
  grpo_status (*open)(const grpo_call* call, const grpo_options* options, void** handle);

  /* [one at a time per handle] The last call on this handle; where the interface says same thread, on that thread. */
  void (*close)(void* handle);

  /* [one at a time per handle] An optional interface of this handle by id: its table, [handle], or NULL. Its functions
   * take this handle first, or what they made of it. The whole function may be NULL: no optional interfaces. */
  const void* (*query)(void* handle, const char* id);
} grpo_table;

typedef const grpo_plugin* grpo_plugin_entry_fn(const grpo_host* host);

#define GRPO_EXPORT __attribute__((visibility("default")))
GRPO_EXPORT const grpo_plugin* grpo_plugin_entry(const grpo_host* host);

/* The manifest: JSON, written unquoted, under 4,000 characters; a library may hold several (one for each component).
 *   name, version, licence     of the library; licence as SPDX
 *   components                 [{interface, name, options, offers}]; options: {key: {type, default, minimum, ...}};
 *                              {"type": "string", "format": "path"}: relative to the file that the user wrote it in;
 *                              offers: optional interfaces that query may give
 *   requires                   {"libtorch": "2.11.0"}: what must be loaded once and in this version in a process
 * In the file: section .grpo.manifest, documents "GRPO1 {...}", each ended by a 0. */
#define GRPO_MANIFEST(...) GRPO_MANIFEST_AT_(__LINE__, #__VA_ARGS__)
#define GRPO_MANIFEST_AT_(line, text) GRPO_MANIFEST_IN_(line, text)
#define GRPO_MANIFEST_IN_(line, text)                                                                                  \
  __attribute__((section(".grpo.manifest"), used GRPO_RETAIN_, aligned(1))) static const char grpo_manifest_##line[] = \
      "GRPO1 " text
#if defined(__has_attribute)
#if __has_attribute(retain)
#define GRPO_RETAIN_ , retain /* `used` alone does not survive --gc-sections */
#endif
#endif
#ifndef GRPO_RETAIN_
#define GRPO_RETAIN_
#endif

/* Text, then number, at to[at]; the place after them. */
static inline int64_t grpo_plugin_say(char* to, int64_t at, const char* text, uint32_t number) {
  uint32_t unit = 1;
  for (; *text; ++text) to[at++] = *text;
  while (number / unit >= 10) unit *= 10;
  for (; unit; unit /= 10) to[at++] = (char)('0' + number / unit % 10);
  return at;
}

/* Answers the host: the plugin, or NULL with a reason. */
static inline const grpo_plugin* grpo_plugin_answer(const grpo_host* host, const grpo_plugin* plugin) {
  char why[128];
  int64_t size;
  if (host->abi_min <= plugin->abi && plugin->abi <= host->abi_max) return plugin;
  size = grpo_plugin_say(why, 0, "this plugin speaks GRPO ABI ", plugin->abi);
  size = grpo_plugin_say(why, size, ", the host speaks ABI ", host->abi_min);
  if (host->abi_max != host->abi_min) size = grpo_plugin_say(why, size, " to ", host->abi_max);
  host->refuse(host, why, size);
  return NULL;
}

/* The entry of a library whose components are in a `static const grpo_component* const list[]`. */
#define GRPO_PLUGIN(list)                                                                   \
  GRPO_EXTERN_C GRPO_EXPORT const grpo_plugin* grpo_plugin_entry(const grpo_host* host) {   \
    static const grpo_plugin plugin = {sizeof(grpo_plugin), GRPO_HEADER_REVISION, GRPO_ABI, \
                                       (uint32_t)(sizeof(list) / sizeof((list)[0])), list}; \
    return grpo_plugin_answer(host, &plugin);                                               \
  }                                                                                         \
  typedef int grpo_plugin_wants_a_semicolon

/* The entry of a library with a single component. */
#define GRPO_PLUGIN_ONE(interface_id, name, table)                                                          \
  static const grpo_component grpo_only_component = {sizeof(grpo_component), 0, interface_id, name, table}; \
  static const grpo_component* const grpo_only_list[] = {&grpo_only_component};                             \
  GRPO_PLUGIN(grpo_only_list)

#ifdef __cplusplus
}
#endif
#endif
