// What the library tells a person while a test runs.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>

/// Everything that is written to stderr during `call`.
template <class Call>
std::string stderr_of(Call&& call) {
  std::FILE* const file = std::tmpfile();
  std::fflush(stderr);
  const int usual = dup(STDERR_FILENO);
  dup2(fileno(file), STDERR_FILENO);
  const auto restore = [&] {
    std::fflush(stderr);
    dup2(usual, STDERR_FILENO);
    close(usual);
  };
  try {
    call();
  } catch (...) {
    restore();
    std::fclose(file);
    throw;
  }
  restore();
  std::rewind(file);
  std::string text;
  for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) text += static_cast<char>(c);
  std::fclose(file);
  return text;
}
