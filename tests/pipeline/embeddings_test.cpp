// Learned words in prompts, against diffusers' pictures (scripts/goldens/inversion.py) and A1111's rules.
#include "pipeline/embeddings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "pipeline/settings_json.hpp"
#include "support/captured_stderr.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/files.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/pictures.hpp"
#include "support/temp_dir.hpp"
#include "support/tolerance.hpp"
#include "text/prompt/chunks.hpp"
#include "weights/state_dict.hpp"

using namespace sdtorch;
namespace fs = std::filesystem;

namespace {

std::string word_file(const std::string& name) { return golden_path("inversion/" + name).string(); }

/// A folder of embeddings: copies of the goldens' by other names.
void put_word(const TempDir& folder, const std::string& golden, const std::string& name) {
  fs::create_directories((folder / name).parent_path());
  fs::copy_file(word_file(golden), folder / name);
}

struct Words {
  ModelDescription model;
  std::shared_ptr<EmbeddingStore> store;

  explicit Words(const std::string& folder = {}, const std::string& family = "sd1")
      : model(describe_family(family)), store(embedding_store(model, folder)) {}

  std::vector<int64_t> encode(const std::string& text, const Request& request = {}) const {
    return PromptEmbeddings(*store, request, {}).encode(0, text);
  }
  std::vector<int64_t> plain(const std::string& text) const { return model.text_encoders[0].tokenizer.encode(text); }
  int64_t vocabulary() const { return store->encoders()[0].vocabulary; }

  std::vector<std::string> check(const Request& request) const {
    std::vector<std::string> warnings;
    PromptEmbeddings(*store, request, {}).check({request.prompt, request.negative_prompt.value_or("")}, warnings);
    return warnings;
  }
};

using Ids = std::vector<int64_t>;

Ids operator+(Ids a, const Ids& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

Request with_compat(std::optional<std::string> compat) {
  Request request;
  request.compat = std::move(compat);
  return request;
}

}  // namespace

TEST_CASE("prompts with learned words give what diffusers gives", "[pipeline]") {
  Models models;
  check_golden_pictures(
      "inversion",
      [&](const nlohmann::json& one) -> const PipelineNetworks& { return models.get(one.at("model"), ""); },
      {{"embedding", "inversion"}});
}

TEST_CASE("learned words' contexts and pooled texts are diffusers'", "[pipeline]") {
  Models models;
  const auto expected = load_golden("inversion/pictures");
  const auto cases = nlohmann::json::parse(golden_metadata("inversion/pictures").at("cases"));
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    nlohmann::json request = cases[i];
    request.erase("model");
    request["steps"] = 1;
    for (nlohmann::json& name : request["embedding"]) name = word_file(name);
    Observer observer;
    std::map<std::string, at::Tensor> seen;
    observer.on_tensor = [&](std::string_view name, const at::Tensor& tensor) { seen[std::string(name)] = tensor; };
    const Settings settings = settings_from_json(request, {}, {.file = "golden"});
    draw_tensors(models.get(cases[i].at("model"), ""), settings, 1, observer);
    for (const char* name : {"context", "pooled"}) {
      const auto golden = expected.find(fmt::format("{:03}.{}", i, name));
      if (golden == expected.end()) continue;
      CHECK(relative_error(seen.at(name), golden->second) <= tolerance::tensor_relative);
    }
  }
}

TEST_CASE("every name in the folder is a word, the longest first, in any case", "[pipeline]") {
  const TempDir folder;
  put_word(folder, "statue.pt", "red.pt");
  put_word(folder, "gloom.safetensors", "sub/Red House.safetensors");
  put_word(folder, "learned_embeds.bin", "<cat>.bin");
  put_word(folder, "statue.pt", "notes.txt");
  write_file(folder / "broken.pt", "no pickle");  // read when a prompt names it
  const Words words(folder.path().string());
  const int64_t first = words.vocabulary();
  const Ids a = words.plain("a"), b = words.plain("b");
  CHECK(words.encode("a notes cat-statue") == words.plain("a notes cat-statue"));
  CHECK(words.encode("a RED b") == a + Ids{first, first + 1} + b);
  CHECK(words.encode("a red   hoUSE b") == a + Ids{first + 2, first + 3, first + 4} + b);
  CHECK(words.encode("a redhouse") == words.plain("a redhouse"));
  CHECK(words.encode("embedding:red b") == Ids{first, first + 1} + b);
  CHECK(words.encode("sub/red house") == Ids{first + 2, first + 3, first + 4});  // the same file
  CHECK(words.encode("(a <cat>), b") == words.plain("(a") + Ids{first + 5} + words.plain("), b"));
  CHECK(words.encode("red") == Ids{first, first + 1});  // and stays where it was
  CHECK(words.store->rows(0).size(0) == 6);
  CHECK_FALSE(words.store->goes_on(0, first));
  CHECK(words.store->goes_on(0, first + 1));
  CHECK_FALSE(words.store->goes_on(0, a[0]));
  check_error(ErrorKind::model, "broken.pt", [&] { words.encode("broken"); });
}

