# cmake -DOUTPUT=header -DDIRECTORY=dir -P embed.cmake: the files of the page as texts in a header.
set(text "// Generated from the files it names.\n#pragma once\n#include <string_view>\nnamespace grpo::report {\n")
foreach(file page.html page.css data.js chart.js page.js sections.js)
  file(READ ${DIRECTORY}/${file} content)
  string(REPLACE "." "_" name ${file})
  string(APPEND text "inline constexpr std::string_view ${name} = R\"GRPOFILE(${content})GRPOFILE\";\n")
endforeach()
file(WRITE ${OUTPUT} "${text}}  // namespace grpo::report\n")
