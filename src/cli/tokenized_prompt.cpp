#include "cli/tokenized_prompt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "pipeline/prompt_tags.hpp"

namespace sdtorch {
namespace {

using Json = nlohmann::ordered_json;

/// JSON's spelling, so that no control character of a text or a vocabulary reaches the terminal.
std::string as_json(std::string_view text) { return nlohmann::json(text).dump(); }

std::string counted(size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

/// Text, {"edit": [from, to], "when": "3"}, {"alternate": [one, other]}.
Json tree_of(const EditTree& tree, const std::string& text) {
  Json nodes = Json::array();
  for (const EditNode& node : tree) {
    if (node.kind == EditNode::Kind::text) {
      nodes.push_back(text.substr(node.first, node.last - node.first));
      continue;
    }
    Json options = Json::array();
    for (const EditTree& option : node.options) options.push_back(tree_of(option, text));
    if (node.kind == EditNode::Kind::edit) {
      nodes.push_back({{"edit", options}, {"when", node.when}});
    } else {
      nodes.push_back({{"alternate", options}});
    }
  }
  return nodes;
}

/// As lines, each option below what it belongs to.
void append_tree(std::string& lines, const EditTree& tree, const std::string& text, size_t indent) {
  for (const EditNode& node : tree) {
    if (node.kind == EditNode::Kind::text) {
      lines += fmt::format("{:{}}{}\n", "", indent, as_json(text.substr(node.first, node.last - node.first)));
      continue;
    }
    const bool edit = node.kind == EditNode::Kind::edit;
    for (size_t i = 0; i < node.options.size(); ++i) {
      const std::string name = !edit    ? fmt::format("option {} of {}", i + 1, node.options.size())
                               : i == 0 ? "until " + node.when
                                        : "then";
      lines += fmt::format("{:{}}{}:\n", "", indent, name);
      append_tree(lines, node.options[i], text, indent + 2);
    }
  }
}

Json pieces_json(const PromptPieces& pieces) {
  Json list = Json::array();
  for (const PromptPiece& piece : pieces) list.push_back({piece.text, piece.weight});
  return list;
}

Json chunks_json(const std::vector<WeightedChunk>& chunks) {
  Json list = Json::array();
  for (const WeightedChunk& chunk : chunks) {
    Json tokens = Json::array();
    for (const WeightedToken& token : chunk.tokens) tokens.push_back({token.id, token.weight});
    list.push_back(std::move(tokens));
  }
  return list;
}

Json weight_json(const StepWeights& weights, const std::string& text) {
  return weights.varies() ? Json(text) : Json(weights.at(0, 1));
}

Json tag_json(const ExtraNetworkTag& tag) {
  const TagWeights weights = weights_of_tag(tag);
  Json own = {{"tag", tag.text}, {"kind", tag.kind}, {"name", tag.arguments.front()}};
  if (is_hypernetwork_tag(tag)) {
    own["weight"] = weight_json(weights.unet, weights.unet_text);
  } else {
    own["unet"] = weight_json(weights.unet, weights.unet_text);
    own["text_encoder"] = weight_json(weights.text_encoder, weights.text_encoder_text);
  }
  return own;
}

size_t token_count(const std::vector<WeightedChunk>& chunks) {
  size_t count = 0;
  for (const WeightedChunk& chunk : chunks) count += chunk.tokens.size();
  return count;
}

/// Whether a blend's weights say something: that of one text, divided by itself, does not.
bool has_weights(const PromptBlend& blend) {
  return blend.texts.size() > 1 || (!blend.normalized && blend.weights.front() != 1);
}

bool is_one_text(const PromptVersion& version) {
  const PromptBlend& blend = version.joined.front();
  return version.joined.size() == 1 && !has_weights(blend) && blend.strength == 1;
}

/// Whether a prompt is no more than its words.
bool is_plain(const PromptReading& reading) {
  const PromptPart& part = reading.parts.front();
  if (reading.parts.size() > 1 || part.weight != 1 || part.versions.size() > 1) return false;
  if (!is_one_text(part.versions.front())) return false;
  const PromptPieces& pieces = part.versions.front().joined.front().texts.front();
  return std::ranges::all_of(pieces, [](const PromptPiece& piece) { return piece.weight == 1; });
}

}  // namespace

TokenizedPrompt::TokenizedPrompt(PromptReading reading, PromptTokenization how)
    : reading_(std::move(reading)), how_(std::move(how)) {
  for (const ExtraNetworkTag& tag : how_.tags) weights_of_tag(tag);
  for (const PromptPart& part : reading_.parts) {
    for (const PromptVersion& version : part.versions) {
      for (const PromptBlend& blend : version.joined) {
        for (const PromptPieces& pieces : blend.texts) cut(pieces);
      }
    }
  }
}

std::vector<WeightedChunk> TokenizedPrompt::cut(const PromptPieces& pieces) const {
  return cut_into_chunks(how_.tokenizer, token_groups(how_.source, pieces, how_.rule), how_.rule, how_.moved);
}

std::string TokenizedPrompt::piece(int64_t id) const {
  for (const ShownWord& word : how_.words) {
    if (id < word.first || id >= word.first + word.count) continue;
    return fmt::format("{} ({} of {})", word.name, id - word.first + 1, word.count);
  }
  return how_.tokenizer.piece(id);
}

std::vector<WeightedChunk> TokenizedPrompt::first_chunks() const {
  return cut(reading_.parts.front().versions.front().joined.front().texts.front());
}

std::string TokenizedPrompt::json_line(const std::string& text) const {
  const std::vector<WeightedChunk> first = first_chunks();
  Json line = {{"ids", Json::array()}, {"pieces", Json::array()}, {"chunks", first.size()}};
  for (const WeightedChunk& chunk : first) {
    for (const WeightedToken& token : chunk.tokens) {
      line["ids"].push_back(token.id);
      line["pieces"].push_back(piece(token.id));
    }
  }
  for (const ShownWord& word : how_.words) {
    line["words"].push_back({{"name", word.name}, {"file", word.file}, {"vectors", word.count}});
  }
  for (const ExtraNetworkTag& tag : how_.tags) line["tags"].push_back(tag_json(tag));
  if (text.empty()) return line.dump() + "\n";
  line["parts"] = Json::array();
  for (const PromptPart& part : reading_.parts) {
    Json own = {{"weight", part.weight}};
    if (!part.tree.empty()) own["tree"] = tree_of(part.tree, text);
    own["versions"] = Json::array();
    for (const PromptVersion& version : part.versions) {
      Json entry = {{"last_call", version.last_call}};
      const auto text_json = [&](const PromptPieces& pieces) {
        return Json{{"pieces", pieces_json(pieces)}, {"chunks", chunks_json(cut(pieces))}};
      };
      if (is_one_text(version)) {
        entry.update(text_json(version.joined.front().texts.front()));
      } else {
        entry["joined"] = Json::array();
        for (const PromptBlend& blend : version.joined) {
          Json texts = Json::array();
          for (size_t i = 0; i < blend.texts.size(); ++i) {
            texts.push_back(text_json(blend.texts[i]));
            texts.back()["weight"] = blend.weights[i];
          }
          entry["joined"].push_back(
              {{"strength", blend.strength}, {"normalized", blend.normalized}, {"blend", std::move(texts)}});
        }
      }
      own["versions"].push_back(std::move(entry));
    }
    line["parts"].push_back(std::move(own));
  }
  return line.dump() + "\n";
}

std::string TokenizedPrompt::tags_and_words() const {
  std::string lines;
  for (const ExtraNetworkTag& tag : how_.tags) {
    const TagWeights weights = weights_of_tag(tag);
    const std::string name = as_json(tag.arguments.front());
    lines += is_hypernetwork_tag(tag) ? fmt::format("  hypernetwork {}, weight {}\n", name, weights.unet_text)
                                      : fmt::format("  LoRA {}, U-Net {}, text encoder {}\n", name, weights.unet_text,
                                                    weights.text_encoder_text);
  }
  for (const ShownWord& word : how_.words) {
    lines += fmt::format("  word {}, {}: {}\n", as_json(word.name), counted(static_cast<size_t>(word.count), "vector"),
                         as_json(word.file));
  }
  return lines;
}

std::string TokenizedPrompt::table(const std::string& text) const {
  const std::vector<WeightedChunk> first = first_chunks();
  std::string lines = fmt::format("{}: {} in {} of up to {}\n", as_json(text), counted(token_count(first), "token"),
                                  counted(first.size(), "chunk"), how_.tokenizer.chunk_size());
  lines += tags_and_words();
  const bool plain = is_plain(reading_);
  const auto add_chunks = [&](const std::vector<WeightedChunk>& chunks, size_t indent) {
    for (size_t i = 0; i < chunks.size(); ++i) {
      lines += fmt::format("{:{}}chunk {} of {}: {}\n", "", indent, i + 1, chunks.size(),
                           counted(chunks[i].tokens.size(), "token"));
      for (const WeightedToken& token : chunks[i].tokens) {
        lines += fmt::format("{:{}}{:8}  ", "", indent, token.id);
        if (!plain) lines += fmt::format("{:<8.4g}", token.weight);
        lines += as_json(piece(token.id)) + "\n";
      }
      for (const StrayVector& stray : chunks[i].strays) {
        lines += fmt::format("{:{}}{:8}  {}, in the place of padding {}, as A1111 has it\n", "", indent, stray.id,
                             as_json(piece(stray.id)), stray.place + 1 - chunks[i].tokens.size());
      }
    }
  };
  if (plain) {
    add_chunks(first, 2);
    return lines;
  }
  for (const PromptPart& part : reading_.parts) {
    if (reading_.parts.size() > 1 || part.weight != 1) lines += fmt::format("  AND, weight {:.6g}:\n", part.weight);
    if (part.versions.size() > 1) append_tree(lines, part.tree, text, 4);
    for (const PromptVersion& version : part.versions) {
      if (part.versions.size() > 1) lines += fmt::format("  up to call {}:\n", version.last_call);
      for (const PromptBlend& blend : version.joined) {
        if (version.joined.size() > 1 || blend.strength != 1)
          lines += fmt::format("  joined, {:.6g}:\n", blend.strength);
        for (size_t i = 0; i < blend.texts.size(); ++i) {
          if (has_weights(blend)) lines += fmt::format("  blended, {:.6g}:\n", blend.weights[i]);
          for (const PromptPiece& piece : blend.texts[i]) {
            lines +=
                piece.new_chunk ? "    BREAK\n" : fmt::format("    {:<8.4g}{}\n", piece.weight, as_json(piece.text));
          }
          add_chunks(cut(blend.texts[i]), 4);
        }
      }
    }
  }
  return lines;
}

}  // namespace sdtorch