TEST_CASE("each tool's rule says what a learned word is", "[pipeline]") {
  const TempDir folder;
  put_word(folder, "learned_embeds.bin", "<cat>.bin");
  put_word(folder, "inkwash.pt", "ink.pt");
  const Words words(folder.path().string());
  const auto has_word = [&](const std::string& text, const Request& request) {
    const Ids ids = words.encode(text, request);
    return std::ranges::any_of(ids, [&](int64_t id) { return id >= words.vocabulary(); });
  };
  // A1111 finds a word by its ids alone, which the comma changes; the others cut the text there.
  CHECK(has_word("a <cat> b", with_compat("a1111")));
  CHECK_FALSE(has_word("a <cat>, b", with_compat("a1111")));
  CHECK(has_word("a <cat>, b", with_compat({})));
  CHECK(has_word("a <cat>, b", with_compat("sdcpp")));
  // ComfyUI's words of the folder have a prefix; a file that is given outright has a name of its own.
  CHECK_FALSE(has_word("ink", with_compat("comfy")));
  CHECK(has_word("an embedding:ink, b", with_compat("comfy")));
  CHECK(has_word("embedding:ink.pt", with_compat("comfy")));
  CHECK(words.encode("embedding:ink", with_compat("a1111")).size() > 1);
  // diffusers' are part of words, too.
  Request given = with_compat("diffusers");
  given.embedding = {word_file("inkwash.pt")};
  CHECK(has_word("inkwashes", given));
  given.compat.reset();
  CHECK_FALSE(has_word("inkwashes", given));
  given.compat = "comfy";
  CHECK(has_word("an inkwash", given));
  const Words alone;
  CHECK(PromptEmbeddings(*alone.store, with_compat({}), {}).learned(0).may_end_the_text);
  CHECK_FALSE(PromptEmbeddings(*alone.store, with_compat("a1111"), {}).learned(0).may_end_the_text);
  CHECK_FALSE(PromptEmbeddings(*words.store, with_compat({}), {}).learned(0).may_end_the_text);
}

TEST_CASE("a file's word is what is given, what it says, or what it is called", "[pipeline]") {
  const TempDir folder;
  fs::create_directories(folder / "concept");
  put_word(folder, "learned_embeds.bin", "concept/learned_embeds.bin");
  put_word(folder, "statue.pt", "a=b.pt");
  const Words words;
  const auto count = [&](const std::string& text, const std::string& embedding) {
    Request request;
    request.embedding = {embedding};
    const Ids ids = words.encode(text, request);
    return std::ranges::count_if(ids, [&](int64_t id) { return id >= words.vocabulary(); });
  };
  CHECK(count("zwx", word_file("statue.pt") + "=zwx") == 2);
  CHECK(count("cat-statue statue", word_file("statue.pt") + "=zwx") == 0);
  CHECK(count("cat-statue", word_file("statue.pt")) == 2);
  CHECK(count("statue", word_file("statue.pt")) == 2);  // what A1111 calls it
  CHECK(count("learned_embeds", word_file("learned_embeds.bin")) == 0);
  CHECK(count("a<cat>b", word_file("learned_embeds.bin")) == 1);
  CHECK(count("<cat>", (folder / "concept").string()) == 1);
  CHECK(count("<dog>", (folder / "concept").string() + "=<dog>") == 1);
  CHECK(count("x", (folder / "a=b.pt").string() + "=x") == 2);
  CHECK(count("cat-statue", (folder / "a=b.pt").string()) == 2);
  CHECK(count("gloom, bare", word_file("gloom.safetensors")) == 3);
}

