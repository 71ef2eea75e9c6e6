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
  set(CMAKE_C_COMPILER_LAUNCHER ${CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE})
endif()

add_compile_options($<$<CONFIG:Release>:-g1>)
if(GRPO_SANITIZE)
  add_compile_options(-fsanitize=${GRPO_SANITIZE} -fno-omit-frame-pointer -g)
  if(GRPO_SANITIZE MATCHES undefined)
    add_compile_options(-fno-sanitize-recover=undefined)
  endif()
  add_link_options(-fsanitize=${GRPO_SANITIZE})
endif()

add_library(grpo_warnings INTERFACE)
target_compile_options(grpo_warnings INTERFACE -Wall -Wextra -Wpedantic -Werror)

# grpo_library(name SOURCES ... [DEPS public...] [PRIVATE_DEPS ...]): a static library, one room of the SDK.
function(grpo_library name)
  cmake_parse_arguments(A "" "" "SOURCES;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${name} STATIC ${A_SOURCES})
  target_link_libraries(${name} PUBLIC ${A_DEPS} PRIVATE grpo_warnings ${A_PRIVATE_DEPS})
  target_include_directories(${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
endfunction()

# grpo_test(name SOURCES ... DEPS ... [ENVIRONMENT A=b ...] [TIMEOUT s] [LABELS ...]): a GoogleTest program, one CTest entry.
# Tests find small committed data through GRPO_TEST_DATA and the big data sets through GRPO_SHARED_DATA.
function(grpo_test name)
  cmake_parse_arguments(A "" "TIMEOUT" "SOURCES;DEPS;ENVIRONMENT;LABELS" ${ARGN})
  if(NOT A_TIMEOUT)
    set(A_TIMEOUT 120)
  endif()
  add_executable(${name} ${A_SOURCES})
  target_link_libraries(${name} PRIVATE grpo_warnings ${A_DEPS} grpo_test_main)
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
endfunction()
