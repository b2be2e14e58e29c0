# Defines sdtorch::sdtorch, relative to this file, so that an installed tree can be moved. The headers need nothing else;
# a program that looks into the tensors that an Observer shows finds LibTorch for itself.
get_filename_component(sdtorch_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
if(NOT TARGET sdtorch::sdtorch)
  add_library(sdtorch::sdtorch SHARED IMPORTED)
  set_target_properties(
    sdtorch::sdtorch
    PROPERTIES IMPORTED_LOCATION "${sdtorch_prefix}/lib/sdtorch/libsdtorch.so"
               INTERFACE_INCLUDE_DIRECTORIES "${sdtorch_prefix}/include"
               INTERFACE_COMPILE_FEATURES cxx_std_20)
endif()