TEST_CASE("misused embeddings end in a message before anything is drawn", "[pipeline]") {
  const TempDir folder;
  put_word(folder, "statue.pt", "one/ink.pt");
  put_word(folder, "gloom.safetensors", "two/INK.safetensors");
  put_word(folder, "several.safetensors", "several.safetensors");
  put_word(folder, "pair.safetensors", "pair.safetensors");
  const auto refused = [&](ErrorKind kind, const std::string& fragment, const Request& request,
                           const std::string& family = "sd1") {
    INFO(fragment);
    check_error(kind, fragment, [&] { Words(folder.path().string(), family).check(request); });
  };
  const auto given = [](std::vector<std::string> files, const std::string& prompt = {}) {
    Request request{.prompt = prompt};
    request.embedding = std::move(files);
    return request;
  };
  refused(ErrorKind::usage, "--embd-dir: 'ink' is the name of 2 embeddings", {.prompt = "ink"});
  refused(ErrorKind::usage, "has 2 words", {.prompt = "several"});
  refused(ErrorKind::model, "pair.safetensors: a pair, clip_l and clip_g, made for SDXL; sd1 has one text encoder",
          {.prompt = "a pair of houses"});
  refused(ErrorKind::model, "ink.pt: vectors of 24 numbers; xl has two text encoders", {.prompt = "one/ink"}, "xl");
  CHECK(Words(folder.path().string()).check({.prompt = "a house"}).empty());
  CHECK(Words(folder.path().string()).check({.prompt = "one/ink"}).empty());
  refused(ErrorKind::usage, "--embedding: there is no file '" + word_file("statu.pt") + "'; did you mean statue.pt?",
          given({word_file("statu.pt")}));
  refused(ErrorKind::usage, "--embedding: there is no file 'none.bin'", given({"none.bin=x"}));
  refused(ErrorKind::usage, "is a folder without learned_embeds.safetensors or learned_embeds.bin",
          given({(folder / "one").string()}));
  refused(ErrorKind::usage, "names no word", given({word_file("statue.pt") + "="}));
  refused(ErrorKind::usage, "is no word: it has no tokens", given({word_file("statue.pt") + "=  "}));
  refused(ErrorKind::usage, "has 2 words of its own: <one>, <two>", given({word_file("several.safetensors") + "=x"}));
  refused(ErrorKind::usage, "'X' is the word of", given({word_file("statue.pt") + "=x", word_file("bare.bin") + "=X"}));
  refused(ErrorKind::model, "versions.json", given({word_file("versions.json")}));
  Request comfy{.prompt = "a (embedding:inc:1.2)"};
  comfy.compat = "comfy";
  refused(ErrorKind::usage, "--prompt: there is no embedding 'inc'; did you mean ink", comfy);
  const Words two_names(folder.path().string());
  const auto missing = two_names.check({.prompt = "a (embedding:inc:1.2), embedding:one/ink, on embedding: how"});
  REQUIRE(missing.size() == 1);
  CHECK(missing.front().find("there is no embedding 'inc', and its name is taken as text; did you mean ink") == 0);
  check_error(ErrorKind::usage, "--embd-dir: 'nowhere' is no folder", [] { Words("nowhere"); });
  const auto lines =
      Words().check(given({word_file("statue.pt"), word_file("gloom.safetensors")}, "a (cat-statue:1.2)"));
  REQUIRE(lines.size() == 1);
  CHECK(lines.front() == "--embedding " + word_file("gloom.safetensors") + ": no prompt has its word, 'gloom'");
}

TEST_CASE("a word's vectors count as tokens, and stay in one chunk", "[pipeline]") {
  const Words words;
  Request request;
  request.embedding = {word_file("gloom.safetensors")};
  const PromptEmbeddings embeddings(*words.store, request, {});
  const Tokenizer& tokenizer = words.model.text_encoders[0].tokenizer;
  const auto cut = [&](size_t before) {
    std::string text;
    for (size_t i = 0; i < before; ++i) text += "a ";
    const TokenSource source{.encode = [&](std::string_view part) { return embeddings.encode(0, std::string(part)); },
                             .goes_on = [&](int64_t id) { return words.store->goes_on(0, id); }};
    const auto groups = token_groups(source, {{.text = text + "gloom a"}}, ChunkRule::plain);
    std::vector<size_t> lengths;
    for (const WeightedChunk& chunk : cut_into_chunks(tokenizer, groups, ChunkRule::plain)) {
      lengths.push_back(chunk.tokens.size());
    }
    return lengths;
  };
  CHECK(cut(71) == std::vector<size_t>{75});
  CHECK(cut(72) == std::vector<size_t>{75, 1});
  CHECK(cut(73) == std::vector<size_t>{73, 4});
  CHECK(cut(74) == std::vector<size_t>{74, 4});
  CHECK(cut(75) == std::vector<size_t>{75, 4});
}

