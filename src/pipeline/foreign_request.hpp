// A request put together from what another program wrote into a picture, and what of it could not be taken over.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "io/png_text.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {

/// What is known beside a picture's texts.
struct PictureSource {
  std::string file{};             ///< the picture's name, for messages
  std::string lora_dir{};         ///< where LoRAs are looked for that it names; empty: only as it names them
  int64_t width = 0, height = 0;  ///< its own, in pixels
};

/// Takes values of another program's metadata into settings, each by the name of the setting that means the same.
class ForeignRequest {
 public:
  /// chunk: the text chunk that is read, for messages.
  ForeignRequest(const PictureSource& source, std::string chunk) : source_(source), chunk_(std::move(chunk)) {}

  Settings settings{};

  /// Sets the setting from a JSON number, text or whole number written as a real one; null and a missing value are
  /// passed over. entry: the other program's name of it. Throws ErrorKind::input for a value that the flag would
  /// refuse.
  void take(std::string_view setting, const std::string& entry, const nlohmann::json& value);

  /// By its name there: a sampler or schedule that is not here is left to the model, with a warning.
  void take_sampler(const std::string& name);
  void take_schedule(const std::string& name);

  /// A LoRA or another file by its name there: looked for as it is and in the folder of LoRAs, with or without its
  /// ending. Left out with a warning where it is not found, or found more than once.
  void take_lora(const std::string& name, double weight, double text_weight);
  void take_vae(const std::string& name);

  /// One line for what has no counterpart, or was done otherwise.
  void warn(const std::string& entry, const std::string& what) const;

  /// Throws ErrorKind::input.
  [[noreturn]] void fail_at(const std::string& entry, const std::string& reason, const std::string& hint = {}) const;

  /// The settings, checked. Throws ErrorKind::input for what no request may say.
  Settings finish();

  const PictureSource& source() const { return source_; }

 private:
  const PictureSource& source_;
  std::string chunk_;
};

/// JSON with NaN, which some programs write and no JSON has, as null; a text chunk's. Throws ErrorKind::input.
nlohmann::json parse_foreign_json(const PngText& text, const std::string& file);

/// The text of that keyword; nullptr where there is none.
const PngText* find_text(const std::vector<PngText>& texts, std::string_view keyword);

/// The member of an object; null where it has none, or is no object.
const nlohmann::json& member(const nlohmann::json& object, const std::string& key);

}  // namespace sdtorch
