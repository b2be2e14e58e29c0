// A request's fields by name, for everything that writes or reads a request: flags, prompt files, metadata.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pipeline/request.hpp"

namespace sdtorch {

/// One field of a request and its name: the long flag's, without the dashes before it.
struct RequestField {
  std::string_view name;
  std::variant<std::string Request::*, std::optional<std::string> Request::*, int64_t Request::*,
               std::optional<int64_t> Request::*, double Request::*, std::optional<double> Request::*,
               std::optional<PixelPair> Request::*, uint64_t Request::*, bool Request::*,
               std::vector<double> Request::*>
      member;
};

/// All fields, in the order in which they apply: a sampler's name that also says a schedule comes before `scheduler`,
/// and `sigmas`, which says the number of steps too, before `steps`.
std::span<const RequestField> request_fields();

/// By name, or nullptr.
const RequestField* find_request_field(std::string_view name);

/// Sets a field from a flag's text: numbers strictly, names of samplers and other choices in any case and, for
/// samplers, in the spellings of sd.cpp, A1111 and ComfyUI ("DPM++ 2M Karras" also sets the scheduler).
/// Schedules likewise. A list of numbers stands between commas. A seed of -1 draws one from the system. Throws
/// ErrorKind::usage naming `flag`, with the nearest choice.
void set_from_text(Request& request, const RequestField& field, const std::string& flag, const std::string& text);

/// `WIDTHxHEIGHT` (`LEFTxTOP`), or `HEIGHT,WIDTH` (`TOP,LEFT`) as diffusers' tuples have it; nothing where the text is
/// neither.
std::optional<PixelPair> parse_pixel_pair(std::string_view text);

/// `WIDTHxHEIGHT`.
std::string to_string(const PixelPair& pair);

/// Sets the noise levels, and the number of steps to theirs.
void set_sigmas(Request& request, std::vector<double> sigmas);

/// The names of all samplers.
std::vector<std::string> sampler_names();

/// A seed from the system's entropy.
uint64_t draw_seed();

}  // namespace sdtorch
