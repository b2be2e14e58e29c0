// Draws a picture with the built-in model: what a program needs to use the library.
#include <cstdio>
#include <sdtorch/pipeline.hpp>

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: draw PROMPT FILE.png\n");
    return 2;
  }
  try {
    const sdtorch::Pipeline pipeline = sdtorch::Pipeline::open({.device = "cpu"});
    const sdtorch::Picture picture = pipeline.draw({.prompt = argv[1], .seed = 5});
    sdtorch::save_png(argv[2], picture, pipeline.model().choice());
  } catch (const sdtorch::Error& error) {
    std::fprintf(stderr, "error: %s\n", error.what());
    return error.exit_code();
  }
}
