#include "adapters/textual_inversion.hpp"

#include <algorithm>

#include "adapters/png_embedding.hpp"
#include "io/image.hpp"
#include "support/catch.hpp"
#include "support/checkpoints.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/temp_dir.hpp"
#include "weights/state_dict.hpp"

using namespace sdtorch;

namespace {

TextualInversion load_golden_words(const std::string& file) {
  return load_textual_inversion(golden_path("inversion/" + file));
}

std::vector<int64_t> shape_of(const LearnedWord& word, LearnedFor part = LearnedFor::only) {
  return word.vectors.at(part).sizes().vec();
}

}  // namespace

TEST_CASE("learned words are read in every layout that trainers write", "[adapters]") {
  struct Layout {
    std::string file, name;
    std::vector<int64_t> shape;
    bool named_by_file;
  };
  for (const Layout& one : {Layout{"statue.pt", "cat-statue", {2, 24}, true},
                            {"inkwash.pt", "", {1, 24}, true},
                            {"learned_embeds.bin", "<cat>", {1, 24}, false},
                            {"bare.bin", "", {3, 24}, false},
                            {"gloom.safetensors", "", {3, 24}, false}}) {
    INFO(one.file);
    const TextualInversion read = load_golden_words(one.file);
    REQUIRE(read.words.size() == 1);
    CHECK(read.words.front().name == one.name);
    CHECK(shape_of(read.words.front()) == one.shape);
    CHECK(read.words.front().vectors.at(LearnedFor::only).scalar_type() == at::kFloat);
    CHECK(read.named_by_file == one.named_by_file);
  }
  const TextualInversion several = load_golden_words("several.safetensors");
  REQUIRE(several.words.size() == 2);
  CHECK(several.words[0].name == "<one>");
  CHECK(several.words[1].count() == 2);
  for (const char* pair : {"pair.safetensors", "trained.pt"}) {
    const TextualInversion read = load_golden_words(pair);
    REQUIRE(read.words.size() == 1);
    CHECK(shape_of(read.words[0], LearnedFor::first)[1] != shape_of(read.words[0], LearnedFor::second)[1]);
  }
}

TEST_CASE("what is no learned word is refused by file and key", "[adapters]") {
  using Tensors = std::map<std::string, at::Tensor>;
  const auto refused = [](const Tensors& tensors, const std::string& fragment) {
    check_error(ErrorKind::model, fragment, [&] { read_textual_inversion(tensors, "", "a.pt"); });
  };
  const at::Tensor vector = at::ones({8});
  refused({}, "a.pt: holds no embedding");
  refused({{"string_to_token.*", at::ones({1})}}, "holds no embedding");
  refused({{"cat", at::ones({2, 8}, at::kLong)}}, "a.pt: cat: vectors of Long are no embedding");
  refused({{"cat", at::ones({2, 2, 8})}}, "a.pt: cat: an embedding has the shape [C] or [n, C], this has [2, 2, 8]");
  refused({{"cat", at::ones({0, 8})}}, "this has [0, 8]");
  refused({{"cat", at::ones({})}}, "this has []");
  refused({{"cat", vector / 0}}, "a.pt: cat: has numbers that are not finite");
  refused({{"*", vector}, {"cat", vector}}, "a.pt: *: is one of 2 embeddings");
  refused({{"clip_l", vector}, {"clip_g", at::ones({2, 8})}}, "clip_g: 2 vectors, and clip_l has 1");
  refused({{"clip_l", vector}, {"text_encoders_0", vector}}, "text_encoders_0: is there twice");
  refused({{"clip_l", vector}, {"clip_g", vector}, {"x", vector}}, "a.pt: x: does not belong beside clip_l and clip_g");
  refused({{"lora_unet_a.lora_down.weight", at::ones({2, 2})}, {"lora_unet_a.lora_up.weight", at::ones({2, 2})}},
          "a.pt: this is a LoRA (kohya's names), no textual inversion");
}

TEST_CASE("hostile files of learned words end in a message", "[adapters]") {
  using namespace pickled;
  const TempDir folder;
  const auto refused = [&](const std::string& value, const std::string& fragment) {
    write_file(folder / "a.pt", torch_zip(value));
    check_error(ErrorKind::model, fragment, [&] { load_textual_inversion(folder / "a.pt"); });
  };
  refused(dict({text("string_to_param"), dict({})}), "holds no tensors");
  refused(dict({text("string_to_param"), text("x")}), "holds no tensors");
  refused(dict({text("string_to_param"), dict({text("*"), tensor(), text("+"), tensor()})}),
          "*: is one of 2 embeddings");
  write_file(folder / "b.bin", "no pickle");
  check_error(ErrorKind::model, "b.bin", [&] { load_textual_inversion(folder / "b.bin"); });
  // A name that is no text, and one that says nothing, count as none.
  write_file(folder / "c.pt",
             torch_zip(dict({text("string_to_param"), dict({text("*"), tensor()}), text("name"), integer(7)})));
  CHECK(load_textual_inversion(folder / "c.pt").words.front().name.empty());
  write_file(folder / "d.pt",
             torch_zip(dict({text("string_to_param"), dict({text("*"), tensor()}), text("name"), text("*")})));
  CHECK(load_textual_inversion(folder / "d.pt").words.front().name.empty());
}

