// What a picture says of itself: A1111's `parameters` and our `sdtorch` text chunk.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "io/png_text.hpp"
#include "pipeline/settings.hpp"
#include "sdtorch/error.hpp"
#include "sdtorch/pipeline.hpp"

namespace sdtorch {

/// A model's name for people: its folder's, `demo` for the built-in one.
std::string model_name(const ModelChoice& choice);

/// A1111's infotext: the prompt, a line `Negative prompt: …` where there is one, and a line
/// `Steps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 42, Size: 512x512, …`.
std::string parameters_text(const ModelChoice& choice, const Picture& picture);

/// Both chunks: `parameters`, and `sdtorch` with a whole request as JSON, its model's path made absolute so that it
/// can be repeated from any folder. The request's sampler stays unset where the model chose it, since a sampler chosen
/// by name may read the model's scheduler config otherwise.
std::vector<PngText> picture_metadata(const ModelChoice& choice, const Picture& picture);

/// The request that infotext describes, as far as it goes: prompt, negative prompt, steps, sampler and schedule, CFG
/// scale, seed, size and what else parameters_text writes. The settings are the last line that begins with `Steps:` and
/// has three entries; text below it that is no entry, and templates, are passed over. What has no counterpart here
/// is left out with a warning, samplers and schedules of other programs, too; what the sampler has no use for is kept,
/// for leave_unused.
/// Throws ErrorKind::input naming `file` and the entry: no `Steps:` line, a value that is not one.
Settings parse_parameters(const std::string& text, const std::string& file);

/// Sets back, with a warning, what a picture's request says and its sampler has no use for, or a flag contradicts: the
/// user may have given another sampler than the picture's. given: names of the fields that flags said, which stay.
void leave_unused(Settings& request, std::span<const std::string> given, const std::string& file);

/// An error of a request that came from a picture, of a flag that nobody gave: the same, naming the picture and the
/// entry. given: names of the fields that flags said.
Error as_error_of_picture(const Error& error, std::span<const std::string> given, const std::string& file);

/// Whether a PNG carries an `sdtorch` chunk. Throws as read_png_text.
bool is_picture_of_ours(const std::filesystem::path& png);

/// The request that repeats a picture: from its `sdtorch` chunk, from its `parameters`, or from what ComfyUI, InvokeAI
/// or NovelAI write (settings_from_foreign). lora_dir: where LoRAs are looked for that such a program names. Throws
/// ErrorKind::input where it has none of them, or they are damaged.
Settings settings_from_picture(const std::filesystem::path& png, const std::string& lora_dir = {});

}  // namespace sdtorch
