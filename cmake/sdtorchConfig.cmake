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
  # A program that links LibTorch, too, is to load sentencepiece ahead of it: both define FLAGS_minloglevel, and
  # sentencepiece's is the larger one.
  file(GLOB sdtorch_sentencepiece "${sdtorch_prefix}/lib/sdtorch/libsentencepiece.so*")
  if(NOT sdtorch_sentencepiece)
    find_library(sdtorch_sentencepiece sentencepiece NO_CACHE)
  endif()
  if(sdtorch_sentencepiece)
    list(GET sdtorch_sentencepiece 0 sdtorch_sentencepiece)
    set_target_properties(
      sdtorch::sdtorch
      PROPERTIES INTERFACE_LINK_OPTIONS
                 "LINKER:--push-state,--no-as-needed,${sdtorch_sentencepiece},--pop-state")
  endif()
  unset(sdtorch_sentencepiece)
endif()
