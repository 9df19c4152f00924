# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# Other files see of the library what has KVA_API (kva/export.h), and nothing else. tests/hosted/exports.sh looks.

# Version scripts are ELF's: GNU ld, gold and lld take them. ld for Windows does, too, but does not follow them.
set(kva_version_script ${PROJECT_BINARY_DIR}/kva.map)
configure_file(${PROJECT_SOURCE_DIR}/cmake/kva.map.in ${kva_version_script} @ONLY)
if(NOT WIN32 AND NOT CYGWIN)
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_LINK_OPTIONS LINKER:--version-script=${kva_version_script})
  check_c_source_compiles("int main(void) { return 0; }" KVA_HAS_VERSION_SCRIPTS)
  unset(CMAKE_REQUIRED_LINK_OPTIONS)
endif()

# Hidden names, for static libraries too: a plug-in that contains kva does not export it. For that, code of a static
# library may lie anywhere, where there is a system that loads plug-ins. Freestanding code is the kernel's that links
# it, and not every code model may lie anywhere: there CMAKE_POSITION_INDEPENDENT_CODE alone decides.
function(kva_close_abi target)
  set_target_properties(${target} PROPERTIES C_VISIBILITY_PRESET hidden)
  if(KVA_HOSTED)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  endif()
  get_target_property(type ${target} TYPE)
  if(NOT type STREQUAL "SHARED_LIBRARY")
    return()
  endif()
  target_compile_definitions(${target} PUBLIC KVA_SHARED PRIVATE KVA_BUILDING)
  if(KVA_HAS_VERSION_SCRIPTS)
    target_link_options(${target} PRIVATE LINKER:--version-script=${kva_version_script})
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${kva_version_script})
  endif()
endfunction()
