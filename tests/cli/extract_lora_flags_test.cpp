#include <string>
#include <vector>

#include "cli/options.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"

using namespace sdtorch;

namespace {

ExtractLoraOptions read_extract_flags(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), {"sdtorch", "extract-lora"});
  const Invocation invocation = parse_command_line(static_cast<int>(arguments.size()), arguments.data());
  CHECK(invocation.command == Command::extract_lora);
  return invocation.extract_lora;
}

}  // namespace

TEST_CASE("extract-lora takes two models, a file, ranks and a type", "[cli]") {
  const ExtractLoraOptions plain = read_extract_flags({"a", "b", "-o", "c.safetensors"});
  CHECK(plain.from == "a");
  CHECK(plain.to == "b");
  CHECK(plain.output == "c.safetensors");
  CHECK(plain.rank == 64);
  CHECK(plain.dtype == at::kHalf);
  const ExtractLoraOptions all = read_extract_flags(
      {"--rank", "8", "a", "b", "--conv-rank", "4", "--dtype", "FP32", "--only-products", "--output", "c.safetensors"});
  CHECK(all.rank == 8);
  CHECK(all.conv_rank == 4);
  CHECK(all.dtype == at::kFloat);
  CHECK(all.only_products);
}

TEST_CASE("extract-lora says what is missing or wrong in its flags", "[cli]") {
  const auto refused = [](const std::vector<const char*>& arguments, const char* why) {
    check_error(ErrorKind::usage, why, [&] { read_extract_flags(arguments); });
  };
  refused({"a", "-o", "c"}, "two models are needed");
  refused({"a", "b"}, "--output: the file to write is missing");
  refused({"a", "b", "c", "-o", "d"}, "one argument too many");
  refused({"a", "b", "-o", "c", "--rank", "0"}, "--rank: must be 1…4096");
  refused({"a", "b", "-o", "c", "--rank", "many"}, "--rank: must be 1…4096");
  refused({"a", "b", "-o", "c", "--dtype", "int8"}, "--dtype");
  refused({"a", "b", "-o", "c.pt"}, "--output: 'c.pt' is no .safetensors");
  CHECK(read_extract_flags({"a", "b", "-o", "C.SafeTensors"}).output == "C.SafeTensors");
}
