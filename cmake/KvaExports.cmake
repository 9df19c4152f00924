# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# The library exports names with KVA_API (kva/export.h) and no others. tests/hosted/exports.sh verifies it.

# Version scripts are for ELF: GNU ld, gold and lld take them. ld for Windows accepts them but ignores them.
set(kva_version_script ${PROJECT_BINARY_DIR}/kva.map)
configure_file(${PROJECT_SOURCE_DIR}/cmake/kva.map.in ${kva_version_script} @ONLY)
if(NOT WIN32 AND NOT CYGWIN)
  include(CheckCSourceCompiles)
  set(CMAKE_REQUIRED_LINK_OPTIONS LINKER:--version-script=${kva_version_script})
  check_c_source_compiles("int main(void) { return 0; }" KVA_HAS_VERSION_SCRIPTS)
  unset(CMAKE_REQUIRED_LINK_OPTIONS)
endif()

# Hide names in static libraries as well, so that a plug-in that contains kva does not export it. A plug-in needs
# position-independent code, so a hosted static library is compiled that way. Freestanding code goes into a kernel,
# whose code model may not allow it: there CMAKE_POSITION_INDEPENDENT_CODE decides.
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
    # The library calls its own functions, even if another version of kva in the process has the same names.
    target_link_options(${target} PRIVATE LINKER:--version-script=${kva_version_script} LINKER:-Bsymbolic-functions)
    set_target_properties(${target} PROPERTIES LINK_DEPENDS ${kva_version_script})
  endif()
endfunction()
