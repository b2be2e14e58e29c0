#include <sstream>

#include "jobs/csv_table.hpp"
#include "jobs/prompt_file.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/files.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

std::vector<Job> read_csv(const std::string& contents, const Settings& base = {}) {
  const TempDir folder;
  write_file(folder / "p.csv", contents);
  std::istringstream none;
  return read_prompt_file((folder / "p.csv").string(), base, none);
}

using Cells = std::vector<std::vector<std::string>>;

Cells cells_of(std::string_view text) {
  CsvTable table(text, "t.csv");
  Cells rows;
  while (const auto row = table.next()) {
    std::vector<std::string> cells;
    for (const CsvCell& cell : row->cells) cells.push_back(cell.text);
    rows.push_back(std::move(cells));
  }
  return rows;
}

}  // namespace

TEST_CASE("tables are read as RFC 4180 has them", "[jobs]") {
  CHECK(cells_of("a,b\nc,d\n") == Cells{{"a", "b"}, {"c", "d"}});
  CHECK(cells_of("a,b\r\nc,d") == Cells{{"a", "b"}, {"c", "d"}});
  CHECK(cells_of("a,b\rc,d\r") == Cells{{"a", "b"}, {"c", "d"}});
  CHECK(cells_of("\xEF\xBB\xBF"
                 "a,b\n\n  \n# no, row\n,,\nc,\n") == Cells{{"a", "b"}, {"c", ""}});
  CHECK(cells_of("a,b\n\"x, \"\"y\"\"\nz\",\"# d\"\n\"\",\"\"\n") ==
        Cells{{"a", "b"}, {"x, \"y\"\nz", "# d"}, {"", ""}});
  CHECK(cells_of("a, b ,\tc\n \" d \" ,e f,g\n") == Cells{{"a", "b", "c"}, {" d ", "e f", "g"}});
  CHECK(cells_of("a;b\nc,d;e\n") == Cells{{"a", "b"}, {"c,d", "e"}});
  CHECK(cells_of("a\tb\nc, d\t\n\te\n") == Cells{{"a", "b"}, {"c, d", ""}, {"", "e"}});
  CHECK(cells_of("sep=;\na,b;c\n") == Cells{{"a,b", "c"}});
  CHECK(cells_of("a\nb\n") == Cells{{"a"}, {"b"}});
  CHECK(cells_of("").empty());
  CHECK(cells_of("\n# x\n").empty());

  CsvTable table("a,b\r\n\"1\r\n2\", 海 ,x\n", "t.csv");
  table.next();
  const auto row = table.next();
  REQUIRE(row);
  CHECK(row->place.line == 2);
  REQUIRE(row->cells.size() == 3);
  CHECK(row->cells[0].place.line == 2);
  CHECK(row->cells[1].place.line == 3);
  CHECK(row->cells[1].place.column == 5);
  CHECK(row->cells[2].place.column == 8);
}

TEST_CASE("a .csv file holds a request a row", "[jobs]") {
  Settings base;
  base.steps = 5;
  base.negative_prompt = "fog";
  base.styles = "styles.csv";
  const auto jobs = read_csv(
      "prompt,steps,cfg,-s,negative-prompt,sampler,vae-tiling,style,style,control-net\n"
      "\"a cat, \"\"red\"\"\n on a hill\",7,3.5,18446744073709551615,blurry,Euler a,true,Oil,Night,net=pic.png\n"
      "a dog,,,,,,,,,\n"
      "\"\",,,,\"\",,no,Oil,,\n",
      base);
  REQUIRE(jobs.size() == 3);
  CHECK(jobs[0].request.prompt == "a cat, \"red\"\n on a hill");
  CHECK(jobs[0].request.steps == 7);
  CHECK(jobs[0].request.cfg_scale == 3.5);
  CHECK(jobs[0].request.seed == 18446744073709551615u);
  CHECK(jobs[0].request.negative_prompt == "blurry");
  CHECK(jobs[0].request.sampler == "euler_a");
  CHECK(jobs[0].request.vae_tiling);
  CHECK(jobs[0].request.style == std::vector<std::string>{"Oil", "Night"});
  CHECK(jobs[0].choice.control_net == std::vector<std::string>{"net"});
  CHECK(jobs[0].request.control_image == std::vector<std::string>{"pic.png"});
  CHECK(jobs[1].request.prompt == "a dog");
  CHECK(jobs[1].request.steps == 5);
  CHECK(jobs[1].request.negative_prompt == "fog");
  CHECK_FALSE(jobs[1].request.vae_tiling);
  CHECK(jobs[1].source.ends_with("p.csv: line 4"));
  CHECK(jobs[2].request.prompt.empty());
  CHECK(jobs[2].request.negative_prompt == "");
  CHECK(jobs[2].request.style == std::vector<std::string>{"Oil"});

  std::istringstream in("steps;prompt\n3;a cat, grey\n");
  const auto told = read_prompt_file("-", {}, in, PromptFormat::csv);
  REQUIRE(told.size() == 1);
  CHECK(told[0].request.prompt == "a cat, grey");
  CHECK(told[0].request.steps == 3);
}

