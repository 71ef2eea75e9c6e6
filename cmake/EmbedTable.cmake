# cmake -DOUTPUT=header -DNAMESPACE=grpo::host -DTABLE=files -DINPUTS=a.in;b.in -P EmbedTable.cmake: the files as a table of
# name and content.
set(text "// Generated from the files it names.\n#pragma once\n#include <string_view>\n#include <utility>\n")
string(APPEND text "namespace ${NAMESPACE} {\ninline constexpr std::pair<std::string_view, std::string_view> ${TABLE}[] = {\n")
foreach(input ${INPUTS})
  get_filename_component(name ${input} NAME)
  file(READ ${input} content)
  string(APPEND text "{\"${name}\", R\"GRPOFILE(${content})GRPOFILE\"},\n")
endforeach()
string(APPEND text "};\n}  // namespace ${NAMESPACE}\n")
file(WRITE ${OUTPUT} "${text}")
