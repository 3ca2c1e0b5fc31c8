# The grammar of `raglan sample` is a data file, carried inside the program: the assembler
# copies its bytes into sample_builtin.c's object.
set_source_files_properties(src/data/sample_builtin.c PROPERTIES
  OBJECT_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/src/data/sample.grammar
  COMPILE_DEFINITIONS SAMPLE_GRAMMAR="${CMAKE_CURRENT_SOURCE_DIR}/src/data/sample.grammar")
