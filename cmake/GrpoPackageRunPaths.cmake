# Run by cpack over what it is about to pack: takes out the run paths, which name folders of the machine that built.
file(GLOB_RECURSE files ${CPACK_TEMPORARY_DIRECTORY}/*/usr/lib/grpo/plugins/*.so)
foreach(file ${files})
  file(RPATH_REMOVE FILE ${file})
endforeach()
