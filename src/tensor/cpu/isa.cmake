# Flags of the files that hold one instruction set's kernels; everything else is built for
# plain x86-64, so that the program starts on any processor and cpu.c decides. -O3 for the
# full unrolling of register blocks.
set(cpu ${CMAKE_SOURCE_DIR}/src/tensor/cpu)
set(avx512 "-O3 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512dq -mavx512vl -mprefer-vector-width=512")
set_source_files_properties(${cpu}/avx2.c PROPERTIES COMPILE_FLAGS "-O3 -mavx2 -mfma -mf16c")
set_source_files_properties(${cpu}/avx512.c PROPERTIES COMPILE_FLAGS "${avx512}")
set_source_files_properties(${cpu}/bf16.c PROPERTIES COMPILE_FLAGS "${avx512} -mavx512bf16")
set_source_files_properties(${cpu}/attention16.c PROPERTIES COMPILE_FLAGS "${avx512} -mavx512bf16")
set_source_files_properties(${cpu}/narrow.c PROPERTIES COMPILE_FLAGS "${avx512} -mavx512bf16")
set_source_files_properties(${cpu}/amx.c PROPERTIES COMPILE_FLAGS "${avx512} -mavx512bf16 -mamx-tile -mamx-bf16")
foreach(file int8 scan) # instruction sets stand at their functions
  set_source_files_properties(${cpu}/${file}.c PROPERTIES COMPILE_FLAGS "-O3")
endforeach()