TEST_CASE("pictures of a batch have their own learned words", "[pipeline]") {
  const Pipeline pipeline =
      Pipeline::open({.model = folder_of_family("sd1").string(), .device = "cpu", .dtype = "fp32"});
  std::vector<Request> batch(3, Request{.prompt = "a cat-statue", .steps = 2});
  batch[0].embedding = {word_file("statue.pt")};
  batch[2].embedding = {word_file("bare.bin") + "=cat-statue"};
  const std::vector<Picture> together = pipeline.draw(batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    CHECK(largest_difference(together[i].image, pipeline.draw(batch[i]).image) <= 1);
    CHECK(largest_difference(together[i].image, together[(i + 1) % 3].image) > 1);
  }
}

TEST_CASE("the ids of given words follow one another as they are given, whatever was drawn before", "[pipeline]") {
  const Words words;
  const auto first_of = [&](const std::vector<std::string>& files, const std::string& text) {
    Request request;
    request.embedding = files;
    return words.encode(text, request).front();
  };
  const std::string a = word_file("statue.pt") + "=a", b = word_file("bare.bin") + "=b";
  CHECK(first_of({b}, "b") >= words.vocabulary());
  CHECK(first_of({a, b}, "a") < first_of({a, b}, "b"));
  CHECK(first_of({b, a}, "b") < first_of({b, a}, "a"));
  CHECK(first_of({a, b}, "a") == first_of({a, b}, "a"));
}

TEST_CASE("where a vector may not end a text, it is pooled where the text ends", "[pipeline]") {
  Models models;
  const PipelineNetworks& networks = models.get("xl", "");
  const auto pooled = [&](const std::optional<std::string>& compat, const std::string& tail) {
    Request request{.prompt = "a pair" + tail, .steps = 1, .cfg_scale = 1};
    request.embedding = {word_file("pair.safetensors")};
    request.compat = compat;
    at::Tensor seen;
    Observer observer;
    observer.on_tensor = [&](std::string_view name, const at::Tensor& tensor) {
      if (name == "pooled") seen = tensor;
    };
    draw_tensors(networks, request, 1, observer);
    return seen;
  };
  // At the vector nothing behind it is seen: diffusers' way, where the config still says 2.
  CHECK(at::equal(pooled({}, " of houses"), pooled({}, " of trees")));
  CHECK_FALSE(at::allclose(pooled("a1111", " of houses"), pooled("a1111", " of trees")));
}

TEST_CASE("A1111 leaves the vectors of a word behind whose clause moves to the next chunk", "[pipeline]") {
  Models models;
  std::string prompt;
  for (int i = 0; i < 60; ++i) prompt += "a ";
  prompt += ", ";
  for (int i = 0; i < 10; ++i) prompt += "b ";
  prompt += "(cat-statue:1.2) b b b b";
  for (const char* family : {"sd1", "sd2"}) {
    INFO(family);
    const PipelineNetworks& networks = models.get(family, "");
    const Tokenizer& tokenizer = networks.model.description.text_encoders[0].tokenizer;
    const auto tokens = [&](std::optional<std::string> compat) {
      Request request{.prompt = prompt, .steps = 1, .prompt_chunks = "a1111"};
      request.embedding = {word_file("statue.pt")};
      request.compat = std::move(compat);
      at::Tensor seen;
      Observer observer;
      observer.on_tensor = [&](std::string_view name, const at::Tensor& tensor) {
        if (name == "tokens") seen = tensor.reshape({-1}).clone();
      };
      draw_tensors(networks, request, 1, observer);
      return Ids(seen.const_data_ptr<int64_t>(), seen.const_data_ptr<int64_t>() + seen.numel());
    };
    const int64_t vocabulary = networks.model.description.embeddings->encoders()[0].vocabulary;
    const Ids left = tokens("a1111");
    REQUIRE(left.size() == 154);
    CHECK(left[62] == tokenizer.end_id());  // behind the start, 60 words and the comma
    CHECK(left[63] == tokenizer.pad_id());
    CHECK(left[72] >= vocabulary);  // where the word stood: behind 71 ids and the start
    CHECK(left[73] == left[72] + 1);
    CHECK(left[74] == tokenizer.pad_id());
    CHECK(left[77 + 1 + 10] == 0);  // in its new place
    CHECK(left[77 + 1 + 11] == 0);
    CHECK(left[77 + 1 + 12] == tokenizer.encode("b").front());
    const Ids moved = tokens({});
    CHECK(moved[72] == tokenizer.pad_id());
    CHECK(moved[77 + 1 + 10] >= vocabulary);
  }
}

