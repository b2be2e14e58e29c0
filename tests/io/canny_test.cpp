#include "io/canny.hpp"

#include <nlohmann/json.hpp>

#include "support/catch.hpp"
#include "support/golden.hpp"
#include "support/picture_tensors.hpp"

using namespace sdtorch;

TEST_CASE("edges are those of OpenCV's Canny, byte for byte", "[io]") {
  const auto golden = load_golden("canny/edges");
  const auto cases = nlohmann::json::parse(golden_metadata("canny/edges").at("cases"));
  REQUIRE(cases.size() == 35);
  bool any_edge = false, any_plain = false;
  for (const auto& listed : cases) {
    INFO(listed.dump());
    const Image picture = picture_from<Image>(golden.at(listed.at("picture")));
    const at::Tensor expected = golden.at(listed.at("edges"));
    const CannyThresholds thresholds{.low = listed.at("low"), .high = listed.at("high")};
    CHECK(at::equal(picture_tensor(canny(picture, thresholds)), expected));
    any_edge |= expected.any().item<bool>();
    any_plain |= expected.eq(0).any().item<bool>();
  }
  CHECK((any_edge && any_plain));
}
