# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# Install headers, library, program and man pages, and the files for find_package(kva) and pkg-config.
include(CMakePackageConfigHelpers)

set(kva_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kva)

# The headers of floor 3.
set(kva_vmap_headers vm.h pages.h vmap.h pcpu.h report.h)

install(TARGETS kva EXPORT kvaTargets)
file(GLOB kva_headers CONFIGURE_DEPENDS include/kva/*.h)
if(NOT KVA_VMAP)
  foreach(header IN LISTS kva_vmap_headers)
    list(REMOVE_ITEM kva_headers ${PROJECT_SOURCE_DIR}/include/kva/${header})
  endforeach()
endif()
install(FILES ${kva_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/kva)
install(EXPORT kvaTargets NAMESPACE kva:: DESTINATION ${kva_cmake_dir})

# kva needs no other package, so the config file only loads the targets.
file(WRITE ${PROJECT_BINARY_DIR}/kvaConfig.cmake
  "include(\"\${CMAKE_CURRENT_LIST_DIR}/kvaTargets.cmake\")\n")
write_basic_package_version_file(${PROJECT_BINARY_DIR}/kvaConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kvaConfig.cmake ${PROJECT_BINARY_DIR}/kvaConfigVersion.cmake
  DESTINATION ${kva_cmake_dir})

# kva.pc gives the prefix relative to itself, so that an installed tree may be moved.
file(RELATIVE_PATH kva_pc_prefix
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(kva_pc_cflags)
if(kva_type STREQUAL "SHARED_LIBRARY")
  set(kva_pc_cflags " -DKVA_SHARED")
endif()
configure_file(cmake/kva.pc.in kva.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/kva.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(FILES LICENSE README.md CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

if(KVA_BUILD_TOOLS)
  install(TARGETS kva_program)
  file(GLOB kva_man_pages CONFIGURE_DEPENDS man/*.1)
  install(FILES ${kva_man_pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
