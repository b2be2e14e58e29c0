#include "jobs/previews.hpp"

#include <ATen/ATen.h>

#include "io/image.hpp"
#include "io/read_picture.hpp"
#include "io/resize.hpp"
#include "jobs/run.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

/// Draws and keeps the last prediction.
struct Watched {
  Picture picture{};
  at::Tensor predicted{};
};

Watched draw_watched(const Pipeline& pipeline, const Request& request) {
  Watched watched;
  watched.picture = pipeline.draw(request, {.on_step = [&](const Step& step) { watched.predicted = step.predicted; }});
  return watched;
}

/// Pixels as numbers, [n].
at::Tensor values(const Image& image) {
  return at::from_blob(const_cast<uint8_t*>(image.pixels.data()), {std::ssize(image.pixels)}, at::kByte)
      .to(at::kDouble);
}

double correlation(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor x = a - a.mean(), y = b - b.mean();
  return ((x * y).mean() / (x.square().mean() * y.square().mean()).sqrt()).item<double>();
}

}  // namespace

TEST_CASE("a latent's colours are those of the picture that it decodes to", "[jobs]") {
  const Pipeline pipeline = Pipeline::open(ModelChoice{.device = "cpu"});
  const LatentColors colors = LatentColors::fit(pipeline, 4);
  for (const char* prompt :
       {"a pirate ship near a paradise beach", "a castle at night", "a red balloon over a field"}) {
    Request request;
    request.prompt = prompt;
    request.steps = 8;
    const Watched drawn = draw_watched(pipeline, request);
    const Image coarse = colors.picture(drawn.predicted[0]);
    REQUIRE(colors.factor() * coarse.width == drawn.picture.image.width);
    const Image wanted = resize(drawn.picture.image, coarse.width, coarse.height, Resampling::box);
    const double alike = correlation(values(coarse), values(wanted));
    const double apart = (values(coarse) - values(wanted)).abs().mean().item<double>();
    INFO(prompt << ": correlation " << alike << ", mean difference " << apart);
    CHECK(alike > 0.72);  // the best linear map for these very pictures has 0.8 to 0.95
    CHECK(apart < 40);
  }
}

TEST_CASE("previews are written every so many steps, and change no picture", "[jobs]") {
  const TempDir folder;
  const Pipeline pipeline =
      Pipeline::open(ModelChoice{.model = golden_path("pipeline/models/sd1").string(), .device = "cpu"});
  Request request;
  request.prompt = "x";
  request.steps = 5;
  request.sampler = "euler_a";
  const Image plain = pipeline.draw(request).image;
  Previews previews(folder / "p.png", 2);
  std::vector<int64_t> written;
  const Picture watched = pipeline.draw(request, {.on_step = [&](const Step& step) {
                                          if (previews.add(pipeline, step, request)) written.push_back(step.index + 1);
                                        }});
  CHECK(written == std::vector<int64_t>{2, 4});
  CHECK(watched.image == plain);
  CHECK(is_preview(folder / "p.png"));
  const auto texts = read_png_text(folder / "p.png");
  REQUIRE(texts.size() == 1);
  CHECK(texts[0].text == "step 4 of 5");
  const Image preview = read_picture(folder / "p.png").image;
  CHECK(preview.width == plain.width);
  CHECK(preview.height == plain.height);
  CHECK(entries_in(folder.path()) == 1);
}

TEST_CASE("a preview takes no picture's place, and its faults end no run", "[jobs]") {
  const TempDir folder;
  const Image image{.width = 1, .height = 1, .pixels = {1, 2, 3}};
  const Bytes png = encode_png(image), old = encode_png(image, {{"sdtorch-preview", "step 1 of 2"}});
  const auto put = [&](const char* name, const Bytes& bytes) {
    write_file(folder / name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  };
  put("preview.png", png);
  const OutputOptions options{.outdir = folder.path(), .preview_every = 1};
  CHECK(preview_file(options) == folder / "preview.png");
  CHECK(preview_file({.output = folder / "a.png", .preview_every = 1}) == folder / "preview.png");
  check_error(ErrorKind::output, "is there already, and no preview", [&] { check_previews(options); });
  put("preview.png", old);
  CHECK_NOTHROW(check_previews(options));
  CHECK_NOTHROW(check_previews({.outdir = folder / "new", .preview_every = 1}));
  check_error(ErrorKind::output, "its folder does not exist",
              [&] { check_previews({.preview_every = 1, .preview = folder / "none" / "p.png"}); });

  const Pipeline pipeline =
      Pipeline::open(ModelChoice{.model = golden_path("pipeline/models/sd1").string(), .device = "cpu"});
  const Request request{.prompt = "x", .steps = 3};
  put("taken.png", png);
  for (const auto& file : {folder / "none" / "p.png", folder / "taken.png"}) {
    Previews previews(file, 1);
    int64_t written = 0;
    CHECK_NOTHROW(pipeline.draw(
        request, {.on_step = [&](const Step& step) { written += previews.add(pipeline, step, request); }}));
    CHECK(written == 0);
  }
  CHECK(read_picture(folder / "taken.png").image == image);
  CHECK_FALSE(is_preview(folder / "taken.png"));
}
