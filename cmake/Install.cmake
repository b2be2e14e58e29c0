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
if(SDTORCH_INSTALL_LIBRARIES)
  set_target_properties(sdtorch_cli PROPERTIES INSTALL_RPATH "$ORIGIN/../lib/sdtorch")
  install(TARGETS sdtorch_cli RUNTIME_DEPENDENCY_SET sdtorch_libraries)
  # The C and C++ run-time libraries stay the system's own.
  set(system_libraries "^(ld-linux.*|lib(c|m|dl|rt|pthread|gcc_s|stdc\\+\\+))\\.so")
  install(RUNTIME_DEPENDENCY_SET sdtorch_libraries PRE_EXCLUDE_REGEXES "${system_libraries}"
          LIBRARY DESTINATION lib/sdtorch)
else()
  set_target_properties(sdtorch_cli PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS sdtorch_cli)
endif()

install(DIRECTORY ${PROJECT_SOURCE_DIR}/models/demo DESTINATION share/sdtorch/models)
install(DIRECTORY ${SDTORCH_CLIP_VOCABULARY}/ DESTINATION share/sdtorch/clip)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/sdtorch)
