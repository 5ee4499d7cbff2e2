# SPDX-License-Identifier: Apache-2.0
# Stands in for the Pico SDK where it is missing: the functions and libraries that a generated project names, with the arguments that the
# SDK documents (Raspberry Pi Pico-series C/C++ SDK). What it makes runs on this computer.
set(STAND_IN ${CMAKE_CURRENT_LIST_DIR}/..)

macro(pico_sdk_init)
  if(NOT CMAKE_PROJECT_NAME)
    message(FATAL_ERROR "pico_sdk_init comes behind project()")
  endif()
  add_library(pico_stdlib INTERFACE)
  target_include_directories(pico_stdlib INTERFACE ${STAND_IN}/include)
  target_sources(pico_stdlib INTERFACE ${STAND_IN}/pico.c)
  add_library(pico_multicore INTERFACE)
endmacro()

function(pico_set_float_implementation target implementation)
  if(NOT TARGET ${target} OR NOT implementation STREQUAL "compiler")
    message(FATAL_ERROR "other floats take denormals for zero")
  endif()
endfunction()

foreach(name pico_enable_stdio_usb pico_enable_stdio_uart)
  function(${name} target enabled)
    if(NOT TARGET ${target} OR NOT enabled MATCHES "^[01]$")
      message(FATAL_ERROR "a target, and 0 or 1")
    endif()
  endfunction()
endforeach()

function(pico_add_extra_outputs target)
  if(NOT TARGET ${target})
    message(FATAL_ERROR "a target")
  endif()
endfunction()
