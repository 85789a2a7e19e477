#pragma once

#include <c10/util/Exception.h>

#include <string>

namespace vizoo::test {

/// The message of the c10::Error that `function` throws; "no error" if it throws none.
template <class Function>
std::string op_error(const Function& function) {
  try {
    function();
  } catch (const c10::Error& error) {
    return error.what_without_backtrace();
  }
  return "no error";
}

}  // namespace vizoo::test