TEST_CASE("what is wrong with a table is told with line and column", "[jobs]") {
  struct Case {
    std::string contents, message;
  };
  const std::vector<Case> cases = {
      {"", "holds no prompt"},
      {"prompt,steps\n", "holds no prompt"},
      {"prompt,stesp\na,1\n", "p.csv: line 1, column 8: stesp: no flag has that name; did you mean steps?"},
      {"prompt,Negative_Prompt\n", "column 8: Negative_Prompt: no flag has that name; did you mean negative-prompt?"},
      {"a cat,5\n", "line 1, column 1: a cat: no flag has that name; the first row names the columns"},
      {"prompt,model\n", "column 8: model: holds for the whole run, not for a line; give --model on the command line"},
      {"prompt,outdir\n", "column 8: outdir: holds for the whole run"},
      {"prompt,cfg,cfg-scale\n", "column 12: cfg-scale: there is a column cfg already"},
      {"steps,cfg\n1,2\n", "line 1, column 1: the column prompt is missing"},
      {"prompt,steps\n\na cat,many\n", "line 3, column 7: steps: 'many' is not a whole number"},
      {"prompt,steps\na cat,0\n", "line 2, column 7: --steps: must be 1…"},
      {"prompt,steps\na 海, 5.0\n", "line 2, column 6: steps: '5.0' is not a whole number"},
      {"prompt,cfg\na cat,\"7,5\"\n", "line 2, column 7: cfg: '7,5' is not a finite number"},
      {"prompt,vae-tiling\na cat,maybe\n", "line 2, column 7: vae-tiling: 'maybe' is neither true nor false"},
      {"prompt,steps\na cat, grey,5\n", "line 2, column 13: the row has 3 cells, the first row has 2; a cell that"},
      {"prompt,steps\na cat\n", "line 2, column 1: the row has 1 cell, the first row has 2"},
      {"prompt,steps\n,5\n", "line 2, column 1: prompt: is empty; \"\" is the empty prompt"},
      {"prompt,\na cat,5\n", "line 2, column 7: the column has no name"},
      {"prompt,steps\na 5\" disk,5\n", "line 2, column 4: a quote stands in the middle of a cell; put the whole cell"},
      {"prompt,steps\n\"a\" cat,5\n", "line 2, column 5: text stands behind a cell's closing quote"},
      {"prompt,steps\nb,1\n\"a cat,5\n", "line 3, column 1: a cell's quote has no end"},
      {"prompt,steps\na \xff"
       "b,5\n",
       "line 2, column 3: the text is not UTF-8"},
      {"prompt,steps\n\"" + std::string((size_t{1} << 20) + 1, 'a'), "line 2, column 1: a row is longer than 1048576"},
      {"prompt,strength\na cat,0.5\n", "line 2, column 7: --strength: there is no picture to start from"},
  };
  for (const Case& c : cases) {
    INFO(c.contents.substr(0, 100));
    check_error(ErrorKind::input, c.message, [&] { read_csv(c.contents); });
  }
  const std::string all =
      error_message(ErrorKind::input, [] { read_csv("prompt,steps\na \"cat,5\nb,x\n\"c\nd\",y\ne,1\n"); });
  CHECK(all.find("line 2, column 3: a quote stands") != std::string::npos);
  CHECK(all.find("line 3, column 3: steps: 'x'") != std::string::npos);
  CHECK(all.find("line 5, column 4: steps: 'y'") != std::string::npos);
  CHECK(all.find("line 6") == std::string::npos);
}
