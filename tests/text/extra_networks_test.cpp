// Tags in prompts: A1111's <(\w+):([^>]+)>.
#include "text/extra_networks.hpp"

#include "support/catch.hpp"

using namespace sdtorch;

namespace {

using Strings = std::vector<std::string>;

ExtraNetworkTag only_tag(const std::string& prompt) {
  const PromptWithTags found = take_extra_networks(prompt);
  REQUIRE(found.tags.size() == 1);
  return found.tags.front();
}

}  // namespace

TEST_CASE("tags come out of a prompt, and nothing else does", "[text]") {
  const PromptWithTags found = take_extra_networks("a <lora:style:0.8> house <hypernet:old><b");
  CHECK(found.text == "a  house <b");
  REQUIRE(found.tags.size() == 2);
  CHECK(found.tags[0].kind == "lora");
  CHECK(found.tags[0].arguments == Strings{"style", "0.8"});
  CHECK(found.tags[0].text == "<lora:style:0.8>");
  CHECK(found.tags[1].kind == "hypernet");
  CHECK(found.tags[1].arguments == Strings{"old"});
}

TEST_CASE("what is no tag stays in the prompt", "[text]") {
  for (const std::string text :
       {"", "a house", "<", "<>", "<:>", "<lora>", "<lora:>", "<lora:a", "< lora:a:1>", "a <- b -> c", "<3",
        "x < y : z > w", "<lora-x:a>", "\xE7\x8C\xAB", "<\xE7:a>", "<\xFF"}) {
    INFO(text);
    CHECK(take_extra_networks(text).text == text);
    CHECK(take_extra_networks(text).tags.empty());
  }
}

TEST_CASE("a tag's arguments stand between colons, and may have names", "[text]") {
  CHECK(only_tag("<LoRA:my style v1.5:te=0.5:unet=1>").kind == "lora");
  CHECK(only_tag("<LoRA:my style v1.5:te=0.5:unet=1>").arguments == Strings{"my style v1.5"});
  CHECK(only_tag("<lora:a:te=0.5:unet=1>").named ==
        std::vector<std::pair<std::string, std::string>>{{"te", "0.5"}, {"unet", "1"}});
  CHECK(only_tag("<lora:a=b:1>").arguments == Strings{"a=b", "1"});
  CHECK(only_tag("<lora:a:>").arguments == Strings{"a", ""});
  CHECK(only_tag("<lora::1>").arguments == Strings{"", "1"});
  CHECK(only_tag("<lora:x:0.2@0,0.8@0.5>").arguments == Strings{"x", "0.2@0,0.8@0.5"});
  CHECK(only_tag("<lora:a\nb:1>").arguments == Strings{"a\nb", "1"});
  CHECK(only_tag("<<lora:a:1>>").arguments == Strings{"a", "1"});
  CHECK(take_extra_networks("<<lora:a:1>>").text == "<>");
  CHECK(only_tag("<\xD1\x81\xD0\xB2:a>").arguments == Strings{"a"});  // \w is of any script
}
