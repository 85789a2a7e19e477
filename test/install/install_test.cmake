# Installs vizoo into a folder of its own, builds a project outside the tree against it by
# find_package(vizoo), and runs what was built and the installed program.
#   cmake -DBUILD=... -DSOURCE=... -DWORK=... -DGENERATOR=... -P install_test.cmake
function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE code OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT code EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\nended with ${code}:\n${output}")
  endif()
  message("${output}")
endfunction()

file(REMOVE_RECURSE "${WORK}")
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)
run(${CMAKE_COMMAND} -S ${SOURCE}/test/install/consumer -B ${WORK}/build -G ${GENERATOR}
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_PREFIX_PATH=${WORK}/prefix)
run(${CMAKE_COMMAND} --build ${WORK}/build --parallel 2)
run(${WORK}/build/consumer ${SOURCE}/weights/convnext-digits)
run(${WORK}/build/core_consumer ${SOURCE}/weights/convnext-digits/model.safetensors)
run(${WORK}/prefix/bin/vizoo list)
file(REMOVE_RECURSE "${WORK}")
