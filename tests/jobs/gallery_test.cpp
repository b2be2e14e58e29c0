#include "jobs/gallery.hpp"

#include <nlohmann/json.hpp>
#include <regex>

#include "io/image.hpp"
#include "jobs/gallery_page.hpp"
#include "jobs/picture_writer.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

void put(const fs::path& file, const std::string& prompt, const std::string& negative = "") {
  Settings request;
  request.prompt = prompt;
  request.negative_prompt = negative;
  request.sampler = "euler";
  Picture picture = picture_for(request);
  picture.image = {.width = 16, .height = 8, .pixels = std::vector<uint8_t>(3 * 16 * 8, 99)};
  save_png(file, picture, request);
}

bool holds(const std::string& page, const std::string& part) { return page.find(part) != std::string::npos; }

size_t count(const std::string& page, const std::string& part) {
  size_t found = 0;
  for (size_t at = page.find(part); at != std::string::npos; at = page.find(part, at + 1)) ++found;
  return found;
}

}  // namespace

TEST_CASE("a gallery shows a folder's pictures with what drew them", "[jobs]") {
  const TempDir folder;
  put(folder / "00000-a.png", "a boat\nat sea", "blurry");
  put(folder / "00001-b.png", "ein Schloß 海");
  write_file(folder / "notes.txt", "x");
  fs::create_directory(folder / "deeper");
  put(folder / "deeper" / "c.png", "not shown");
  const fs::path page_file = write_gallery({.folder = folder.path()});
  CHECK(page_file == folder / "gallery.html");
  const std::string page = file_contents(page_file);
  CHECK(count(page, "<details>") == 2);
  CHECK(count(page, "<img src=\"data:image/webp;base64,") == 2);
  CHECK(holds(page, "<h2>Prompt</h2><p dir=\"auto\">a boat\nat sea</p>"));
  CHECK(holds(page, "<h2>Negative prompt</h2><p dir=\"auto\">blurry</p>"));
  CHECK(holds(page, "ein Schloß 海"));
  CHECK(holds(page, "<tr><th>Sampler<td>Euler\n"));
  CHECK(holds(page, "<tr><th>Seed<td>42\n"));
  CHECK(holds(page, "<a href=\"00000-a.png\">00000-a.png</a>, 16 × 8 pixels"));
  CHECK(holds(page, "2 pictures"));
  CHECK_FALSE(holds(page, "not shown"));
  CHECK(page.find("00000-a.png") < page.find("00001-b.png"));
  // Nothing from elsewhere.
  CHECK_FALSE(std::regex_search(page, std::regex("(src|href)=\"?(https?:)?//")));
  CHECK(page == file_contents(write_gallery({.folder = folder.path()})));  // the same folder, the same page
}

TEST_CASE("what pictures say is shown, and does nothing", "[jobs]") {
  const TempDir folder;
  const std::string hostile = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\" onload='x' & \x01";
  put(folder / "a.png", hostile, "</details><h1>");
  put(folder / "javascript:alert(1)#?%22 \"<b>.png", "named");
  const std::string page = file_contents(write_gallery({.folder = folder.path()}));
  CHECK(count(page, "<script") == 1);
  CHECK(count(page, "</script") == 1);
  CHECK(count(page, "<img") == 2);
  CHECK(count(page, "</details>") == 2);
  CHECK_FALSE(holds(page, "<b>"));
  CHECK(holds(page, "&lt;/script&gt;&lt;script&gt;alert(1)"));
  CHECK(holds(page, "&quot; onload=&#39;x&#39; &amp; ?"));
  CHECK(holds(page, "href=\"javascript%3Aalert%281%29%23%3F%2522%20%22%3Cb%3E.png\""));
  CHECK(holds(page, "default-src 'none'; img-src data:; style-src 'sha256-"));
  CHECK_FALSE(holds(page, "unsafe-inline"));
}

TEST_CASE("a prompt that looks like what stands behind it is shown whole", "[jobs]") {
  const TempDir folder;
  put(folder / "a.png", "one\nNegative prompt: two\nSteps: 7, Seed: 9", "three\nNegative prompt: four");
  put(folder / "b.png", "five\nNegative prompt: six");
  const std::string page = file_contents(write_gallery({.folder = folder.path()}));
  CHECK(holds(page, "<p dir=\"auto\">one\nNegative prompt: two\nSteps: 7, Seed: 9</p>"));
  CHECK(holds(page, "<p dir=\"auto\">three\nNegative prompt: four</p>"));
  CHECK(holds(page, "<p dir=\"auto\">five\nNegative prompt: six</p>"));
  CHECK(count(page, "<h2>Negative prompt</h2>") == 1);
}

