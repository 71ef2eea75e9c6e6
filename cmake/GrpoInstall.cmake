# cmake --install: grpo-host, its plugins, the headers, and the package that find_package(grpo) finds.
include(CMakePackageConfigHelpers)
