# Finds LibTorch by its own files, in any of the shapes that it comes in: the folder `torch` of a Python installation,
# an unpacked LibTorch archive, or what scripts/bootstrap has put into .deps. Looks into LibTorch_ROOT, CMAKE_PREFIX_PATH
# (torch.utils.cmake_prefix_path too), the environment's LIBTORCH and .deps, in that order.
#
# LibTorch's own TorchConfig.cmake is not asked, since for a CUDA build it wants a whole CUDA toolkit with its compiler,
# of which nothing here has need, and since it links more libraries than a program uses.
#
# Defines LibTorch_FOUND, LibTorch_VERSION, LibTorch_ROOT_DIR, LibTorch_CUDA (whether it is a CUDA build),
# LibTorch_OpenMP_LIBRARY (the one that it brings, if any), and the target LibTorch::LibTorch.

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h
          HINTS ENV LIBTORCH ${PROJECT_SOURCE_DIR}/.deps/libtorch/torch
          PATH_SUFFIXES include torch/include ../../include)

if(LibTorch_INCLUDE_DIR)
  get_filename_component(LibTorch_INCLUDE_DIR "${LibTorch_INCLUDE_DIR}" ABSOLUTE)
  get_filename_component(LibTorch_ROOT_DIR "${LibTorch_INCLUDE_DIR}" DIRECTORY)

  foreach(header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(NOT LibTorch_VERSION AND EXISTS "${LibTorch_INCLUDE_DIR}/${header}")
      file(READ "${LibTorch_INCLUDE_DIR}/${header}" version_header)
      if(version_header MATCHES "define TORCH_VERSION[ \\\n]+\"([0-9.]+)")
        set(LibTorch_VERSION "${CMAKE_MATCH_1}")
      endif()
    endif()
  endforeach()

  foreach(library c10 torch_cpu c10_cuda torch_cuda)
    find_library(LibTorch_${library}_LIBRARY ${library} PATHS "${LibTorch_ROOT_DIR}/lib" NO_DEFAULT_PATH)
    mark_as_advanced(LibTorch_${library}_LIBRARY)
  endforeach()
  find_library(LibTorch_OpenMP_LIBRARY NAMES libgomp.so.1 PATHS "${LibTorch_ROOT_DIR}/lib" NO_DEFAULT_PATH)
  mark_as_advanced(LibTorch_OpenMP_LIBRARY)
endif()
mark_as_advanced(LibTorch_INCLUDE_DIR)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  LibTorch
  REQUIRED_VARS LibTorch_torch_cpu_LIBRARY LibTorch_c10_LIBRARY LibTorch_INCLUDE_DIR
  VERSION_VAR LibTorch_VERSION
  REASON_FAILURE_MESSAGE "run scripts/bootstrap, or give -DLibTorch_ROOT=/path/to/libtorch (2.11 or newer)")

if(LibTorch_FOUND AND NOT TARGET LibTorch::LibTorch)
  set(LibTorch_CUDA OFF)
  if(LibTorch_torch_cuda_LIBRARY AND LibTorch_c10_cuda_LIBRARY)
    set(LibTorch_CUDA ON)
  endif()

  add_library(LibTorch::LibTorch INTERFACE IMPORTED)
  set_target_properties(
    LibTorch::LibTorch
    PROPERTIES INTERFACE_INCLUDE_DIRECTORIES
               "${LibTorch_INCLUDE_DIR};${LibTorch_INCLUDE_DIR}/torch/csrc/api/include")
  target_link_libraries(LibTorch::LibTorch INTERFACE ${LibTorch_torch_cpu_LIBRARY} ${LibTorch_c10_LIBRARY})
  if(LibTorch_CUDA)
    # Nothing calls these two by name: loading them registers the CUDA kernels. What they need in turn is found through
    # their own run paths, some of it only where there is a driver.
    target_link_libraries(
      LibTorch::LibTorch INTERFACE -Wl,--push-state,--no-as-needed ${LibTorch_torch_cuda_LIBRARY}
                                   ${LibTorch_c10_cuda_LIBRARY} -Wl,--pop-state -Wl,--allow-shlib-undefined)
  endif()
endif()
