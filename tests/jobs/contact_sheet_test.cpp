#include "jobs/contact_sheet.hpp"

#include <algorithm>

#include "io/image.hpp"
#include "io/read_picture.hpp"
#include "jobs/picture_writer.hpp"
#include "jobs/sheet_layout.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;
using nlohmann::json;

namespace {

/// A sweep over two settings, the second the faster.
PictureRequests sweep(int64_t scales, int64_t steps) {
  PictureRequests requests;
  for (int64_t scale = 0; scale < scales; ++scale) {
    for (int64_t step = 0; step < steps; ++step) {
      requests.push_back({{"prompt", "a boat"}, {"cfg-scale", 5 + scale}, {"steps", 10 * (step + 1)}, {"seed", 42}});
    }
  }
  return requests;
}

/// A file of one colour with its request in it.
std::filesystem::path put_picture(const TempDir& folder, const std::string& name, const std::string& prompt,
                                  int64_t width, int64_t height, uint8_t red) {
  Settings request;
  request.prompt = prompt;
  Picture picture = picture_for(request);
  picture.image = {.width = width, .height = height, .pixels = {}};
  for (int64_t i = 0; i < width * height; ++i) picture.image.pixels.insert(picture.image.pixels.end(), {red, 0, 0});
  save_png(folder / name, picture, {});
  return folder / name;
}

/// How many pixels are of a red between these.
int64_t reds(const Image& image, int least, int most) {
  int64_t count = 0;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    count += image.pixels[i] >= least && image.pixels[i] <= most && image.pixels[i + 1] == 0;
  }
  return count;
}

json told_by(const std::filesystem::path& sheet) {
  for (const PngText& text : read_png_text(sheet)) {
    if (text.keyword == "sdtorch-grid") return json::parse(text.text);
  }
  return {};
}

}  // namespace

TEST_CASE("labels say what differs between pictures, and nothing else", "[jobs]") {
  CHECK(differences(sweep(2, 2)) == std::vector<std::string>{"cfg-scale 5, steps 10", "cfg-scale 5, steps 20",
                                                             "cfg-scale 6, steps 10", "cfg-scale 6, steps 20"});
  CHECK(differences({{{"prompt", "a"}, {"seed", 1}}}) == std::vector<std::string>{"a"});
  CHECK(differences({{{"prompt", "a"}, {"seed", 1}}, {{"prompt", "a"}, {"seed", 2}}}) ==
        std::vector<std::string>{"seed 1", "seed 2"});
  CHECK(differences({{{"prompt", "b"}, {"seed", 1}}, {{"prompt", "a"}, {"seed", 2}}}) ==
        std::vector<std::string>{"b, seed 1", "a, seed 2"});
  CHECK(differences({{{"sampler", "euler"}}, json::object()}) ==
        std::vector<std::string>{"sampler euler", "sampler the model's"});
  CHECK(differences({{{"model", "/a/x"}}, nullptr, {{"model", "/b/y.safetensors"}}}) ==
        std::vector<std::string>{"model x", "", "model y.safetensors"});
  CHECK(differences({json(nullptr)}) == std::vector<std::string>{""});
  // Where long prompts differ is seen, and what else does.
  const std::string begin = "a lighthouse on a cliff by the sea, ", end = ", oil on canvas, by a master";
  CHECK(differences({{{"prompt", begin + "red sky"}}, {{"prompt", begin + "red"}}, nullptr}) ==
        std::vector<std::string>{"… red sky", "… red", ""});
  CHECK(differences({{{"prompt", "gulls" + end}}, {{"prompt", "waves" + end}}}) ==
        std::vector<std::string>{"gulls, …", "waves, …"});
  CHECK(differences({{{"prompt", begin + "红" + end}, {"seed", 1}}, {{"prompt", begin + "蓝" + end}, {"seed", 2}}}) ==
        std::vector<std::string>{"… 红, …, seed 1", "… 蓝, …, seed 2"});
  const std::string one(300, 'x'), other(300, 'y');
  CHECK(differences({{{"prompt", one}, {"seed", 1}}, {{"prompt", other}, {"seed", 2}}})[1].ends_with("y…, seed 2"));
  CHECK(differences({{{"prompt", one}}, {{"prompt", other}}}) == std::vector<std::string>{one, other});
}

TEST_CASE("a sweep over two settings is a table", "[jobs]") {
  CHECK(columns_for(sweep(2, 5), 100, 100, 40) == 5);
  CHECK(columns_for(sweep(5, 2), 100, 100, 40) == 2);
  CHECK(columns_for(sweep(7, 3), 100, 300, 40) == 3);
  PictureRequests gaps = sweep(3, 4);
  gaps[0] = gaps[7] = nullptr;
  CHECK(columns_for(gaps, 100, 100, 40) == 4);
  // Of three settings, whichever two ways together are the squarer.
  PictureRequests three;
  for (int a = 0; a < 2; ++a) {
    for (int b = 0; b < 3; ++b) {
      for (int c = 0; c < 4; ++c) three.push_back({{"a", a}, {"b", b}, {"c", c}});
    }
  }
  CHECK(columns_for(three, 100, 100, 40) == 4);
  CHECK(columns_for(three, 20, 100, 40) == 12);
  CHECK(columns_for(sweep(3, 50), 100, 100, 40) < 40);  // too wide for a sheet
}

