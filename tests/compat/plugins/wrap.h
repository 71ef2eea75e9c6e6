/* wrap.h: a fake plugin under the name `compat`, for one revision of the headers or another.
 *
 * Built with the recorded headers it is the fake. Built with later ones (see `later`) it looks at the new field of
 * every struct that it is given: a host of its own revision sets it to 7, an older one never had it, and then
 * struct_size must say so. In what it gives the new field is 9, its table has later_call, and its library has a
 * component of an interface that no host knows. */
#ifndef GRPO_TESTS_COMPAT_WRAP_H
#define GRPO_TESTS_COMPAT_WRAP_H

#include <grpo/decode.h>
#include <grpo/optimizer.h>
#include <grpo/reward.h>
#include <grpo/sampler.h>
#include <string.h>

/* The fake's own introduction is left out. */
#pragma push_macro("GRPO_MANIFEST")
#undef GRPO_MANIFEST
#undef GRPO_PLUGIN_ONE
#define GRPO_MANIFEST(...) typedef int fake_has_no_manifest
#define GRPO_PLUGIN_ONE(id, name, table) typedef int fake_has_no_entry

static uint32_t host_revision; /* of the headers that the host was built with */

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define COMPAT_CHECK(call, condition)                                                                           \
  do {                                                                                                          \
    if (!(condition)) return grpo_fail(call, GRPO_STATUS_INVALID, __FILE__ ":" TEXT(__LINE__) ": " #condition); \
  } while (0)

#ifdef COMPAT_LATER
#include <grpo/oracle.h>
#define COMPAT_GIVES(p) (p)->later = 9
#define COMPAT_MANIFEST(id, name, ...) \
  GRPO_MANIFEST({"name" : name, "version" : "2.0.0", "licence" : "MIT", "later" : {"key" : [1]}, "components" : [ \
    {"interface" : id, "name" : "compat", "later" : true __VA_ARGS__}, {"interface" : "grpo.oracle/1", "name" : "delphi"} \
  ]})
static grpo_status later_call(uint64_t value, uint64_t* out) { return *out = value + 1, GRPO_STATUS_OK; }
#define COMPAT_LATER_TABLE(t) (t).later = 9, (t).later_call = later_call
static grpo_status oracle_open(const grpo_call* call, const grpo_options* options, void** handle) {
  return (void)call, (void)options, *handle = NULL, GRPO_STATUS_OK;
}
static void oracle_close(void* handle) { (void)handle; }
static const grpo_oracle oracle = {.struct_size = sizeof(grpo_oracle), .open = oracle_open, .close = oracle_close};
static const grpo_component delphi = {
    .struct_size = sizeof delphi, .interface_id = GRPO_ORACLE_ID, .name = "delphi", .table = &oracle, .later = 9};
#define COMPAT_DELPHI , &delphi
/* What the host made. */
#define COMPAT_TAKES(call, p) \
  COMPAT_CHECK(call,          \
               host_revision >= GRPO_HEADER_REVISION ? GRPO_HAS(p, later) && (p)->later == 7 : !GRPO_HAS(p, later))
/* What another plugin made, of whichever revision: nothing but the default. */
#define COMPAT_MEETS(call, p) COMPAT_CHECK(call, !GRPO_HAS(p, later) || (p)->later == 0)
/* What the host made for another plugin, which passed it on. */
#define COMPAT_PASSED(call, p) COMPAT_CHECK(call, !GRPO_HAS(p, later) || (p)->later == 0 || (p)->later == 7)
#else
#define COMPAT_GIVES(p) (void)(p)
#define COMPAT_LATER_TABLE(t) (void)(t)
#define COMPAT_MANIFEST(id, name, ...) \
  GRPO_MANIFEST({"name" : name, "version" : "1.0.0", "licence" : "MIT", "components" : [ {"interface" : id, "name" : "compat" __VA_ARGS__} ]})
#define COMPAT_DELPHI
#define COMPAT_TAKES(call, p) (void)(call), (void)(p)
#define COMPAT_MEETS(call, p) (void)(call), (void)(p)
#define COMPAT_PASSED(call, p) (void)(call), (void)(p)
#endif

/* open of the fake, between two looks at what came. */
#define COMPAT_OPEN(inner, own)                                                                       \
  static grpo_status compat_open(const grpo_call* call, const grpo_options* options, void** handle) { \
    COMPAT_TAKES(call, call);                                                                         \
    COMPAT_TAKES(call, options);                                                                      \
    COMPAT_CHECK(call, options->component == &(own) && !strcmp(options->component->name, "compat"));  \
    return inner(call, options, handle);                                                              \
  }

/* The entry of a library with the component `only`; prepare(): fills its table. */
#define COMPAT_ENTRY(only, prepare)                                                       \
  GRPO_EXTERN_C GRPO_EXPORT const grpo_plugin* grpo_plugin_entry(const grpo_host* host) { \
    static const grpo_component* const list[] = {&(only)COMPAT_DELPHI};                   \
    static grpo_plugin plugin = {.struct_size = sizeof(grpo_plugin),                      \
                                 .header_revision = GRPO_HEADER_REVISION,                 \
                                 .abi = GRPO_ABI,                                         \
                                 .n_components = sizeof list / sizeof *list,              \
                                 .components = list};                                     \
    COMPAT_GIVES(&plugin);                                                                \
    host_revision = host->header_revision;                                                \
    prepare();                                                                            \
    return grpo_plugin_answer(host, &plugin);                                             \
  }                                                                                       \
  typedef int compat_entry_wants_a_semicolon

#endif
