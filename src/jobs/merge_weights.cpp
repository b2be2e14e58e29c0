#include "jobs/merge_weights.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "weights/ldm_keys.hpp"

namespace sdtorch {
namespace {

constexpr const char* weights_flag = "--weights";
constexpr size_t blocks_of_four_levels = 12, blocks_of_three_levels = 9;

std::vector<std::string> split_at_commas(const std::string& text) {
  std::vector<std::string> parts;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    std::string part = text.substr(start, end - start);
    std::erase_if(part, [](unsigned char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; });
    parts.push_back(std::move(part));
    start = end + 1;
  }
  return parts;
}

double weight_of(const std::string& text) {
  const auto number = parse_real(text);
  if (!number) refuse(weights_flag, fmt::format("'{}' is not a finite number", text));
  return *number;
}

std::string block_name(std::string_view group, size_t index) { return fmt::format("{}{:02}", group, index); }

/// The number after `start`, or nothing.
std::optional<size_t> number_after(std::string_view key, std::string_view start) {
  if (!key.starts_with(start)) return std::nullopt;
  key.remove_prefix(start.size());
  const auto number = parse_unsigned(key.substr(0, key.find('.')));
  return number ? std::optional<size_t>(*number) : std::nullopt;
}

/// One more than the highest block of a kind.
size_t count_blocks(const KeyTable& table, const KeySet& unet, std::string_view start) {
  size_t count = 0;
  for (const std::string& key : unet) {
    const auto theirs = table.to_theirs(key);
    const auto number = theirs ? number_after(*theirs, start) : std::nullopt;
    if (number) count = std::max(count, *number + 1);
  }
  return count;
}

}  // namespace

MergeWeights::MergeWeights(const std::string& text, Family family, const KeySet& unet)
    : table_(unet_key_table(diffusers_unet_layout(unet))) {
  ins_ = outs_ = family == Family::sdxl ? blocks_of_three_levels : blocks_of_four_levels;
  own_ins_ = count_blocks(table_, unet, "input_blocks.");
  own_outs_ = count_blocks(table_, unet, "output_blocks.");
  std::vector<double> numbers;
  std::vector<std::pair<std::string, std::string>> pairs;
  for (const std::string& part : split_at_commas(text)) {
    if (const size_t equals = part.find('='); equals != std::string::npos) {
      pairs.emplace_back(ascii_lower(part.substr(0, equals)), part.substr(equals + 1));
    } else if (!pairs.empty()) {
      refuse(weights_flag, fmt::format("'{}' follows NAME=W; numbers without a name come first", part));
    } else {
      numbers.push_back(weight_of(part));
    }
  }
  read_numbers(numbers, family);
  ins_ = std::max(ins_, own_ins_);
  outs_ = std::max(outs_, own_outs_);
  for (const auto& [name, weight] : pairs) read_pair(name, weight_of(weight));
}

void MergeWeights::read_numbers(const std::vector<double>& numbers, Family family) {
  if (numbers.empty()) return;
  if (numbers.size() == 1) {
    rest_ = numbers.front();
    return;
  }
  const size_t usual = ins_ + 1 + outs_, own = own_ins_ + 1 + own_outs_;
  const bool with_vae = family == Family::sdxl && numbers.size() == usual + 2;
  const bool as_usual = numbers.size() == usual || numbers.size() == usual + 1 || with_vae;
  if (!as_usual && numbers.size() != own && numbers.size() != own + 1) {
    const std::string counts = fmt::format("{} (the blocks{}), {} (BASE, then the blocks)", usual,
                                           own == usual ? "" : fmt::format("; or the model's own {}", own), usual + 1);
    refuse(weights_flag, fmt::format("{} numbers; one was expected, or {}", numbers.size(), counts),
           family == Family::sdxl ? "SDXL's may end with the VAE's" : "");
  }
  if (!as_usual) {
    ins_ = own_ins_;
    outs_ = own_outs_;
  }
  const size_t blocks = ins_ + 1 + outs_;
  auto next = numbers.begin();
  if (numbers.size() > blocks) named_["base"] = *next++;
  for (size_t i = 0; i < ins_; ++i) named_[block_name("in", i)] = *next++;
  named_["mid"] = *next++;
  for (size_t i = 0; i < outs_; ++i) named_[block_name("out", i)] = *next++;
  if (with_vae) named_["vae"] = *next;
}

void MergeWeights::check_name(const std::string& name) const {
  std::vector<std::string> names{"base", "te", "te1", "te2", "vae", "unet", "in", "mid", "out"};
  if (std::ranges::find(names, name) != names.end()) return;
  for (size_t i = 0; i < ins_; ++i) names.push_back(block_name("in", i));
  for (size_t i = 0; i < outs_; ++i) names.push_back(block_name("out", i));
  if (std::ranges::find(names, name) != names.end()) return;
  const std::string near = nearest(name, names);
  refuse(weights_flag,
         fmt::format("'{}' is no part of the model; base, te, te2, vae, unet, in, mid, out, in00…{}, out00…{} are",
                     name, block_name("in", ins_ - 1), block_name("out", outs_ - 1)),
         near.empty() ? "" : fmt::format("did you mean {}?", near));
}

void MergeWeights::read_pair(const std::string& name, double weight) {
  std::string full = name == "m00" || name == "m" || name == "mid00" || name == "middle" ? "mid" : name;
  for (const char* group : {"in", "out"}) {
    const std::string_view digits = std::string_view(full).starts_with(group)
                                        ? std::string_view(full).substr(std::string_view(group).size())
                                        : std::string_view();
    const auto index = digits.size() > 2 ? std::nullopt : parse_unsigned(digits);
    if (!digits.empty() && index) {
      full = block_name(group, *index);
      break;
    }
  }
  check_name(full);
  named_[full] = weight;
}

std::optional<MergeWeights::Block> MergeWeights::block_of(std::string_view key) const {
  const auto theirs = table_.to_theirs(key);
  if (!theirs) return std::nullopt;
  if (const auto index = number_after(*theirs, "input_blocks.")) return Block{"in", *index};
  if (const auto index = number_after(*theirs, "output_blocks.")) return Block{"out", *index};
  if (theirs->starts_with("middle_block.")) return Block{"mid", 0};
  if (theirs->starts_with("out.")) return Block{"out", outs_ - 1};
  return Block{"in", 0};  // time_embed, time_embedding, label_emb
}

/// Of the first name that has a weight.
double MergeWeights::named(std::initializer_list<std::string> names) const {
  for (const std::string& name : names) {
    if (const auto found = named_.find(name); found != named_.end()) return found->second;
  }
  return rest_;
}

double MergeWeights::of(std::string_view component, std::string_view key) const {
  if (component == "text_encoder") return named({"te1", "te", "base"});
  if (component == "text_encoder_2") return named({"te2", "te", "base"});
  if (component != "unet") return named({std::string(component), "base"});
  const auto block = block_of(key);
  if (!block) return named({"unet"});
  if (block->group == "mid") return named({"mid", "unet"});
  return named({block_name(block->group, block->index), block->group, "unet"});
}

}  // namespace sdtorch
