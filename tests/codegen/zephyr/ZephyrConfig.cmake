# SPDX-License-Identifier: Apache-2.0
# Stands in for Zephyr's CMake package where Zephyr is missing: the functions that a generated module calls, with the arguments that
# Zephyr 4 documents (Build system, CMake extensions), the settings of prj.conf, and the modules of EXTRA_ZEPHYR_MODULES.
project(stand_in C ASM)
if(NOT EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/prj.conf)
  message(FATAL_ERROR "an application of Zephyr has a prj.conf")
endif()
file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/prj.conf settings REGEX "^CONFIG_")
foreach(setting ${settings})
  string(REGEX MATCH "^(CONFIG_[A-Z0-9_]+)=(.+)$" whole "${setting}")
  set(${CMAKE_MATCH_1} ${CMAKE_MATCH_2})
endforeach()

add_library(zephyr_interface INTERFACE)
add_executable(app)
target_link_libraries(app PRIVATE zephyr_interface)

function(zephyr_library_named name)
  add_library(${name} STATIC)
  target_link_libraries(${name} PRIVATE zephyr_interface)
  target_link_libraries(app PRIVATE ${name})
  set(ZEPHYR_CURRENT_LIBRARY ${name} PARENT_SCOPE)
endfunction()

function(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endfunction()

function(zephyr_include_directories)
  foreach(folder ${ARGN})
    get_filename_component(whole ${folder} ABSOLUTE)
    target_include_directories(zephyr_interface INTERFACE ${whole})
  endforeach()
endfunction()

foreach(module ${EXTRA_ZEPHYR_MODULES})
  file(STRINGS ${module}/zephyr/module.yml place REGEX "^  cmake: ")
  string(REPLACE "  cmake: " "" place "${place}")
  add_subdirectory(${module}/${place} modules/module)
endforeach()
