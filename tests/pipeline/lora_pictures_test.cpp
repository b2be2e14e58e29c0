// Pictures with LoRAs: against diffusers and PEFT (scripts/goldens/lora_pictures.py), and from one set to the next.
#include <fmt/format.h>

#include <thread>

#include "nn/int8.hpp"
#include "pipeline/adapted_networks.hpp"
#include "support/catch.hpp"
#include "support/errors.hpp"
#include "support/families.hpp"
#include "support/golden.hpp"
#include "support/golden_pictures.hpp"
#include "support/temp_dir.hpp"

using namespace sdtorch;

namespace {

std::string golden_lora(const std::string& name) { return golden_path("lora_pictures/" + name).string(); }

Request with_loras(std::vector<std::string> loras) {
  return {.prompt = "a house", .steps = 3, .seed = 5, .sampler = "ddim", .lora = std::move(loras)};
}

at::Tensor drawn_with(const PipelineNetworks& networks, const std::vector<std::string>& loras) {
  return draw_tensors(networks, with_loras(loras)).pictures;
}

PipelineNetworks fresh(at::ScalarType dtype, Quantization quantization = Quantization::none) {
  PipelineNetworks networks;
  networks.model = load_components(describe_family("sd1"), at::kCPU, dtype, quantization);
  return networks;
}

void check_switches(const std::function<PipelineNetworks()>& load, const std::string& a, const std::string& b) {
  const PipelineNetworks networks = load();
  const at::Tensor none = drawn_with(networks, {}), of_a = drawn_with(networks, {a});
  const at::Tensor of_b = drawn_with(networks, {b}), of_both = drawn_with(networks, {a + ":0.5", b + ":0.7:0.2"});
  CHECK(at::equal(drawn_with(networks, {}), none));
  CHECK(at::equal(drawn_with(networks, {a}), of_a));
  CHECK(at::equal(drawn_with(networks, {a + ":0", b + ":0"}), none));
  CHECK(at::equal(drawn_with(load(), {}), none));
  CHECK(at::equal(drawn_with(load(), {a}), of_a));
  CHECK(at::equal(drawn_with(load(), {b}), of_b));
  CHECK(at::equal(drawn_with(load(), {a + ":0.5", b + ":0.7:0.2"}), of_both));
  for (const at::Tensor& changed : {of_a, of_b, of_both}) CHECK(relative_error(changed, none) > 1e-3);
  CHECK(relative_error(of_a, of_b) > 1e-3);
}

}  // namespace

TEST_CASE("models with LoRAs draw what diffusers and PEFT draw", "[pipeline][adapters]") {
  Models models;
  check_golden_pictures(
      "lora_pictures",
      [&](const nlohmann::json& one) -> const PipelineNetworks& { return models.get(one.at("model"), ""); },
      {{"lora", "lora_pictures"}});
}

TEST_CASE("every golden of LoRAs is of a picture that they change", "[pipeline][adapters]") {
  Models models;
  const auto expected = load_golden("lora_pictures/pictures");
  const auto cases = nlohmann::json::parse(golden_metadata("lora_pictures/pictures").at("cases"));
  for (size_t i = 0; i < cases.size(); ++i) {
    INFO(cases[i].dump());
    nlohmann::json plain = cases[i];
    const PipelineNetworks& networks = models.get(plain.at("model"), "");
    for (const char* key : {"model", "lora"}) plain.erase(key);
    CHECK(relative_error(draw_json(networks, plain).latents, expected.at(fmt::format("{:03}.latent", i))) > 0.01);
  }
}

TEST_CASE("a model goes from LoRAs to others and back as if it were loaded with each", "[pipeline][adapters]") {
  const std::string a = golden_lora("sd1_a.safetensors"), b = golden_lora("sd1_b.safetensors");
  SECTION("fp32") {
    check_switches([] { return fresh(at::kFloat); }, a, b);
  }
  SECTION("bf16") {
    check_switches([] { return fresh(at::kBFloat16); }, a, b);
  }
  SECTION("int8") {
    if (has_int8_products()) check_switches([] { return fresh(at::kBFloat16, Quantization::int8); }, a, b);
  }
  SECTION("fp8") {
    check_switches([] { return fresh(at::kBFloat16, Quantization::fp8); }, a, b);
  }
}

