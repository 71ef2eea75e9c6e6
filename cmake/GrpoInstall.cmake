# cmake --install BUILD --prefix P, or one component of it:
#   author   headers, version script, the package for find_package(grpo COMPONENTS author), and grpo.pc. Needs no build.
#   runtime  grpo-host, its helpers, its plugins
#   torch    the plugins that link LibTorch
#   embed    libgrpo.so; embed_dev: its headers and grpo-embed.pc (c_api/CMakeLists.txt)
#   host     for hosts of your own in C++: the host side's headers and libraries, find_package(grpo COMPONENTS host)
# Debian packages of them: GrpoPackage.cmake.
include(CMakePackageConfigHelpers)
set(grpo_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/grpo)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/c_api/include/grpo DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT author
  FILES_MATCHING PATTERN "*.h")
file(GLOB grpo_author_headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/sdk/include/grpo/*.hpp)
install(FILES ${grpo_author_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/grpo COMPONENT author)
install(TARGETS grpo_c grpo_author EXPORT grpo_author_targets COMPONENT author)
install(EXPORT grpo_author_targets NAMESPACE grpo:: FILE grpoAuthorTargets.cmake DESTINATION ${grpo_package_dir}
  COMPONENT author)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/grpoConfig.cmake.in ${PROJECT_BINARY_DIR}/cmake/grpoConfig.cmake
  INSTALL_DESTINATION ${grpo_package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/grpoConfigVersion.cmake COMPATIBILITY SameMajorVersion
  ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/cmake/grpoConfig.cmake ${PROJECT_BINARY_DIR}/cmake/grpoConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/GrpoAddPlugin.cmake ${PROJECT_SOURCE_DIR}/cmake/grpo_plugin.map
  DESTINATION ${grpo_package_dir} COMPONENT author)

# For builds without CMake: cc -shared -fPIC x.c $(pkg-config --cflags --libs grpo) -o x.so
file(RELATIVE_PATH grpo_prefix_from_pc /prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig /prefix)
configure_file(${PROJECT_SOURCE_DIR}/cmake/grpo.pc.in ${PROJECT_BINARY_DIR}/cmake/grpo.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/cmake/grpo.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT author)

# The host looks for its helpers and its plugins here, seen from where it is itself.
install(TARGETS grpo-host RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT runtime)
install(TARGETS grpo-plugin-probe grpo-plugin-host grpo-plugin-check RUNTIME DESTINATION libexec/grpo COMPONENT runtime)

function(grpo_install_plugins folder)
  get_directory_property(targets DIRECTORY ${folder} BUILDSYSTEM_TARGETS)
  foreach(target ${targets})
    get_target_property(type ${target} TYPE)
    if(type STREQUAL MODULE_LIBRARY)
      get_target_property(links ${target} LINK_LIBRARIES)
      set(component runtime)
      if("grpo_dep::torch" IN_LIST links)
        set(component torch)
      endif()
      install(TARGETS ${target} LIBRARY DESTINATION lib/grpo/plugins COMPONENT ${component})
    endif()
  endforeach()
  get_directory_property(below DIRECTORY ${folder} SUBDIRECTORIES)
  foreach(inner ${below})
    grpo_install_plugins(${inner})
  endforeach()
endfunction()
grpo_install_plugins(${PROJECT_SOURCE_DIR}/plugins)

include(GrpoInstallHost)
include(GrpoPackage)
