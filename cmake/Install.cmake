# `cmake --install` lays out a tree that can be moved: bin/ beside lib/sdtorch/ and share/sdtorch/, the executable
# finding both relative to itself.
include(GNUInstallDirs)

if(LibTorch_CUDA)
  set(install_libraries_default OFF)
else()
  set(install_libraries_default ON)
endif()
option(SDTORCH_INSTALL_LIBRARIES
       "Install LibTorch and the other shared libraries too. Without it the installed program looks for LibTorch where \
it was built against; the default for CUDA builds, whose libraries take several gigabytes"
       ${install_libraries_default})

# The older form of run path holds for the libraries that our libraries need in turn.
target_link_options(sdtorch_cli PRIVATE -Wl,--disable-new-dtags)
target_link_options(sdtorch PRIVATE -Wl,--disable-new-dtags)
if(SDTORCH_INSTALL_LIBRARIES)
  set_target_properties(sdtorch_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/sdtorch")
  set_target_properties(sdtorch PROPERTIES INSTALL_RPATH "$ORIGIN")
  install(TARGETS sdtorch_cli sdtorch RUNTIME_DEPENDENCY_SET sdtorch_libraries LIBRARY DESTINATION lib/sdtorch)
  # The C and C++ run-time libraries stay the system's own.
  set(system_libraries "^(ld-linux.*|lib(c|m|dl|rt|util|pthread|gcc_s|stdc\\+\\+|sdtorch))\\.so")
  install(RUNTIME_DEPENDENCY_SET sdtorch_libraries PRE_EXCLUDE_REGEXES "${system_libraries}"
          LIBRARY DESTINATION lib/sdtorch)
  if(LibTorch_CUDA)
    # LibTorch, cuDNN and NVRTC load these by name while they run: no library's list of what it needs tells of them.
    file(GLOB loaded_libraries ${LibTorch_ROOT_DIR}/lib/lib*.so* ${LibTorch_ROOT_DIR}/../nvidia/*/lib/lib*.so*)
    list(FILTER loaded_libraries INCLUDE REGEX "/lib(caffe2_nvrtc|torch_cuda_linalg|cusolver|cudnn_|nvrtc)[^/]*$")
    list(FILTER loaded_libraries EXCLUDE REGEX "cusolverMg|\\.alt\\.")
    install(FILES ${loaded_libraries} DESTINATION lib/sdtorch)
  endif()
else()
  # The link path leaves out what lies in this checkout, as .deps does.
  set_target_properties(sdtorch_cli sdtorch PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  set_target_properties(sdtorch_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/sdtorch;${LibTorch_ROOT_DIR}/lib")
  set_target_properties(sdtorch PROPERTIES INSTALL_RPATH "${LibTorch_ROOT_DIR}/lib")
  install(TARGETS sdtorch_cli sdtorch LIBRARY DESTINATION lib/sdtorch)
endif()

# For programs that use the library: find_package(sdtorch), target sdtorch::sdtorch.
include(CMakePackageConfigHelpers)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/sdtorch DESTINATION include)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sdtorchConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_SOURCE_DIR}/cmake/sdtorchConfig.cmake ${PROJECT_BINARY_DIR}/sdtorchConfigVersion.cmake
        DESTINATION lib/cmake/sdtorch)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/models/demo ${PROJECT_SOURCE_DIR}/models/demo-extras DESTINATION share/sdtorch/models)
install(DIRECTORY ${SDTORCH_CLIP_VOCABULARY}/ DESTINATION share/sdtorch/clip)
install(FILES ${SDTORCH_FONT} DESTINATION share/sdtorch/fonts)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/sdtorch)