TEST_CASE("layers in forms of their own go from LoRAs to others and back, too", "[pipeline][adapters]") {
  const auto lora = [](const char* name) {
    return (describe_model("", "").source->path() / "lora" / name).string() + ".safetensors";
  };
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    INFO(c10::toString(dtype));
    check_switches([&] { return networks_of(describe_model("", ""), dtype); }, lora("postcard"), lora("autumn"));
  }
}

TEST_CASE("a picture with LoRAs in bf16 is nearly that in fp32", "[pipeline][adapters]") {
  const std::vector<std::string> loras = {golden_lora("sd1_a.safetensors:0.2")};
  const at::Tensor exact = drawn_with(fresh(at::kFloat), loras);
  CHECK((drawn_with(fresh(at::kBFloat16), loras) - exact).abs().mean().item<double>() <= 0.05);
}

TEST_CASE("threads that draw with different LoRAs wait for each other", "[pipeline][adapters]") {
  const PipelineNetworks networks = fresh(at::kFloat);
  const std::vector<std::vector<std::string>> sets = {
      {}, {golden_lora("sd1_a.safetensors")}, {golden_lora("sd1_b.safetensors:0.2@0,0.8@0.5")}};
  std::vector<at::Tensor> alone;
  for (const auto& set : sets) alone.push_back(drawn_with(networks, set));
  std::vector<std::vector<at::Tensor>> drawn(sets.size());
  std::vector<std::thread> threads;
  for (size_t i = 0; i < sets.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int k = 0; k < 4; ++k) drawn[i].push_back(drawn_with(networks, sets[i]));
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (size_t i = 0; i < sets.size(); ++i) {
    for (const at::Tensor& picture : drawn[i]) CHECK(at::equal(picture, alone[i]));
  }
}

TEST_CASE("a switch that fails leaves networks that the next one makes whole", "[pipeline][adapters]") {
  const PipelineNetworks networks = fresh(at::kFloat);
  const std::string a = golden_lora("sd1_a.safetensors");
  const at::Tensor none = drawn_with(networks, {});
  const auto broken = std::make_shared<const LoraFile>(LoraFile{
      .changes = {
          {.component = "unet",
           .key = "conv_in.weight",
           .difference = [](const at::Tensor& weight, double) { return at::ones_like(weight); }},
          {.component = "unet", .key = "conv_out.weight", .difference = [](const at::Tensor&, double) -> at::Tensor {
             throw Error(ErrorKind::model, {.reason = "planted"});
           }}}});
  check_error(ErrorKind::model, "planted", [&] {
    networks.adapted->use(networks.model, *networks.texts, {{.file = broken, .unet = 1, .text_encoder = 1}}, false);
  });
  CHECK(at::equal(drawn_with(networks, {}), none));
  CHECK(at::equal(drawn_with(networks, {a}), drawn_with(fresh(at::kFloat), {a})));
}

TEST_CASE("pictures of a batch with LoRAs are the same alone, and changing weights are those of each step",
          "[pipeline][adapters]") {
  const PipelineNetworks networks = fresh(at::kFloat);
  const std::string a = golden_lora("sd1_a.safetensors");
  const Request request = with_loras({a + ":0.2@0,0.8@0.5"});
  const at::Tensor together = draw_tensors(networks, request, 2).pictures;
  Request second = request;
  second.seed += 1;
  CHECK(relative_error(together[1], draw_tensors(networks, second).pictures[0]) <= 1e-5);
  // The first step of three alone has 0.2: a weight that never changes is another picture.
  CHECK(relative_error(drawn_with(networks, {a + ":0.2"}), together[0].unsqueeze(0)) > 1e-3);
  CHECK(relative_error(drawn_with(networks, {a + ":0.8"}), together[0].unsqueeze(0)) > 1e-3);
  CHECK(at::equal(drawn_with(networks, {a + ":0.8@0,0.8@0.5"}), drawn_with(networks, {a + ":0.8"})));
}
