# Third-party libraries as imported targets, static where Debian ships an archive, so that a build folder can be carried.
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)

# grpo_static_library(target HEADER h NAME archive): grpo_dep::<target> from lib<archive>.a
function(grpo_static_library target)
  cmake_parse_arguments(A "" "HEADER;NAME" "" ${ARGN})
  find_path(GRPO_${target}_INCLUDE ${A_HEADER})
  find_library(GRPO_${target}_LIBRARY NAMES lib${A_NAME}.a ${A_NAME})
  if(NOT GRPO_${target}_INCLUDE OR NOT GRPO_${target}_LIBRARY)
    message(FATAL_ERROR "${target} (${A_HEADER}, lib${A_NAME}) is missing: run tools/setup")
  endif()
  add_library(grpo_dep::${target} UNKNOWN IMPORTED GLOBAL)
  set_target_properties(grpo_dep::${target} PROPERTIES IMPORTED_LOCATION ${GRPO_${target}_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${GRPO_${target}_INCLUDE})
endfunction()

grpo_static_library(pcre2 HEADER pcre2.h NAME pcre2-8)
set_target_properties(grpo_dep::pcre2 PROPERTIES INTERFACE_COMPILE_DEFINITIONS PCRE2_CODE_UNIT_WIDTH=8)
grpo_static_library(utf8proc HEADER utf8proc.h NAME utf8proc)
set_target_properties(grpo_dep::utf8proc PROPERTIES INTERFACE_COMPILE_DEFINITIONS UTF8PROC_STATIC)
grpo_static_library(yaml HEADER yaml-cpp/yaml.h NAME yaml-cpp)

# Boost.DLL as headers, over std::filesystem: no library of Boost is linked.
find_path(GRPO_boost_dll_INCLUDE boost/dll.hpp REQUIRED)
add_library(grpo_dep_boost_dll INTERFACE)
add_library(grpo_dep::boost_dll ALIAS grpo_dep_boost_dll)
target_include_directories(grpo_dep_boost_dll SYSTEM INTERFACE $<BUILD_INTERFACE:${GRPO_boost_dll_INCLUDE}>)
target_compile_definitions(grpo_dep_boost_dll INTERFACE BOOST_DLL_USE_STD_FS)

# spdlog and fmt as headers: nothing to carry.
add_library(grpo_dep_spdlog INTERFACE)
add_library(grpo_dep::spdlog ALIAS grpo_dep_spdlog)
target_compile_definitions(grpo_dep_spdlog INTERFACE SPDLOG_HEADER_ONLY SPDLOG_FMT_EXTERNAL FMT_HEADER_ONLY)

if(GRPO_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()

# LibTorch: torch_cpu and c10 alone. find_package(Torch) would insist on a CUDA toolkit; CUDA is opened at run time.
if(GRPO_WITH_LIBTORCH)
  set(cache $ENV{GRPO_CACHE})
  if(NOT cache)
    set(cache $ENV{HOME}/.cache/grpo)
    if(DEFINED ENV{XDG_CACHE_HOME})
      set(cache $ENV{XDG_CACHE_HOME}/grpo)
    endif()
  endif()
  set(torch ${GRPO_LIBTORCH})
  if(NOT torch)
    set(torch ${cache}/libtorch-2.11.0/torch)
  endif()
  if(NOT EXISTS ${torch}/lib/libtorch_cpu.so OR NOT EXISTS ${torch}/include/torch/csrc/api/include/torch/torch.h)
    message(FATAL_ERROR "No LibTorch in ${torch}: run tools/setup, or give your own with -DGRPO_LIBTORCH=DIR, "
      "or build without it: -DGRPO_WITH_LIBTORCH=OFF")
  endif()
  # Where libcudart.so.13 and libcupti.so.13 are, which torch_cpu links even on a machine without a GPU.
  set(GRPO_TORCH_RPATH ${torch}/lib)
  foreach(dir ${cache}/cuda-runtime-13/nvidia/cu13/lib ${cache}/cuda-cupti-13/nvidia/cu13/lib)
    if(EXISTS ${dir})
      list(APPEND GRPO_TORCH_RPATH ${dir})
    endif()
  endforeach()
  add_library(grpo_dep::c10 SHARED IMPORTED GLOBAL)
  set_target_properties(grpo_dep::c10 PROPERTIES IMPORTED_LOCATION ${torch}/lib/libc10.so)
  add_library(grpo_dep::torch SHARED IMPORTED GLOBAL)
  set_target_properties(grpo_dep::torch PROPERTIES IMPORTED_LOCATION ${torch}/lib/libtorch_cpu.so
    INTERFACE_COMPILE_OPTIONS "-D_GLIBCXX_USE_CXX11_ABI=1"
    INTERFACE_LINK_LIBRARIES grpo_dep::c10)
  # SYSTEM: its headers do not pass -Wpedantic
  target_include_directories(grpo_dep::torch SYSTEM INTERFACE ${torch}/include ${torch}/include/torch/csrc/api/include)
  target_link_options(grpo_dep::torch INTERFACE -Wl,--allow-shlib-undefined)
endif()
