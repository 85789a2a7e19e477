#pragma once

#include <functional>
#include <string>

#include "vizoo/core/error.h"

namespace vizoo::test {

/// The message of the `ErrorType` that `body` throws; "nothing was thrown" if it throws nothing.
/// Other exceptions pass.
template <class ErrorType = Error>
std::string error_message(const std::function<void()>& body) {
  try {
    body();
  } catch (const ErrorType& error) {
    return error.what();
  }
  return "nothing was thrown";
}

/// Whether `text` has `part` in it.
inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace vizoo::test
