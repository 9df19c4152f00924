# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# What every target of this project is compiled with. Warnings are asked for only when kva is the top-level
# project: inside another one they are that project's business. -Werror is a preset's choice.
function(kva_target_settings target)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  if(kva_is_top_level)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  endif()
endfunction()

# kva_require(VARIABLE...): what find_path and find_library did not find ends the configuration. Their own REQUIRED is
# CMake 3.18's.
function(kva_require)
  foreach(variable IN LISTS ARGN)
    if(NOT ${variable})
      message(FATAL_ERROR "${variable} was not found: docs/dependencies.md lists what kva's program and tests need")
    endif()
  endforeach()
endfunction()
