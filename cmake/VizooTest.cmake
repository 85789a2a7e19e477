# vizoo_test(name LABEL label SOURCES ... LIBRARIES ...): a Catch2 program that ctest runs. Skipped
# cases are compared with test/allowed_skips.txt, so that nothing is skipped unseen.
find_package(Catch2 REQUIRED)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

function(vizoo_test name)
  cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LIBRARIES" ${ARGN})
  add_executable(${name} ${ARG_SOURCES} "${PROJECT_SOURCE_DIR}/test/support/catch_main.cpp")
  vizoo_compile_options(${name})
  target_include_directories(${name} PRIVATE "${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_LIBRARIES} Catch2::Catch2)
  add_test(NAME ${name}
    COMMAND Python3::Interpreter "${PROJECT_SOURCE_DIR}/test/support/run_test.py"
            "${PROJECT_SOURCE_DIR}/test/allowed_skips.txt" $<TARGET_FILE:${name}>
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}")
  set_tests_properties(${name} PROPERTIES LABELS "${ARG_LABEL}")
endfunction()
