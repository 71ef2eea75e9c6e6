# grpo_add_plugin(name SOURCES ... [DEPS ...]): a plugin library NAME.so that exports grpo_plugin_entry and nothing else.
# Ships with the SDK: in a project of your own, find_package(grpo) defines it. Links only grpo::author and what DEPS names.
include(CMakeParseArguments)

function(grpo_add_plugin name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS" ${ARGN})
  set(script ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/grpo_plugin.map)
  add_library(${name} MODULE ${A_SOURCES})
  # C's compiler driver leaves out libm, which C++'s links; with -z defs below that would be an error at the first fmax.
  target_link_libraries(${name} PRIVATE grpo::author ${A_DEPS} -Wl,--push-state,--as-needed -lm -Wl,--pop-state)
  set_target_properties(${name} PROPERTIES
    PREFIX "" SUFFIX ".so" C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    LINK_DEPENDS ${script})
  # The least that the headers need; a project's own standard, if later, stands.
  get_property(languages GLOBAL PROPERTY ENABLED_LANGUAGES)
  if(C IN_LIST languages)
    target_compile_features(${name} PRIVATE c_std_11)
  endif()
  if(CXX IN_LIST languages)
    target_compile_features(${name} PRIVATE cxx_std_17)
  endif()
  target_compile_options(${name} PRIVATE -ffunction-sections -fdata-sections)
  # The version script also hides template and inline symbols of the C++ library, which hidden visibility lets through.
  target_link_options(${name} PRIVATE -Wl,--version-script=${script} -Wl,--gc-sections -Wl,--exclude-libs,ALL)
  if(NOT GRPO_SANITIZE) # a sanitizer's runtime is the host's
    target_link_options(${name} PRIVATE -Wl,-z,defs)
  endif()
  if(DEFINED GRPO_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${GRPO_PLUGIN_OUTPUT_DIRECTORY})
  endif()
endfunction()
