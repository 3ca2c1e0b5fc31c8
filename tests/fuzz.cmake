# Fuzz targets, tests/fuzz/fuzz_NAME.c: each reads hostile bytes through one door of the house.
#
# In every build a target is linked with replay.c and run over its corpus folder
# (tests/fuzz/corpus/NAME), so that what a fuzzer once found stays found. With clang and
# -DRAGLAN_FUZZ=ON the libFuzzer program fuzz_NAME is built as well:
#
#     CC=clang CXX=clang++ cmake -S . -B build/fuzz -DRAGLAN_FUZZ=ON -DRAGLAN_SANITIZE=address,undefined
#     build/fuzz/tests/fuzz_json_scan -max_total_time=60 tests/fuzz/corpus/json_scan
file(GLOB targets CONFIGURE_DEPENDS fuzz/fuzz_*.c)
foreach(source ${targets})
  get_filename_component(target ${source} NAME_WE)
  string(REPLACE "fuzz_" "" name ${target})
  # The floor is the one the target names in its first line: /* floor: util. ... */
  file(STRINGS ${source} floor REGEX "floor: [a-z]+" LIMIT_COUNT 1)
  string(REGEX REPLACE ".*floor: ([a-z]+).*" "\\1" floor "${floor}")
  if(NOT TARGET raglan_${floor})
    message(FATAL_ERROR "${source}: its first line names no floor (\"floor: util\")")
  endif()
  add_executable(replay_${name} ${source} fuzz/replay.c)
  target_link_libraries(replay_${name} PRIVATE raglan_${floor})
  add_test(NAME fuzz/${name} COMMAND ${launcher} $<TARGET_FILE:replay_${name}>
    ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/corpus/${name})
  set_tests_properties(fuzz/${name} PROPERTIES LABELS "fuzz;quick" TIMEOUT 300)
  if(RAGLAN_FUZZ)
    add_executable(${target} ${source})
    target_link_libraries(${target} PRIVATE raglan_${floor})
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
  endif()
endforeach()
