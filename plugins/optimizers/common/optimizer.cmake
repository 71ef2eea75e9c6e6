# grpo_add_optimizer(name SOURCES ...): an optimizer on the CPU.
# Products and sums are rounded one by one, so that vectors of any width, and their tails, give the same bits: slices may
# then be cut anywhere. No square root sets errno, or its loop would stay scalar.
function(grpo_add_optimizer name)
  cmake_parse_arguments(A "" "" "SOURCES" ${ARGN})
  grpo_add_plugin(${name} SOURCES ${A_SOURCES} DEPS grpo_warnings)
  target_compile_options(${name} PRIVATE -ffp-contract=off -fno-math-errno -fno-trapping-math)
endfunction()
