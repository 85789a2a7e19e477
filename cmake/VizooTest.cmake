# vizoo_test(name LABEL label SOURCES ... LIBRARIES ...): a Catch2 program that ctest runs. Skipped
# cases are compared with test/allowed_skips.txt, so that nothing is skipped unseen.
find_package(Catch2 REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

# main() of all of them, compiled once: with Catch2 2 it holds the whole of Catch.
add_library(vizoo_catch_main OBJECT "${PROJECT_SOURCE_DIR}/test/support/catch_main.cpp")
vizoo_compile_options(vizoo_catch_main)
vizoo_compile_quickly(vizoo_catch_main)
target_link_libraries(vizoo_catch_main PRIVATE Catch2::Catch2)

function(vizoo_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} $<TARGET_OBJECTS:vizoo_catch_main>)
  vizoo_compile_options(${name})
  vizoo_compile_quickly(${name})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} Catch2::Catch2)
  add_test(NAME ${name}
    COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/test/support/run_test.py"
            "${PROJECT_SOURCE_DIR}/test/allowed_skips.txt" $<TARGET_FILE:${name}>
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}")
endfunction()
