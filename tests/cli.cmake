# libraglan as another program embeds it: examples/ask.c against this build, and against what
# `cmake --install` brings.
add_executable(example_ask ${CMAKE_SOURCE_DIR}/examples/ask.c)
target_link_libraries(example_ask PRIVATE raglan)
add_test(NAME cli/example COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/cli/example.sh $<TARGET_FILE:example_ask>)
string(TOUPPER "CMAKE_C_FLAGS_${CMAKE_BUILD_TYPE}" flags)
set(flags "${${flags}}")
if(RAGLAN_SANITIZE)
  string(APPEND flags " -fsanitize=${RAGLAN_SANITIZE}")
endif()
add_test(NAME cli/install COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/cli/install.sh
  ${CMAKE_COMMAND} ${CMAKE_BINARY_DIR} ${CMAKE_SOURCE_DIR}/examples/ask.c ${CMAKE_C_COMPILER} ${flags})
set_tests_properties(cli/example cli/install PROPERTIES LABELS "cli;quick")
