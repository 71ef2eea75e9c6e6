# Debian packages: `cpack` in the build folder makes
#   grpo-host            the program, its helpers and its plugins
#   libgrpo-dev          headers, the CMake package, grpo.pc: all that a plugin needs; and what programs on libgrpo.so need
#   libgrpo-host-dev     the host side's headers and static libraries, for hosts of your own
#   grpo-plugins-torch   the plugins that link LibTorch, if they were built. LibTorch itself is no package of Debian's
#   libgrpo              libgrpo.so and its helper
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME grpo)
set(CPACK_PACKAGE_VENDOR grpo)
set(CPACK_PACKAGE_CONTACT "grpo maintainers <maintainers@grpo.invalid>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "Plugin SDK with a stable C ABI, and a host that trains language models with GRPO")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)

# grpo_debian_package(package COMPONENTS c... SECTION s SUMMARY t [SHLIBDEPS] [DEPENDS d])
macro(grpo_debian_package package)
  cmake_parse_arguments(A "SHLIBDEPS" "SECTION;SUMMARY;DEPENDS" "COMPONENTS" ${ARGN})
  string(TOUPPER ${package} group)
  foreach(component ${A_COMPONENTS})
    string(TOUPPER ${component} upper)
    set(CPACK_COMPONENT_${upper}_GROUP ${package})
    list(APPEND CPACK_COMPONENTS_ALL ${component})
  endforeach()
  set(CPACK_COMPONENT_GROUP_${group}_DESCRIPTION "${A_SUMMARY}")
  set(CPACK_COMPONENT_${group}_DESCRIPTION "${A_SUMMARY}")
  set(CPACK_DEBIAN_${group}_PACKAGE_NAME ${package})
  set(CPACK_DEBIAN_${group}_PACKAGE_SECTION ${A_SECTION})
  set(CPACK_DEBIAN_${group}_PACKAGE_SHLIBDEPS ${A_SHLIBDEPS})
  set(CPACK_DEBIAN_${group}_PACKAGE_DEPENDS "${A_DEPENDS}")
endmacro()

grpo_debian_package(grpo-host COMPONENTS runtime SECTION science SHLIBDEPS
  SUMMARY "Trains language models with GRPO. Models, samplers, rewards and optimizers are plugins")
grpo_debian_package(libgrpo-dev COMPONENTS author embed_dev SECTION libdevel DEPENDS "libgrpo (= ${PROJECT_VERSION})"
  SUMMARY "Headers and build files to write plugins for grpo-host, and programs on libgrpo.so")
set(needed "libgrpo-dev (= ${PROJECT_VERSION}), nlohmann-json3-dev, libyaml-cpp-dev, libpcre2-dev, libutf8proc-dev")
foreach(pair protobuf=libprotobuf-dev zlib=zlib1g-dev zstd=libzstd-dev)
  string(REPLACE "=" ";" pair ${pair})
  list(GET pair 0 library)
  list(GET pair 1 package)
  if(TARGET grpo_dep::${library})
    string(APPEND needed ", ${package}")
  endif()
endforeach()
grpo_debian_package(libgrpo-host-dev COMPONENTS host SECTION libdevel DEPENDS "${needed}"
  SUMMARY "Headers and static libraries to write hosts for plugins of grpo in C++")
if(GRPO_WITH_LIBTORCH)
  grpo_debian_package(grpo-plugins-torch COMPONENTS torch SECTION science DEPENDS "grpo-host (= ${PROJECT_VERSION})"
    SUMMARY "The transformer and the optimizer on LibTorch, whose lib folder LD_LIBRARY_PATH is to name")
  # Where this machine keeps LibTorch is nobody else's business.
  set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/GrpoPackageRunPaths.cmake)
endif()
grpo_debian_package(libgrpo COMPONENTS embed SECTION libs SHLIBDEPS SUMMARY "The grpo SDK as a C library")
include(CPack)