TEST_CASE("diffusers finds words by their letters, A1111 by their ids", "[pipeline]") {
  const Words words;
  const auto vectors = [&](const std::string& text, std::optional<std::string> compat) {
    Request request = with_compat(std::move(compat));
    request.embedding = {word_file("statue.pt") + "=x1"};
    const Ids ids = words.encode(text, request);
    return std::ranges::count_if(ids, [&](int64_t id) { return id >= words.vocabulary(); });
  };
  CHECK(vectors("a x1", "diffusers") == 2);
  CHECK(vectors("a x 1", "diffusers") == 0);
  CHECK(vectors("a yx1y", "diffusers") == 2);
  CHECK(vectors("a x 1", "a1111") == 2);
  CHECK(vectors("a X1", {}) == 2);
}

TEST_CASE("a word in a picture is found as A1111 finds it", "[pipeline]") {
  const TempDir folder;
  put_word(folder, "picture.png", "sub/any.png");
  put_word(folder, "picture.png", "framed.preview.png");
  fs::copy_file(golden_path("ip_adapter/b.png"), folder / "plain.png");
  const Words words(folder.path().string());
  CHECK(words.store->files().size() == 1);
  CHECK(words.encode("a framed").size() == words.plain("a").size() + 2);
  CHECK(words.encode("sub/framed").size() == 2);
  CHECK(words.encode("any plain") == words.plain("any plain"));
  write_file(folder / "broken.png", "\x89PNG\r\n\x1a\n and no more");
  Words broken;
  CHECK(stderr_of([&] { broken = Words(folder.path().string()); }).find("broken.png") != std::string::npos);
  CHECK(broken.store->files().size() == 1);
}

TEST_CASE("a file that links lead to twice is one word", "[pipeline]") {
  const TempDir folder;
  put_word(folder, "statue.pt", "one/red.pt");
  fs::create_directories(folder / "two");
  fs::create_symlink(folder / "one/red.pt", folder / "two/red.pt");
  fs::create_symlink(folder / "one/red.pt", folder / "blue.pt");
  const Words words(folder.path().string());
  CHECK(words.encode("red").size() == 2);
  CHECK(words.encode("blue").size() == 2);
  CHECK(words.encode("two/red").size() == 2);
}

TEST_CASE("words that come with a LoRA are drawn as files of their own", "[pipeline][adapters]") {
  const TempDir folder;
  std::map<std::string, at::Tensor> tensors;
  for (const auto& [key, weight] : load_safetensors(golden_path("lora_pictures/sd1_a.safetensors"))) {
    tensors[key] = weight.tensor;
  }
  const std::string bare = (folder / "bare.safetensors").string(), bundle = (folder / "bundle.safetensors").string();
  save_safetensors(bare, tensors, {});
  const LearnedWord word = load_textual_inversion(word_file("statue.pt")).words.front();
  tensors["bundle_emb.stone cat.string_to_param.*"] = word.vectors.at(LearnedFor::only);
  tensors["bundle_emb.ink.clip_l"] =
      load_textual_inversion(word_file("inkwash.pt")).words.front().vectors.begin()->second;
  tensors["bundle_emb.ink.clip_l_out"] = at::ones({1, 24});
  save_safetensors(bundle, tensors, {});
  const Pipeline pipeline =
      Pipeline::open({.model = folder_of_family("sd1").string(), .device = "cpu", .dtype = "fp32"});
  const auto drawn = [&](const std::string& lora, std::vector<std::string> embeddings, const std::string& prompt) {
    Request request{.prompt = prompt, .negative_prompt = "ink", .steps = 2, .lora = {lora + ":0.5"}};
    request.embedding = std::move(embeddings);
    request.compat = "a1111";  // a text with given words alone is pooled in another way by default
    return pipeline.draw(request).image;
  };
  Image with_bundle;
  const std::string log = stderr_of([&] { with_bundle = drawn(bundle, {}, "a Stone Cat in a house"); });
  CHECK(log.find("bundle_emb.ink.clip_l_out is left out") != std::string::npos);
  const Image apart =
      drawn(bare, {word_file("statue.pt") + "=stone cat", word_file("inkwash.pt") + "=ink"}, "a stone cat in a house");
  CHECK(largest_difference(with_bundle, apart) == 0);
  CHECK(largest_difference(with_bundle, drawn(bare, {}, "a stone cat in a house")) > 1);
}