TEST_CASE("a page elsewhere links to its pictures by a relative way", "[jobs]") {
  const TempDir folder;
  fs::create_directories(folder / "a" / "pictures");
  fs::create_directories(folder / "b");
  put(folder / "a" / "pictures" / "x y.png", "x");
  const fs::path page = write_gallery({.folder = folder / "a" / "pictures", .page = folder / "b" / "p.html"});
  CHECK(holds(file_contents(page), "href=\"../a/pictures/x%20y.png\""));
}

TEST_CASE("a gallery leaves out previews and names what it cannot read", "[jobs]") {
  const TempDir folder;
  const Image image{.width = 1, .height = 1, .pixels = {1, 2, 3}};
  const Bytes preview = encode_png(image, {{"sdtorch-preview", "step 1 of 2"}});
  write_file(folder / "preview.png", {reinterpret_cast<const char*>(preview.data()), preview.size()});
  const Bytes foreign = encode_png(image, {{"Comment", "{\"a\": \"<i>\"}"}});
  write_file(folder / "foreign.png", {reinterpret_cast<const char*>(foreign.data()), foreign.size()});
  write_file(folder / "torn.png", {reinterpret_cast<const char*>(foreign.data()), foreign.size() / 2});
  write_file(folder / ".sdtorch-1-0.tmp.png", "x");
  fs::create_symlink("nowhere", folder / "dangling.png");
  const std::string page = file_contents(write_gallery({.folder = folder.path()}));
  CHECK(count(page, "<details>") == 2);
  CHECK_FALSE(holds(page, "preview.png"));
  CHECK(holds(page, "<tr><th>Comment<td>{&quot;a&quot;: &quot;&lt;i&gt;&quot;}"));
  CHECK(holds(page, "<span class=\"none\">"));
}

TEST_CASE("a gallery takes no other file's place", "[jobs]") {
  const TempDir folder;
  check_error(ErrorKind::input, "has no pictures", [&] { write_gallery({.folder = folder.path()}); });
  check_error(ErrorKind::input, "is no folder", [&] { write_gallery({.folder = folder / "none"}); });
  CHECK(entries_in(folder.path()) == 0);
  put(folder / "a.png", "x");
  write_file(folder / "gallery.html", "<html>mine");
  check_error(ErrorKind::output, "no gallery of sdtorch's", [&] { write_gallery({.folder = folder.path()}); });
  check_error(ErrorKind::usage, "does not end in .html",
              [&] { write_gallery({.folder = folder.path(), .page = folder / "a.png"}); });
  check_error(ErrorKind::output, "", [&] { write_gallery({.folder = folder.path(), .page = "/proc/none/x.html"}); });
  CHECK(file_contents(folder / "gallery.html") == "<html>mine");
  fs::remove(folder / "a.png");
  CHECK_NOTHROW(write_gallery({.folder = folder.path(), .page = folder / "e.html", .may_be_empty = true}));
  CHECK(holds(file_contents(folder / "e.html"), "0 pictures"));
}

TEST_CASE("infotext is taken apart as it is, however odd", "[jobs]") {
  const auto facts = [](const std::string& text) {
    const std::vector<PngText> texts{{"parameters", text}};
    return picture_facts(texts);
  };
  const PictureFacts usual = facts(
      "a boat,\nSteps: to the sea\nNegative prompt: bad: x,\nworse\nSteps: 20, Sampler: Euler a, Note: \"a, b: "
      "\\\"c\\\"\", "
      "Seed: 1");
  CHECK(usual.prompt == "a boat,\nSteps: to the sea");
  CHECK(usual.negative_prompt == "bad: x,\nworse");
  CHECK(usual.parameters == std::vector<std::pair<std::string, std::string>>{
                                {"Steps", "20"}, {"Sampler", "Euler a"}, {"Note", "a, b: \"c\""}, {"Seed", "1"}});
  CHECK(facts("only a prompt").prompt == "only a prompt");
  CHECK(facts("Negative prompt: x").negative_prompt == "x");
  CHECK(facts("\nNegative prompt: x\nSteps: 1").negative_prompt == "x");
  CHECK(facts("\nNegative prompt: x\nSteps: 1").prompt == "");
  CHECK(facts("Steps: 5").parameters.size() == 1);
  for (const char* odd :
       {"", "Steps: ", "Steps: \"", "Negative prompt: ", "a\nSteps: 1, : , x", "\n\n\n", "Steps: 1, "}) {
    CHECK_NOTHROW(facts(odd));
  }
}