TEST_CASE("other pictures make a sheet that is nearly square", "[jobs]") {
  PictureRequests seeds;
  for (int i = 0; i < 12; ++i) seeds.push_back({{"seed", i}});
  CHECK(columns_for(seeds, 100, 120, 40) == 4);
  CHECK(columns_for(seeds, 100, 300, 40) == 6);
  CHECK(columns_for(seeds, 100, 100, 2) == 2);
  CHECK(columns_for({seeds.begin(), seeds.begin() + 1}, 100, 100, 40) == 1);
  CHECK(columns_for({}, 100, 100, 40) == 1);
}

TEST_CASE("a sheet holds each picture in its place, and says that it is one", "[jobs]") {
  const TempDir folder;
  ContactSheet sheet;
  sheet.add(5, put_picture(folder, "b.png", "two 海", 64, 64, 200));
  sheet.add(1, put_picture(folder, "a.png", "one", 64, 64, 100));
  sheet.add_failed(7);
  sheet.add(9, put_picture(folder, "c.png", std::string(5000, 'x'), 32, 64, 50));
  CHECK(sheet.size() == 4);
  CHECK(sheet.save(folder / "s.png", false) == folder / "s.png");
  CHECK(sheet.save(folder / "s.png", false) == folder / "s.png");  // an earlier sheet may go
  check_grid(4, folder / "s.png");
  check_error(ErrorKind::output, "no sheet of pictures", [&] { check_grid(4, folder / "a.png"); });
  check_error(ErrorKind::output, "no sheet of pictures", [&] { sheet.save(folder / "a.png", false); });
  const Image image = read_picture(folder / "s.png").image;
  CHECK(reds(image, 100, 100) == 64 * 64);
  CHECK(reds(image, 200, 200) == 64 * 64);
  CHECK(reds(image, 50, 50) == 32 * 64);
  const json told = told_by(folder / "s.png");
  CHECK(told["pictures"] == 4);
  CHECK(told["columns"] == 2);
  CHECK(told["rows"] == 2);
  // In the order of their numbers: the first one lies left of the second.
  const auto first = std::ranges::find(image.pixels, 100) - image.pixels.begin();
  const auto second = std::ranges::find(image.pixels, 200) - image.pixels.begin();
  CHECK(first < second);
  CHECK(second - first < 3 * image.width);
  CHECK(entries_in(folder.path()) == 4);
}

TEST_CASE("a sheet of many pictures stays within bounds", "[jobs]") {
  const TempDir folder;
  const auto large = put_picture(folder, "large.png", "x", 1024, 512, 200);
  ContactSheet sheet;
  for (int i = 0; i < 300; ++i) sheet.add(i, large);
  sheet.save(folder / "s.png", false);
  const Image image = read_picture(folder / "s.png").image;
  CHECK(image.width <= 8192);
  CHECK(image.height <= 8192);
  CHECK(image.width * image.height <= 48'000'000);
  CHECK(reds(image, 195, 205) > 300 * 128 * 64);
  for (int i = 0; i <= 1000; ++i) sheet.add(i, large);
  check_error(ErrorKind::usage, "1001 pictures are more than the 1000", [&] { sheet.save(folder / "t.png", false); });
  check_error(ErrorKind::usage, "--grid", [] { check_grid(1001, {}); });
  CHECK_NOTHROW(check_grid(1000, {}));
}

TEST_CASE("a sheet without a name of its own takes no other one's", "[jobs]") {
  const TempDir folder;
  ContactSheet sheet;
  sheet.add(0, put_picture(folder, "a.png", "one", 8, 8, 100));
  CHECK(usual_grid_file({.outdir = folder.path()}) == folder / "grid.png");
  CHECK(usual_grid_file({.output = folder / "x.png"}) == folder / "grid.png");
  write_file(folder / "grid.png", "mine");
  CHECK(sheet.save(folder / "grid.png", true) == folder / "grid-2.png");
  CHECK(sheet.save(folder / "grid.png", true) == folder / "grid-3.png");
  CHECK(file_contents(folder / "grid.png") == "mine");
  CHECK(sheet.save(folder / "grid-2.png", false) == folder / "grid-2.png");
}

TEST_CASE("a picture that is gone or broken leaves its place empty", "[jobs]") {
  const TempDir folder;
  ContactSheet sheet;
  sheet.add(0, folder / "gone.png");
  write_file(folder / "b.png", "no PNG");
  sheet.add(1, folder / "b.png");
  sheet.add(2, put_picture(folder, "c.png", "one", 8, 8, 100));
  sheet.save(folder / "s.png", false);
  CHECK(reds(read_picture(folder / "s.png").image, 100, 100) == 64);
}
