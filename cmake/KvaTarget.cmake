# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# Compile options of every target. Warnings are enabled only when kva is the top-level project; inside another project
# that project decides. Presets add -Werror.
function(kva_target_settings target)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  if(kva_is_top_level)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  endif()
endfunction()

# kva_require(VARIABLE...): stop the configuration if find_path or find_library did not find one of them. Their own
# REQUIRED needs CMake 3.18.
function(kva_require)
  foreach(variable IN LISTS ARGN)
    if(NOT ${variable})
      message(FATAL_ERROR "${variable} was not found: docs/dependencies.md lists what kva's program and tests need")
    endif()
  endforeach()
endfunction()
