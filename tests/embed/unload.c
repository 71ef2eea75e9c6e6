/* dlclose takes nothing away: plugins, a thread that hangs in one, and the checking layer's handler for SIGSEGV still
 * need the library's code. Usage: embed_unload LIBGRPO */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char** argv) {
  void* library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
  if (!library || !dlsym(library, "grpo_embed_version") || dlclose(library) != 0) {
    fprintf(stderr, "usage: %s LIBGRPO; %s\n", argv[0], argc == 2 ? dlerror() : "which is missing");
    return 2;
  }
  if (dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD)) return 0;
  fprintf(stderr, "%s is gone after dlclose\n", argv[1]);
  return 1;
}
