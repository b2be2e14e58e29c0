// Errors that a call must throw.
#pragma once

#include <string>
#include <utility>

#include "core/error.hpp"
#include "support/catch.hpp"

/// The message of the Error of this kind that `call` throws; fails the test where it throws none.
template <class Call>
std::string error_message(sdtorch::ErrorKind kind, Call&& call) {
  try {
    std::forward<Call>(call)();
  } catch (const sdtorch::Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  FAIL("no error was thrown");
  return {};
}

/// The same, and the message must hold `fragment`.
template <class Call>
void check_error(sdtorch::ErrorKind kind, const std::string& fragment, Call&& call) {
  const std::string message = error_message(kind, std::forward<Call>(call));
  INFO("message: " << message);
  INFO("wanted:  " << fragment);
  CHECK(message.find(fragment) != std::string::npos);
}
