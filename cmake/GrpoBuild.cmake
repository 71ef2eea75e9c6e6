# How everything here is compiled, and the functions that declare a room (grpo_library) and its test (grpo_test).
include(GNUInstallDirs)
include(CMakeParseArguments)

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_C_STANDARD 11)
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
set(GRPO_PLUGIN_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/plugins)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # With these it also takes what is compiled against a precompiled header.
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_C_COMPILER_LAUNCHER})
  add_compile_options($<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>)
endif()

add_compile_options($<$<CONFIG:Release>:-g1>)
if(GRPO_SANITIZE)
  # Not optimised: it compiles in half the time, a stack names every caller, and GCC does not take what a sanitizer
  # inserts for an uninitialised value. Assertions of the C++ library see what lies beyond a vector's size, within its
  # capacity.
  add_compile_options(-fsanitize=${GRPO_SANITIZE} -fno-omit-frame-pointer -g1 -O0 -UNDEBUG)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  if(GRPO_SANITIZE MATCHES undefined) # the group lacks numbers that an integer cannot hold
    add_compile_options(-fsanitize=float-cast-overflow -fno-sanitize-recover=all)
  endif()
  add_link_options(-fsanitize=${GRPO_SANITIZE})
endif()

add_library(grpo_warnings INTERFACE)
target_compile_options(grpo_warnings INTERFACE -Wall -Wextra -Wpedantic -Werror
  # GCC 12 sees overlapping copies in "literal" + std::string (its bug 105651)
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)

# Headers that most files read, read once: for the rooms that use JSON, and for the tests. Nobody may rely on them: the
# preset debug builds without (CMAKE_DISABLE_PRECOMPILE_HEADERS).
function(grpo_precompiled_headers name) # for targets that link what DEPS names; HEADERS...
  cmake_parse_arguments(A "EXECUTABLE" "" "HEADERS;DEPS;OPTIONS" ${ARGN})
  set(source ${PROJECT_BINARY_DIR}/pch/${name}.cpp)
  file(CONFIGURE OUTPUT ${source} CONTENT "// Carries the precompiled headers of ${name}.\n")
  if(A_EXECUTABLE) # position-independent in another way than a library: the headers must be compiled in that way
    file(CONFIGURE OUTPUT ${source} CONTENT "// Carries the precompiled headers of ${name}.\nint main() {}\n")
    add_executable(${name} ${source})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/pch)
  else()
    add_library(${name} STATIC ${source})
  endif()
  target_link_libraries(${name} PRIVATE grpo_warnings ${A_DEPS})
  target_compile_options(${name} PRIVATE ${A_OPTIONS})
  target_precompile_headers(${name} PRIVATE ${A_HEADERS})
endfunction()
grpo_precompiled_headers(grpo_pch_json DEPS nlohmann_json::nlohmann_json
  HEADERS <algorithm> <map> <memory> <nlohmann/json.hpp> <string> <vector>)

# grpo_library(name SOURCES ... [DEPS public...] [PRIVATE_DEPS ...]): a static library, one room of the SDK.
function(grpo_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC ${A_DEPS} PRIVATE grpo_warnings ${A_PRIVATE_DEPS})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  if("nlohmann_json::nlohmann_json" IN_LIST A_DEPS OR "nlohmann_json::nlohmann_json" IN_LIST A_PRIVATE_DEPS)
    target_precompile_headers(${name} REUSE_FROM grpo_pch_json)
  endif()
endfunction()

# grpo_merge_sources(target files): that many source files are compiled as one, which reads their headers once. Helpers in
# anonymous namespaces then share a scope: a name taken twice is an error of the compiler. Not where precompiled headers
# are off either: there each file stands alone.
function(grpo_merge_sources target files)
  if(NOT CMAKE_DISABLE_PRECOMPILE_HEADERS)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${files})
    # GCC takes every source file in such a one for a header
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-subobject-linkage>)
  endif()
endfunction()

# grpo_compile_quickly(targets...): what runs once a run or once a step gains nothing from being optimised for long.
function(grpo_compile_quickly)
  foreach(target ${ARGN})
    target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
  endforeach()
endfunction()

set(grpo_test_options $<$<CONFIG:Release>:-O0> $<$<CONFIG:Release>:-g0>)

# grpo_test(name SOURCES ... DEPS ... [ENVIRONMENT A=b ...] [TIMEOUT s] [LABELS ...] [CHECKED]): a GoogleTest program, one
# CTest entry. CHECKED: a second entry, name_checked, where the checking layer (docs/checks.md) stands before every plugin.
# Tests find small committed data through GRPO_TEST_DATA and the big data sets through GRPO_SHARED_DATA.
function(grpo_test name)
  cmake_parse_arguments(A "CHECKED" "TIMEOUT" "SOURCES;DEPS;ENVIRONMENT;LABELS" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  if(GRPO_SANITIZE)
    math(EXPR A_TIMEOUT "${A_TIMEOUT} * 5")
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE grpo_warnings ${A_DEPS} grpo_test_main)
  # What is tested is optimised; the test itself would only take longer to compile than it saves.
  target_compile_options(${name} PRIVATE ${grpo_test_options})
  target_precompile_headers(${name} REUSE_FROM grpo_pch_test)
  grpo_merge_sources(${name} 8)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  target_compile_definitions(${name} PRIVATE
    GRPO_TEST_DATA="${CMAKE_CURRENT_SOURCE_DIR}" GRPO_SOURCE_DIR="${PROJECT_SOURCE_DIR}"
    GRPO_BINARY_DIR="${PROJECT_BINARY_DIR}" GRPO_PLUGIN_DIR="${GRPO_PLUGIN_OUTPUT_DIRECTORY}"
    GRPO_SHARED_DATA="${PROJECT_SOURCE_DIR}/../shared/data")
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT ${A_TIMEOUT})
  if(A_ENVIRONMENT)
    set_tests_properties(${name} PROPERTIES ENVIRONMENT "${A_ENVIRONMENT}")
  endif()
  if(A_LABELS)
    set_tests_properties(${name} PROPERTIES LABELS "${A_LABELS}")
  endif()
  if(A_CHECKED)
    add_test(NAME ${name}_checked COMMAND ${name})
    set_tests_properties(${name}_checked PROPERTIES TIMEOUT ${A_TIMEOUT} LABELS checked
      ENVIRONMENT "GRPO_CHECK_PLUGINS=1;${A_ENVIRONMENT}")
  endif()
endfunction()