TEST_CASE("vectors go to the text encoder that they were made for, or to none", "[adapters]") {
  const LearnedWord single{.name = "a", .vectors = {{LearnedFor::only, at::ones({2, 768})}}};
  const LearnedWord pair{
      .vectors = {{LearnedFor::first, at::ones({1, 768})}, {LearnedFor::second, at::ones({1, 1280})}}};
  const auto of = [](const LearnedWord& word, const EncoderPlace& place) {
    return vectors_for(word, place, "a.pt", "model").size(1);
  };
  CHECK(of(single, {.encoders = 1, .width = 768}) == 768);
  CHECK(of(pair, {.encoders = 2, .width = 768}) == 768);
  CHECK(of(pair, {.encoders = 2, .second = true, .width = 1280}) == 1280);
  CHECK(of(pair, {.encoders = 1, .second = true, .width = 1280}) == 1280);  // a refiner
  const auto refused = [&](const LearnedWord& word, const EncoderPlace& place, const std::string& fragment) {
    check_error(ErrorKind::model, fragment, [&] { of(word, place); });
  };
  refused(single, {.encoders = 1, .width = 1024},
          "a.pt: vectors of 768 numbers, made for SD1; the text encoder of model takes 1024");
  refused({.vectors = {{LearnedFor::only, at::ones({2, 1024})}}}, {.encoders = 1, .width = 768},
          "vectors of 1024 numbers, made for SD2; the text encoder of model takes 768");
  refused(single, {.encoders = 2, .width = 768}, "made for SD1; model has two text encoders");
  refused(pair, {.encoders = 1, .width = 768}, "made for SDXL; model has one text encoder");
  refused(pair, {.encoders = 2, .width = 512}, "a.pt: clip_l: vectors of 768 numbers, made for SDXL");
  refused({.vectors = {{LearnedFor::second, at::ones({1, 1280})}}}, {.encoders = 2, .width = 768},
          "a.pt: clip_l: is missing");
}

TEST_CASE("a word in a picture is read as A1111 writes it", "[adapters]") {
  const at::Tensor expected = load_golden("inversion/picture_vectors").at("vectors");
  for (const char* file : {"picture.png", "hidden.png"}) {
    INFO(file);
    const TextualInversion read = load_golden_words(file);
    REQUIRE(read.words.size() == 1);
    CHECK(read.words.front().name == "framed");
    CHECK(read.named_by_file);
    CHECK(shape_of(read.words.front()) == std::vector<int64_t>{2, 24});
    CHECK(at::allclose(read.words.front().vectors.at(LearnedFor::only), expected, 0, 1e-6));
  }
  CHECK_FALSE(read_png_embedding(golden_path("inversion/hidden.png"), PngPlaces::text));

  const TempDir folder;
  const auto picture = [&](const std::string& text) {
    const Bytes png = encode_png({.width = 2, .height = 2, .pixels = std::vector<uint8_t>(12)});
    const Bytes bytes = add_png_text(png, {{.keyword = "sd-ti-embedding", .text = text}});
    write_file(folder / "a.png", std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    return folder / "a.png";
  };
  const auto refused = [&](const std::string& text, const std::string& fragment) {
    INFO(text);
    check_error(ErrorKind::model, fragment, [&] { load_textual_inversion(picture(text)); });
  };
  refused("?", "a.png: sd-ti-embedding: not base64");
  refused("e30=", "a.png: sd-ti-embedding: no string_to_param is in it");                       // {}
  refused("W10=", "no string_to_param");                                                        // []
  refused("ew==", "a.png: sd-ti-embedding");                                                    // {
  refused("eyJzdHJpbmdfdG9fcGFyYW0iOnsiKiI6MX19", "string_to_param.*: a tensor was expected");  // {…{"*":1}}
  // {"string_to_param":{"*":{"TORCHTENSOR":[[1,2],[3]]}}}
  refused("eyJzdHJpbmdfdG9fcGFyYW0iOnsiKiI6eyJUT1JDSFRFTlNPUiI6W1sxLDJdLFszXV19fX0=", "all of one length");
  check_error(ErrorKind::model, "b.png", [] { load_textual_inversion(golden_path("ip_adapter/b.png")); });
}

TEST_CASE("OneTrainer's vectors for one text encoder go to it under SDXL's name", "[adapters]") {
  const LearnedWord word{.name = "x", .vectors = {{LearnedFor::first, at::ones({2, 8})}}};
  CHECK(vectors_for(word, {.encoders = 1, .width = 8}, "a.pt", "m").size(0) == 2);
  check_error(ErrorKind::model, "a.pt: clip_l: vectors of 8 numbers; the text encoder of m takes 9",
              [&] { vectors_for(word, {.encoders = 1, .width = 9}, "a.pt", "m"); });
  check_error(ErrorKind::model, "clip_g: is missing",
              [&] { vectors_for(word, {.encoders = 2, .second = true, .width = 8}, "a.pt", "m"); });
}
