# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 The kva authors

# What every target of this project is compiled with. Warnings are asked for only when kva is the top-level
# project: inside another one they are that project's business. -Werror is a preset's choice.
function(kva_target_settings target)
  set_target_properties(${target} PROPERTIES C_STANDARD 11 C_STANDARD_REQUIRED ON C_EXTENSIONS OFF)
  if(PROJECT_IS_TOP_LEVEL)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion -Wshadow)
  endif()
endfunction()
