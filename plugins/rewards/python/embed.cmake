# cmake "-DINPUTS=a.py;b.py" -DOUTPUT=driver.inc -P embed.cmake: the files one after the other, as one text of C++.
set(text "")
foreach(input ${INPUTS})
  file(READ ${input} content)
  string(APPEND text "R\"GRPOFILE(${content})GRPOFILE\"\n")
endforeach()
file(WRITE ${OUTPUT} "${text}")
